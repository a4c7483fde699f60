"""`vljepa decode`: stored moments into words, long after they were seen; the words go into the log, too."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console, wall_time
from vljepa_apps.scope import tell_unknown
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_log import LogReader, Segment

EXAMPLE = "vljepa decode LOG --at 12.5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_log(parser)
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--at", type=wall_time.stream_or_wall, metavar="T",
        help="the window at T: seconds of the stream, or a time such as 2026-11-27T08:00",
    )  # fmt: skip
    when.add_argument(
        "--span", type=wall_time.stream_or_wall, nargs=2, metavar=("A", "B"), help="every segment from A to B"
    )
    arguments.add_engine(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object per line instead of text")
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Print the words of what was meant, in the order of time."""
    from vljepa_log import LogReader, keep_words, with_words

    model = arguments.load_model(args)
    with LogReader(args.log, model.bundle.manifest, boundaries=model.boundaries) as log:
        shown, decoded = with_words(log, meant(args, log), model.decode)
    refused = keep_words(args.log, model.bundle.manifest, decoded)
    if refused and not args.quiet:
        console.note(f"note: the words are not stored: {refused}")
    tell_unknown(model, any(each.unknown for each in shown), quiet=args.quiet or args.json)
    if args.json:
        fresh = {id(each) for each in decoded}
        for each in shown:
            console.document(plain(each, decoded=id(each) in fresh))
    else:
        console.result(text(shown))
    return 0


def meant(args: argparse.Namespace, log: LogReader) -> list[Segment]:
    """The window or the segments that the options name."""
    from vljepa_log import Span, Where, segments_of, windows_at

    where = Where(streams=tuple(args.stream), queries=(args.query,) if args.query else ())
    if args.at is not None:
        at, wall = args.at
        return windows_at(log, at, wall=wall, where=where)
    (since, wall), (until, also) = args.span
    if wall != also or until < since:
        raise InputError(
            "expected --span A B, B not before A, both in seconds of the stream or both as times of day"
        )
    found = list(segments_of(log, where, between=Span(since=since, until=until, wall=wall)))
    if not found:
        known = ", ".join(each.name for each in log.streams()) or "none"
        raise InputError(f"the log holds nothing of that span; its streams: {known}")
    return sorted(found, key=lambda each: (each.began, each.stream, each.query))


def plain(segment: Segment, *, decoded: bool) -> dict[str, Any]:
    """A segment for JSON."""
    return {
        "stream": segment.stream,
        "query": segment.query,
        "start_s": round(segment.start_s, 3),
        "end_s": round(segment.end_s, 3),
        "time": wall_time.iso(segment.time),
        "text": segment.text,
        "unknown": segment.unknown,
        "decoded": decoded,
    }


def text(segments: list[Segment]) -> str:
    """The segments for people."""
    rows = [
        (
            wall_time.shown_day(each.began, None),
            f"{each.start_s:.1f} to {each.end_s:.1f} s",
            each.stream,
            each.text,
        )
        for each in segments
    ]
    return console.table(rows, header=("began", "in stream time", "stream", "words"))
