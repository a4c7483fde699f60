"""`vljepa run`: a video source becomes events, one JSON line each on stdout, flushed as they happen."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_runtime.selection import Policy
    from vljepa_runtime.session import SessionStats
    from vljepa_runtime.sinks import Sink

SUMMARY = "turn a video source into events, one JSON line each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    parser.add_argument("source", metavar="SOURCE", help=arguments.SOURCE_HELP)
    parser.add_argument(
        "--query", action="append", default=[], metavar="Q", help="ask Q of every window; may be repeated"
    )
    parser.add_argument(
        "--select",
        type=policy,
        default="online",
        metavar="POLICY",
        help="when to put meaning into words: online (default), uniform:SECONDS, every, ward:SEGMENTS",
    )
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
    parser.add_argument("--jsonl", type=Path, metavar="FILE", help="also write the events to FILE")
    parser.add_argument("--srt", type=Path, metavar="FILE", help="write subtitles")
    parser.add_argument(
        "--save", type=Path, metavar="FILE.mp4", help="write the video with the events drawn in"
    )
    parser.add_argument(
        "--max-seconds", type=arguments.positive, metavar="S", help="stop after S seconds of the source"
    )
    parser.add_argument("--force", action="store_true", help="replace output files that exist")
    arguments.add_engine(parser)


def policy(text: str) -> Policy:
    """`parse_policy` with its message kept, for argparse."""
    from vljepa_runtime.selection import parse_policy

    try:
        return parse_policy(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    """Print events until the source ends, then a summary on stderr."""
    from vljepa_apps.watched import Watched
    from vljepa_runtime.sinks import JsonlSink, SubtitleSink, VideoSink
    from vljepa_runtime.sources import open_source

    arguments.refuse_existing([args.jsonl, args.srt, args.save], force=args.force)
    model = arguments.load_model(args)
    with ExitStack() as stack:
        stack.enter_context(terminate_as_interrupt())
        source = stack.enter_context(open_source(args.source))
        sinks: list[Sink] = []
        on_frame = None
        if args.jsonl:
            sinks.append(stack.enter_context(JsonlSink(args.jsonl, overwrite=args.force)))
        if args.srt:
            sinks.append(stack.enter_context(SubtitleSink(args.srt, overwrite=args.force)))
        if args.save:
            video = stack.enter_context(VideoSink(args.save, overwrite=args.force))
            sinks.append(video)
            on_frame = video.write_frame
        session = stack.enter_context(
            model.session(
                query=args.query or None, select=args.select, stride_s=args.stride, decode=args.decode
            )
        )
        stack.callback(lambda: conclude(session.stats))
        for event in session.run(Watched(source, on_frame=on_frame, max_seconds=args.max_seconds)):
            print(event.to_json(), flush=True)
            for sink in sinks:
                sink.write(event)
    return 0


def conclude(stats: SessionStats) -> None:
    """Tell people what the run came to, if it came to anything."""
    if stats.windows:
        console.note(summary(stats))


def summary(stats: SessionStats) -> str:
    """One line: windows, decodings, what selection saved, the median time of a window."""
    saved = f"{stats.decodings_saved:.0%} saved, p50 {stats.p50_ms:.1f} ms a window"
    return f"{stats.windows} windows, {stats.decodings} decodings, {saved}"


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """While inside, SIGTERM ends the run as Ctrl-C does: sinks are finished and files renamed into place."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals are someone else's business
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
