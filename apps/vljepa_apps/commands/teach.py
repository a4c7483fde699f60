"""`vljepa teach`: a few examples of each state become a file of states, for `vljepa run --states`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_apps.outputs import refuse_existing
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_teach import Example, Taught

EXAMPLE = "vljepa teach examples/ --out states.json"
TABLES = (".csv", ".jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "place",
        metavar="PLACE",
        help="folder with a subfolder of pictures or clips per state; a table (path, text, start_s, end_s); or a log",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where the states go, as JSON"
    )
    parser.add_argument(
        "--state",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "STREAM@S[-S]"),
        help="PLACE is a log: these moments of its streams, in seconds, show NAME; may be repeated",
    )
    parser.add_argument(
        "--moments", type=Path, metavar="FILE", help="the same as a table (stream, text, start_s, end_s)"
    )
    parser.add_argument("--bundle", default="tiny", metavar="BUNDLE", help="default: tiny, the shipped one")
    parser.add_argument(
        "--query",
        metavar="Q",
        help="what to ask of every example (default: for a caption; what a log was asked)",
    )
    parser.add_argument(
        "--feature",
        choices=("auto", "embedding", "tokens"),
        default="auto",
        help="what to look at: predicted embedding, pooled visual tokens, or what leave-one-out finds better",
    )
    arguments.add_number(
        parser,
        "--unsure",
        0.05,
        "share of windows of known states that may be called unsure, 0 to 0.5",
        kind=arguments.non_negative,
        metavar="SHARE",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    arguments.add_engine(parser)
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Learn, write the file, and say how good it is."""
    inputs = (args.place, args.moments, args.bundle)
    refuse_existing([args.out], force=args.force, inputs=inputs)
    taught = from_log(args) if args.state or args.moments else from_files(args)
    taught.states.save(args.out)
    console.report(plain(taught, args.out), lambda: text(taught, args.out), as_json=args.json)
    return 0


def from_files(args: argparse.Namespace) -> Taught:
    """What pictures and clips teach."""
    from vljepa_log import is_log
    from vljepa_teach import examples_in_folder, examples_in_table, teach

    if is_log(args.place):
        raise InputError(
            f"{args.place} is a log: name moments of it with --state NAME STREAM@S-S, or --moments FILE"
        )
    place = Path(args.place)
    is_table = place.suffix.lower() in TABLES and not place.is_dir()
    examples = (examples_in_table if is_table else examples_in_folder)(place)
    model = arguments.load_model(args)
    with console.Progress("encoding examples") as progress:
        return teach(
            model,
            examples,
            query=args.query,
            feature=args.feature,
            unsure=args.unsure,
            on_example=progress.step,
        )


def from_log(args: argparse.Namespace) -> Taught:
    """What moments of a log teach; the model need not be loaded for that."""
    from vljepa_log import LogReader
    from vljepa_runtime import Bundle
    from vljepa_teach import moments_in_table, teach_from_log

    if args.feature == "tokens":
        raise InputError(
            "a log keeps predicted embeddings and no tokens: leave out --feature, or teach from clips"
        )
    moments = [moment(words[0], word) for words in args.state for word in words[1:]]
    if alone := [words[0] for words in args.state if len(words) < 2]:
        raise InputError(f"expected moments after --state {alone[0]}, such as front@10-20")
    if args.moments:
        moments += moments_in_table(args.moments)
    manifest = Bundle.open(args.bundle).manifest
    with LogReader(args.place, manifest) as log:
        return teach_from_log(log, manifest, moments, query=args.query, unsure=args.unsure)


def moment(state: str, word: str) -> Example:
    """`front@10-20` or `front@12.5` as an example.

    Raises:
        InputError: it is neither.
    """
    from vljepa_teach import Example

    stream, at, span = word.rpartition("@")
    start, dash, end = span.partition("-")
    try:
        if not stream or not at:
            raise ValueError(word)
        start_s, end_s = float(start), float(end if dash else start)
    except ValueError:
        raise InputError(f"expected STREAM@S or STREAM@S-S, such as front@10-20, got {word!r}") from None
    return Example(state, stream, start_s, end_s)


def plain(taught: Taught, out: Path) -> dict[str, Any]:
    """What was learned, for JSON."""
    states = taught.states
    return {
        "states": str(out),
        "names": list(states.names),
        "examples": dict(taught.examples),
        "windows": {each.name: each.examples for each in states.states},
        "feature": states.feature,
        "because": taught.because,
        "query": states.query,
        "tried": {name: round(value, 4) for name, value in taught.tried.items()},
        "accuracy": round(states.held_out.accuracy, 4),
        "unsure": round(states.held_out.unsure, 4),
        "confusion": [list(row) for row in states.held_out.confusion],
        "choices": [
            dict(zip(("unsure", "is_unsure", "right"), (round(value, 4) for value in row)))
            for row in taught.choices
        ],
        "warnings": list(taught.warnings),
    }


def text(taught: Taught, out: Path) -> str:
    """The same for people: what was shown, how good it is, which are mixed up, and what to do next."""
    states, held_out = taught.states, taught.states.held_out
    rows = [
        (
            each.name,
            taught.examples[each.name],
            each.examples,
            f"{found[number] / sum(found):.0%}",
            f"{found[-1] / sum(found):.0%}",
        )
        for number, (each, found) in enumerate(zip(states.states, held_out.confusion))
    ]
    mixed = [(name, *(value or "." for value in row)) for name, row in zip(states.names, held_out.confusion)]
    tried = ", ".join(f"{name} {value:.0%}" for name, value in taught.tried.items())
    choices = [
        (f"--unsure {share:g}", f"{unsure:.0%}", f"{right:.0%}") for share, unsure, right in taught.choices
    ]
    parts = [
        f"{out}: {len(rows)} states, {held_out.accuracy:.0%} of left out windows right (guessing: {1 / len(rows):.0%})",
        console.table(rows, header=("state", "examples", "windows", "right", "unsure")),
        "called (each row's windows):",
        console.table(mixed, header=("shows", *states.names, "unsure")),
        f"looks at the {states.feature} ({tried}): {taught.because}",
        "of what it is sure of:",
        console.table(choices, header=("", "unsure", "right")),
        *(f"warning: {each}" for each in taught.warnings),
        f"next: vljepa run BUNDLE SOURCE --states {out}",
    ]
    return "\n".join(parts)
