"""`vljepa log`: what a log holds; and what it lets go of as it grows old."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console, wall_time

if TYPE_CHECKING:
    from vljepa_log import Freed, Retention, StreamSummary

EXAMPLE = "vljepa log LOG --keep 30d --max-size 2GB --thin-after 7d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("log", metavar="LOG", help="folder of a log, or address of another store")
    arguments.add_retention(parser)
    parser.add_argument(
        "--tidy", action="store_true", help="join small pieces, index what is not indexed, free the disk"
    )
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Apply what was asked for, and print what is left."""
    from vljepa_log import LogReader

    retention = arguments.retention_of(args)
    freed = upkeep(args.log, retention, index=args.tidy) if retention or args.tidy else None
    with LogReader(args.log) as log:
        streams, size = log.streams(), log.store.bytes()
    document = {
        "log": str(args.log),
        "bytes": size,
        "windows": sum(each.windows for each in streams),
        "streams": [plain(each) for each in streams],
        "removed": None
        if freed is None
        else {"windows": freed.windows, "thinned": freed.thinned, "bytes": freed.bytes},
    }
    console.report(document, lambda: text(args.log, streams, size, freed), as_json=args.json)
    return 0


def upkeep(place: str, retention: Retention | None, *, index: bool) -> Freed:
    """Retention and what a writer does in its idle time."""
    from vljepa_log import Retention, apply_retention, open_store

    store = open_store(place, identity=None, writable=True)
    try:
        freed = apply_retention(store, retention or Retention(), now=time.time())
        if index:
            store.update(lasting=True)
        return freed
    finally:
        store.close()


def plain(stream: StreamSummary) -> dict[str, Any]:
    """A stream for JSON."""
    return {
        "stream": stream.name,
        "windows": stream.windows,
        "queries": list(stream.queries),
        "first": wall_time.iso(stream.first),
        "last": wall_time.iso(stream.last),
    }


def text(place: str, streams: list[StreamSummary], size: int, freed: Freed | None) -> str:
    """The same for people."""
    rows = [
        (
            each.name,
            each.windows,
            wall_time.shown_day(each.first, None),
            wall_time.shown_day(each.last, None),
        )
        for each in streams
    ]
    windows = sum(each.windows for each in streams)
    lines = [f"{place}: {console.size(size)}, windows: {windows:,}"]
    if freed is not None:
        lines.append(
            f"removed: {freed.windows:,} windows, {freed.thinned:,} of them thinned; {console.size(freed.bytes)}"
        )
    if rows:
        lines.append(console.table(rows, header=("stream", "windows", "from", "to")))
    return "\n".join(lines)
