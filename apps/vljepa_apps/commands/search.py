"""`vljepa search`: moments of a log that are near to words, to another moment or to a picture. Nothing is decoded."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console, wall_time
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vljepa_log import LogReader, Moment, Where
    from vljepa_runtime import Model

EXAMPLE = "vljepa search LOG 'a red ball falls' --k 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_log(parser)
    parser.add_argument("words", nargs="?", metavar="WORDS", help="what to look for, in your own words")
    parser.add_argument(
        "--like", type=place, metavar="STREAM@S", help="moments like the one of STREAM at S seconds"
    )
    parser.add_argument("--picture", metavar="SOURCE", help="moments like a picture or a clip")
    parser.add_argument("--state", metavar="NAME", help="moments that show this state of --states")
    parser.add_argument("--states", type=Path, metavar="FILE", help="states that vljepa teach wrote")
    arguments.add_number(parser, "--k", 10, "moments to show")
    parser.add_argument(
        "--from",
        type=wall_time.moment,
        dest="since",
        metavar="T",
        help="from this time on, such as 2026-11-27T08:00",
    )
    parser.add_argument("--to", type=wall_time.moment, dest="until", metavar="T", help="before this time")
    parser.add_argument("--thumbnails", type=Path, metavar="DIR", help="write each moment's picture into DIR")
    arguments.add_engine(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object per line instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the moments, best first."""
    from vljepa_log import LogReader, Where
    from vljepa_runtime.alerts import weak_below

    if [bool(args.words and args.words.strip()), bool(args.like), bool(args.picture), bool(args.state)].count(
        True
    ) != 1:
        raise InputError("expected WORDS, --like STREAM@S, --picture SOURCE or --state NAME, one of them")
    if bool(args.state) != bool(args.states):
        raise InputError("expected --state NAME and --states FILE, one of them came alone")
    if args.state and args.query:
        raise InputError("states bring the query that they were taught with: leave out --query")
    if args.since is not None and args.until is not None and args.since >= args.until:
        raise InputError("expected --from before --to")
    where = Where(
        streams=tuple(args.stream), queries=(args.query,) if args.query else (), since=args.since,
        until=args.until,
    )  # fmt: skip
    model = arguments.load_model(args)
    with LogReader(args.log, model.bundle.manifest) as log:
        if args.state:
            moments = showing(args, model, log, where)
        else:
            moments = log.search(wanted(args, model, log), k=args.k, where=where)
        if args.thumbnails:
            write_thumbnails(log, moments, args.thumbnails)
    limit = weak_below(args.words, model.embed_text) if args.words else None
    if args.json:
        for each in moments:
            console.document(plain(each, limit))
    else:
        console.result(text(moments, limit))
    return 0


def wanted(args: argparse.Namespace, model: Model, log: LogReader) -> npt.NDArray[np.float32]:
    """The embedding that is searched for."""
    if args.words:
        row: npt.NDArray[np.float32] = model.embed_text([args.words])[0]
        return row
    if args.picture:
        return model.embed(args.picture)
    stream, at_s = args.like
    return log.embedding_at(stream, at_s, args.query)


def showing(args: argparse.Namespace, model: Model, log: LogReader, where: Where) -> list[Moment]:
    """The moments at which a taught state is the likeliest, and "unsure" does not hold."""
    from vljepa_runtime import States
    from vljepa_runtime.bundle import identity_of

    states = States.read(args.states)
    states.require(identity_of(model.bundle.manifest))
    if states.feature != "embedding":
        raise InputError(
            "these states look at pooled tokens, which a log does not keep: teach with --feature embedding"
        )
    return log.search_by(
        lambda rows: states.held_probability(args.state, rows),
        k=args.k,
        where=replace(where, queries=(states.query,)),
    )


def place(value: str) -> tuple[str, float]:
    """A stream and a time in it, for argparse."""
    stream, at, seconds = value.rpartition("@")
    if not (at and stream):
        raise argparse.ArgumentTypeError(f"expected STREAM@SECONDS, got {value!r}")
    return stream, arguments.non_negative(seconds)


def is_weak(moment: Moment, limit: float | None) -> bool | None:
    """Whether a moment more often shows something else than what was searched for; None where nobody can tell."""
    return None if limit is None else moment.score < limit


def plain(moment: Moment, limit: float | None) -> dict[str, Any]:
    """A moment for JSON."""
    return {
        "stream": moment.stream,
        "start_s": round(moment.start_s, 3),
        "end_s": round(moment.end_s, 3),
        "time": wall_time.iso(moment.time),
        "score": round(moment.score, 4),
        "weak": is_weak(moment, limit),
        "text": moment.text,
        "unknown": moment.unknown,
    }


def text(moments: list[Moment], limit: float | None) -> str:
    """The moments for people, and how many of them are likely to be something else."""
    if not moments:
        return "nothing in the log is meant: see vljepa index, or look at --from, --to, --stream and --query"
    rows = [
        (
            f"{each.score:.3f}",
            f"{each.start_s:.1f} to {each.end_s:.1f} s",
            wall_time.shown_day(each.time, None),
            each.stream,
            each.shown,
        )
        for each in moments
    ]
    table = console.table(rows, header=("score", "in stream time", "ended", "stream", "words"))
    weak = sum(bool(is_weak(each, limit)) for each in moments)
    if not weak:
        return table
    if weak == len(moments):
        told = f"Nothing fits well: all are below {limit:.3f}"
    else:
        told = f"{weak} of them {'is' if weak == 1 else 'are'} below {limit:.3f}"
    return f"{table}\n{told}, where a match more often shows something else."


def write_thumbnails(log: LogReader, moments: list[Moment], folder: Path) -> None:
    """Pictures of the moments by their rank: 01.jpg is the best one's."""
    from vljepa_runtime.files import check_folder, replace_file

    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for rank, each in enumerate(moments, start=1):
        if found := log.picture(each):
            replace_file(folder / f"{rank:02}.jpg", found.jpeg)
