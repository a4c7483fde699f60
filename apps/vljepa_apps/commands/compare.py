"""`vljepa compare`: bundles against each other and PyTorch: accuracy, decisions, parity, latency in turns, memory."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console, own_clips
from vljepa_apps.cluster import ray_cluster
from vljepa_apps.measure.baselines.table import KINDS, kind_of
from vljepa_apps.outputs import refuse_existing
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.measuring import Measuring
    from vljepa_apps.measure.subject import Subject

NO_TASKS = "none"
CLIPS = 300
MAX_CLIPS = 10_000
STREAMS = 6
KEPT = Path(".cache", "vljepa", "compare")
WAITING = "gathered"

EXAMPLE = "vljepa compare tiny tiny-openvino.vljepa --tasks classification"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "bundles",
        metavar="LINE",
        nargs="+",
        help="bundles to compare, or `tiny`, the shipped one; or other models: "
        + ", ".join(kind.form for kind in KINDS.values())
        + " (docs/comparing.md)",
    )
    parser.add_argument(
        "--against",
        metavar="torch[:FOLDER]",
        help="also measure a checkpoint in eager float32 PyTorch: `torch` is the shipped one",
    )
    parser.add_argument(
        "--tasks",
        metavar="T,T",
        help="of the procedural world: all (default; none with --data), none, or of classification, composition, "
        "retrieval, vqa, vqa/TYPE, captions, hands",
    )
    parser.add_argument(
        "--clips",
        type=arguments.positive_int,
        default=CLIPS,
        metavar="N",
        help=f"held-out clips per task (default {CLIPS}; 2000 for figures to publish)",
    )
    parser.add_argument(
        "--until",
        type=half_width,
        metavar="Npt",
        help="draw more clips, a batch of --clips at a time, until every interval (of the differences to the first "
        "bundle; of the accuracy of one alone) is within +-N points",
    )
    parser.add_argument(
        "--max-clips",
        type=arguments.positive_int,
        default=MAX_CLIPS,
        metavar="N",
        help=f"clips per task at which --until gives up (default {MAX_CLIPS})",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep every cell that was measured here, for good; without it cells are kept until the comparison has "
        "ended, so that the same command goes on where it was stopped",
    )
    parser.add_argument(
        "--engines",
        metavar="E,E",
        help="run each bundle on each of these engines, a line each (instead of --engine)",
    )
    parser.add_argument(
        "--streams",
        nargs="?",
        const=str(STREAMS),
        metavar="N|FILE",
        help=f"also let each model decide when words are wanted: on N streams of the procedural world ({STREAMS} "
        "without a number), or on the recordings of an annotation file whose segments say what happens when",
    )
    parser.add_argument(
        "--expect",
        metavar="equal|Npt",
        help="exit with 1 unless so: equal, no difference to the first bundle was found; Npt, every task is known to "
        "lie within N points of it",
    )
    parser.add_argument(
        "--hands", type=Path, metavar="DIR", help="photographs of hand signs, for the task hands"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=60,
        metavar="N",
        help="timed runs per cell (default 60); 0 skips latency",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--png", type=Path, metavar="FILE", help="also draw accuracy and latency")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write one page with everything: charts, confusions, worst clips; it needs no network",
    )
    parser.add_argument("--force", action="store_true", help="replace output files that exist")
    own_clips.add_data(parser)
    arguments.add_json(parser)
    arguments.add_engine(parser)
    ray_cluster.add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Print the report; exit code 1 when something could not be measured, or is not as expected."""
    from vljepa_apps.measure.compare.judging import expectation
    from vljepa_apps.measure.compare.kept import KeptCells
    from vljepa_apps.measure.compare.picture import draw
    from vljepa_apps.measure.compare.run import Plan, compare
    from vljepa_apps.measure.compare.tables import markdown, text
    from vljepa_apps.measure.figures import require_matplotlib
    from vljepa_apps.measure.streams import streams_named
    from vljepa_apps.measure.subject import TORCH
    from vljepa_runtime.files import replace_file
    from vljepa_runtime.printable import printable

    if args.expect:
        expectation(args.expect)
        if len(args.bundles) + bool(args.against) < 2:
            raise InputError(
                "expected two bundles with --expect, got one: name what it is compared with first"
            )
    refuse_existing([args.markdown, args.png, args.html], force=args.force, inputs=args.bundles)
    if args.png:
        require_matplotlib()
    if args.rounds < 0:
        raise InputError(f"expected --rounds of at least 0, got {args.rounds}")
    if args.against and args.against != TORCH and not args.against.startswith(f"{TORCH}:"):
        raise InputError(
            f"expected --against torch or torch:FOLDER, got {args.against!r}: name bundles without it"
        )
    data = own_clips.data_specs(args)
    if args.until and data:
        raise InputError("expected no --data with --until: a data set has no more clips than it has")
    plan = Plan(
        tasks=tasks(args.tasks or (NO_TASKS if data else "all")),
        clips=args.clips,
        until=args.until,
        max_clips=args.max_clips,
        hands=str(args.hands) if args.hands else None,
        rounds=args.rounds,
        data=data,
        streams=streams_named(args.streams) if args.streams else None,
    )
    own_clips.look_at_data(data)
    kept = KeptCells(args.keep or Path.home() / KEPT)
    with measuring(args) as who:
        report = compare(subjects(args), plan, kept, who)
    if not args.keep and not report.failed:
        kept.forget()
    console.report(report.to_dict(), lambda: text(report), as_json=args.json)
    if args.markdown:
        replace_file(args.markdown, printable(markdown(report), lines=True).encode())
    if args.png:
        draw(report, args.png)
    if args.html:
        from vljepa_apps.measure.compare.html import page

        replace_file(args.html, page(report, command=command(args)).encode())
    unexpected = [each for each in report.verdicts if args.expect and not each.keeps(args.expect)]
    for verdict in unexpected:
        console.note(f"not as expected ({args.expect}): {verdict}")
    return 1 if report.failed or unexpected else 0


@contextmanager
def measuring(args: argparse.Namespace) -> Iterator[Measuring]:
    """Who measures accuracy: this machine, or the cluster that --on names."""
    from vljepa_apps.measure.compare.batches import HERE
    from vljepa_apps.measure.compare.measuring import Elsewhere

    if (place := ray_cluster.place_of(args)) is None:
        yield HERE
        return
    with ray_cluster.cluster(place) as cluster:
        yield Elsewhere(cluster, (args.keep or Path.home() / KEPT) / WAITING)


def subjects(args: argparse.Namespace) -> list[Subject]:
    """The lines: every bundle on every engine, then PyTorch.

    Raises:
        InputError: --engines came with --engine, or names none.
    """
    from vljepa_apps.measure.subject import Subject

    options = arguments.engine_options(args)
    engines = [name.strip() for name in (args.engines or "").split(",") if name.strip()]
    if args.engines is not None and (not engines or options["engine"] != "auto"):
        raise InputError("expected names of engines with --engines, and no --engine beside it")
    lines = [
        Subject(spec=spec, **options | {"engine": engine})
        for spec in args.bundles
        for engine in (engines if engines and not kind_of(spec) else [options["engine"]])
    ]
    return [*lines, *([Subject(spec=args.against, **options)] if args.against else [])]


def command(args: argparse.Namespace) -> str:
    """What measures it again, without where it is written."""
    words = ["vljepa", "compare", *args.bundles]
    for name in ("data", "prompt"):
        words += [word for value in getattr(args, name) for word in (f"--{name}", value)]
    for name in ("against", "engines", "tasks", "clips", "until", "hands", "streams", "rounds", "limit", "labels",
                 "templates", "videos", "split", "threads"):  # fmt: skip
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name}", f"{value:g}pt" if name == "until" else str(value)]
    if args.engine != "auto":
        words += ["--engine", args.engine]
    return shlex.join(words)


def half_width(text: str) -> float:
    """`1pt` -> 1.0, as an argument's type."""
    number = text.removesuffix("pt")
    if number == text:
        raise argparse.ArgumentTypeError(f"expected a number of points such as 1pt, got {text!r}")
    return arguments.positive(number)


def tasks(listed: str) -> tuple[str, ...]:
    """Names spelled out.

    Raises:
        InputError: no task has that name.
    """
    from vljepa_evaluation.tasks import expand_tasks

    names = [name.strip() for name in listed.split(",") if name.strip()]
    if names == [NO_TASKS]:
        return ()
    try:
        return expand_tasks(names)
    except ValueError as error:
        raise InputError(str(error)) from error
