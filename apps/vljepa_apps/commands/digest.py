"""`vljepa digest`: what changed on a day, decoding only what it shows."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console, wall_time
from vljepa_apps.outputs import refuse_existing
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from datetime import date

    from vljepa_log import Digest, LogReader, Where
    from vljepa_log.digest_pages import Page

EXAMPLE = "vljepa digest LOG --day 2026-11-27 --out day.html"
SUFFIXES = (".html", ".md")
BUDGET = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_log(parser)
    parser.add_argument(
        "--day",
        type=wall_time.day,
        metavar="D",
        help="such as 2026-11-27, today or yesterday (default: the last one)",
    )
    parser.add_argument(
        "--zone", type=wall_time.zone, metavar="Z", help="such as Europe/Berlin (default: this machine's)"
    )
    arguments.add_number(parser, "--budget", BUDGET, "changes to show, and so decodings, at most")
    parser.add_argument(
        "--out", type=Path, action="append", default=[], metavar="FILE",
        help="day.html, one page with pictures, or day.md; may be repeated",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    arguments.add_engine(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Print what changed in the order in which it happened, and write it to files."""
    from vljepa_log import LogReader, Where, keep_words, make_digest
    from vljepa_log.digest_pages import html, markdown, page_of
    from vljepa_runtime.files import replace_file

    if wrong := [str(path) for path in args.out if path.suffix.lower() not in SUFFIXES]:
        raise InputError(f"expected --out FILE{' or FILE'.join(SUFFIXES)}, got {wrong[0]}")
    refuse_existing(args.out, force=args.force)
    model = arguments.load_model(args)
    with LogReader(args.log, model.bundle.manifest, boundaries=model.boundaries) as log:
        where = Where(streams=tuple(args.stream), queries=(args.query,) if args.query else ())
        day, where = on_day(args, log, where)
        found = make_digest(log, model.decode, where=where, budget=args.budget)
        page = page_of(found, log, day=day, zone=args.zone)
    refused = keep_words(args.log, model.bundle.manifest, found.decoded)
    if refused and not args.quiet:
        console.note(f"note: the words are not stored: {refused}")
    for path in args.out:
        written = html if path.suffix.lower() == ".html" else markdown
        replace_file(path, written(page).encode("utf-8", "replace"))
    console.report(plain(page, found), lambda: text(page), as_json=args.json)
    return 0


def on_day(args: argparse.Namespace, log: LogReader, where: Where) -> tuple[date, Where]:
    """The day that is meant, and which windows are of it."""
    from vljepa_log.days import day_of, day_span

    streams = [each for each in log.streams() if not where.streams or each.name in where.streams]
    known = ", ".join(each.name for each in streams or log.streams()) or "none"
    if not streams:
        raise InputError(
            f"the log holds nothing of {', '.join(where.streams) or 'any stream'}; its streams: {known}"
        )
    day = args.day or day_of(max(each.last for each in streams), args.zone)
    since, until = day_span(day, args.zone)
    if not any(each.first < until and each.last >= since for each in streams):
        first, last = min(each.first for each in streams), max(each.last for each in streams)
        raise InputError(
            f"the log holds nothing of {day.isoformat()}, but from {wall_time.shown_day(first, args.zone)} to "
            f"{wall_time.shown_day(last, args.zone)}"
        )
    return day, replace(where, since=since, until=until)


def text(page: Page) -> str:
    """For a terminal."""
    rows = [(each.began, each.lasted, each.stream, each.words) for each in page.entries]
    table = console.table(rows, header=("began", "for", "stream", "words"))
    return f"{page.title}: {page.summary}\n{table}"


def plain(page: Page, found: Digest) -> dict[str, Any]:
    """A digest for JSON."""
    fresh = {id(each) for each in found.decoded}
    return {
        "title": page.title,
        "changes": found.changes,
        "decoded": len(found.decoded),
        "segments": [
            {
                "stream": each.stream,
                "query": each.query,
                "start_s": round(each.start_s, 3),
                "end_s": round(each.end_s, 3),
                "began": wall_time.iso(each.began),
                "ended": wall_time.iso(each.time),
                "change": round(each.change, 4),
                "text": each.text,
                "unknown": each.unknown,
                "decoded": id(each) in fresh,
            }
            for each in found.segments
        ],
    }
