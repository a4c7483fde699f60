"""`vljepa run`: a video source becomes events, one JSON line each on stdout, flushed as they happen."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console
from vljepa_apps.outputs import Outputs, refuse_existing
from vljepa_apps.scope import tell_scope
from vljepa_apps.signals import deferred
from vljepa_runtime.sinks import SINKS

if TYPE_CHECKING:
    from vljepa_log import LogSink
    from vljepa_runtime import Model, Source
    from vljepa_runtime.statistics import SessionStats

EXAMPLE = "vljepa run tiny clip.mp4 --query 'How many objects are there?' --jsonl events.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    parser.add_argument("source", metavar="SOURCE", help=arguments.SOURCE_HELP)
    parser.add_argument(
        "--query", action="append", default=[], metavar="Q", help="ask Q of every window; may be repeated"
    )
    arguments.add_labels(parser, what="an answer in your words: an event comes when the best one changes")
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="COSINE",
        help="with labels: below this score (-1 to 1) none of them holds, which is an empty text",
    )
    parser.add_argument(
        "--states",
        type=Path,
        metavar="FILE",
        help="states that vljepa teach wrote: an event comes when another one holds, or it is unsure",
    )
    arguments.add_select(parser)
    arguments.add_number(
        parser, "--stride", 1.0, "seconds between windows", kind=arguments.positive, metavar="S"
    )
    parser.add_argument(
        "--decode",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: what the policy picks (default); always: fail without a Y-decoder; never: embeddings only",
    )
    parser.add_argument(
        "--embeddings", action="store_true", help="put the predicted embedding into each segment and answer"
    )
    for sink in SINKS:
        parser.add_argument(f"--{sink.option}", type=Path, metavar=sink.metavar, help=sink.help)
    parser.add_argument(
        "--log",
        metavar="LOG",
        help="also put embeddings, events and pictures into a log (vljepa search)",
    )
    parser.add_argument(
        "--max-seconds", type=arguments.positive, metavar="S", help="stop after S seconds of the source"
    )
    arguments.add_stretch(parser)
    parser.add_argument("--append", action="store_true", help="go on at the end of a --jsonl that exists")
    parser.add_argument("--force", action="store_true", help="replace output files that exist")
    arguments.add_quiet(parser)
    arguments.add_engine(parser)
    arguments.add_retention(parser)


def run(args: argparse.Namespace) -> int:
    """Print events until the source ends, then a summary on stderr; exit code 1 when an output failed.

    A live source is ended by Ctrl-C or SIGTERM and by nothing else: then all results are written, and that is 0.
    """
    from vljepa_runtime.sources import open_source

    files = {sink.option: path for sink in SINKS if (path := getattr(args, sink.option))}
    kept = [files[sink.option] for sink in SINKS if args.append and sink.appends and sink.option in files]
    refuse_existing(
        files.values(), force=args.force, kept=kept, inputs=(args.source, args.bundle, args.states)
    )
    labels = arguments.texts_from(args.label, args.labels)
    with ExitStack() as stack:
        outputs = stack.enter_context(Outputs(files, overwrite=args.force, append=args.append))
        model = arguments.load_model(args)
        source = stack.enter_context(
            open_source(args.source, stretch=args.stretch, timeout_s=args.max_seconds)
        )
        session = stack.enter_context(
            model.session(
                query=args.query or None,
                select=args.select,
                stride_s=args.stride,
                decode=args.decode,
                labels=labels or None,
                min_score=args.min_score,
                embeddings=args.embeddings,
                states=args.states,
            )
        )
        tell_scope(model, args.source, quiet=args.quiet)
        if not args.quiet:
            if not (model.has_decoder or labels or args.states or args.decode == "never"):
                console.note(wordless(model.bundle.name))
            stack.callback(lambda: conclude(session.stats))
        if args.log:
            outputs.add(opened_log(args, model, source))
        on_window = partial(outputs.write_window, source.name) if outputs.files.takes_windows else None
        on_frame = outputs.write_frame if outputs.files.takes_frames else None
        try:
            for event in session.run(
                source, on_frame=on_frame, on_window=on_window, max_seconds=args.max_seconds
            ):
                outputs.print(event)
                with deferred() as ending:
                    outputs.files.write(event)
                if ending.came:  # what is pending comes yet
                    session.stop()
            with deferred() as ending:
                ending.raise_if_came()
        except KeyboardInterrupt:
            if not source.live:  # part of a file is no result
                raise
    return 1 if outputs.failed else 0


def opened_log(args: argparse.Namespace, model: Model, source: Source) -> LogSink:
    """The log that a run writes, which expects its source."""
    from vljepa_log import LogSink

    log = LogSink(args.log, model.bundle.manifest, retention=arguments.retention_of(args))
    log.add_stream(args.source, source, to_its_end=args.max_seconds is None)
    return log


def wordless(bundle: str) -> str:
    """What is missing where segments come without words."""
    return (
        f"note: {bundle} has no Y-decoder, so segments come without words: pass --label for answers in your own, "
        "or --decode never where embeddings are all you want"
    )


def conclude(stats: SessionStats) -> None:
    """Tell people what the run came to, if it came to anything."""
    if stats.windows:
        console.note(summary(stats))


def summary(stats: SessionStats) -> str:
    """One line: windows, decodings, what selection saved, the median time of a window."""
    saved = f"{stats.decodings_saved:.0%} saved, p50 {stats.p50_ms:.1f} ms a window"
    return f"{stats.windows} windows, {stats.decodings} decodings, {saved}"
