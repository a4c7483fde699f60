"""`vljepa run`: a video source becomes events, one JSON line each on stdout, flushed as they happen."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console
from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError, OutputError

if TYPE_CHECKING:
    from vljepa_runtime.events import Event
    from vljepa_runtime.sources import Frame
    from vljepa_runtime.statistics import SessionStats


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    parser.add_argument("source", metavar="SOURCE", help=arguments.SOURCE_HELP)
    parser.add_argument(
        "--query", action="append", default=[], metavar="Q", help="ask Q of every window; may be repeated"
    )
    arguments.add_select(parser)
    parser.add_argument(
        "--stride",
        type=arguments.positive,
        default=1.0,
        metavar="S",
        help="seconds between windows (default 1)",
    )
    parser.add_argument(
        "--decode",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: what the policy picks (default); always: fail without a Y-decoder; never: embeddings only",
    )
    parser.add_argument("--jsonl", type=Path, metavar="FILE", help="also write the events to FILE, or a pipe")
    parser.add_argument("--srt", type=Path, metavar="FILE", help="write subtitles")
    parser.add_argument(
        "--save", type=Path, metavar="FILE.mp4", help="write the video with the events drawn in"
    )
    parser.add_argument(
        "--max-seconds", type=arguments.positive, metavar="S", help="stop after S seconds of the source"
    )
    arguments.add_stretch(parser)
    parser.add_argument("--force", action="store_true", help="replace output files that exist")
    arguments.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Print events until the source ends, then a summary on stderr; exit code 1 when an output failed."""
    from vljepa_apps.signals import deferred
    from vljepa_runtime.sources import open_source

    inputs = (args.source, args.bundle)
    arguments.refuse_existing([args.jsonl, args.srt, args.save], force=args.force, inputs=inputs)
    with ExitStack() as stack:
        outputs = stack.enter_context(Outputs(args))
        model = arguments.load_model(args)
        source = stack.enter_context(
            open_source(args.source, stretch=args.stretch, timeout_s=args.max_seconds)
        )
        session = stack.enter_context(
            model.session(
                query=args.query or None, select=args.select, stride_s=args.stride, decode=args.decode
            )
        )
        stack.callback(lambda: conclude(session.stats))
        on_frame = outputs.write_frame if outputs.files.takes_frames else None
        for event in session.run(source, on_frame=on_frame, max_seconds=args.max_seconds):
            outputs.print(event)
            with deferred() as ending:
                outputs.files.write(event)
            if ending.came:  # what is pending comes yet
                session.stop()
        with deferred() as ending:
            ending.raise_if_came()
    return 1 if outputs.failed else 0


class Outputs(Closing):
    """Stdout and the files that the options name; when one fails, the others go on and are told.

    Attributes:
        files: The sinks that write them.
        failed: One could not be written to its end.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        from vljepa_runtime.sinks import JsonlSink, SinkGroup, SubtitleSink, VideoSink

        self.files = SinkGroup(self._tell)
        self.failed = False
        self._prints = True
        self._stream = "vljepa"
        kinds = ((args.jsonl, JsonlSink), (args.srt, SubtitleSink), (args.save, VideoSink))
        try:
            for path, kind in kinds:
                if path:
                    self.files.add(kind(path, overwrite=args.force))
        except InputError:
            self.files.close()
            raise

    def print(self, event: Event) -> None:
        """Write an event to stdout, as long as there is one.

        Raises:
            OutputError: stdout failed and there is no other output.
        """
        self._stream = event.stream
        try:
            if self._prints:
                console.json_line(event.to_json())
            elif not self.files:
                raise OutputError("stdout and every file failed: there is nowhere left to write to")
        except OutputError as error:
            self._prints = False
            if not self.files:
                raise
            self._tell(error)

    def write_frame(self, frame: Frame) -> None:
        """Give a frame to the files, whole even when a signal comes."""
        from vljepa_apps.signals import deferred

        with deferred() as ending:
            self.files.write_frame(frame)
        ending.raise_if_came()

    def _tell(self, error: OutputError) -> None:
        from vljepa_runtime.events import Event

        self.failed = True
        console.note(f"vljepa: {error}: this output ends here, the others go on")
        event = Event(stream=self._stream, kind="status", text=f"warning: {error}")
        self.print(event)
        self.files.write(event)

    def close(self) -> None:
        """Finish the files."""
        self.files.close()

    def abandon(self) -> None:
        """Finish the files of a run that failed."""
        self.files.abandon()


def conclude(stats: SessionStats) -> None:
    """Tell people what the run came to, if it came to anything."""
    if stats.windows:
        console.note(summary(stats))


def summary(stats: SessionStats) -> str:
    """One line: windows, decodings, what selection saved, the median time of a window."""
    saved = f"{stats.decodings_saved:.0%} saved, p50 {stats.p50_ms:.1f} ms a window"
    return f"{stats.windows} windows, {stats.decodings} decodings, {saved}"
