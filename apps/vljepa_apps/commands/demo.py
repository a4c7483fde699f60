"""`vljepa demo`: the shipped bundle watches a stream whose truth is known, or yours, and says what it saved."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_apps.demo import folder as demo_folder
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_apps.demo.report import Report
    from vljepa_apps.demo.truth import Truth
    from vljepa_apps.demo.watch import Told, Viewing
    from vljepa_runtime import Model
    from vljepa_runtime.sources import Source


MINUTES = 1.5
MOST_MINUTES = 60.0
SEED = 7
SIZE, FPS = 256, 12
WORDS = 44  # width of a column of text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help=f"{arguments.SOURCE_HELP}; without it a procedural stream whose truth is known",
    )
    arguments.add_stretch(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=demo_folder.DEFAULT,
        metavar="DIR",
        help=f"folder for the results (default {demo_folder.DEFAULT}, which a later demo may replace)",
    )
    parser.add_argument(
        "--minutes",
        type=minutes,
        metavar="M",
        help=f"length of the stream (default {MINUTES:g}; a file is read to its end)",
    )
    parser.add_argument(
        "--seed",
        type=arguments.count,
        default=SEED,
        metavar="N",
        help=f"another procedural stream (default {SEED})",
    )
    arguments.add_select(parser)
    parser.add_argument(
        "--bundle",
        default="tiny",
        metavar="B",
        help="a .vljepa folder or file (default tiny, the shipped one)",
    )
    parser.add_argument("--force", action="store_true", help="write into a folder that holds other things")
    arguments.add_json(parser)
    arguments.add_engine(parser)


def minutes(text: str) -> float:
    """A length that ends, for argparse."""
    value = arguments.positive(text)
    if value > MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"expected at most {MOST_MINUTES:g} minutes, got {text}")
    return value


def run(args: argparse.Namespace) -> int:
    """Make or open the stream, watch it, and write and print what came of it."""
    from vljepa_runtime.sources import open_source, resolve

    model = arguments.load_model(args)
    if not model.has_decoder:
        raise InputError(
            f"{args.bundle} has no Y-decoder, and the demo is about words: choose another bundle"
        )
    if args.source is None:
        paths = demo_folder.prepare(args.out, source=None, force=args.force)
        truth = make_stream(paths["stream"], seed=args.seed, minutes=args.minutes or MINUTES)
        source = open_source(paths["stream"])
    else:
        # a wrong name must not cost the last demo's results
        source, truth = open_source(args.source, stretch=args.stretch), None
        paths = demo_folder.prepare(args.out, source=resolve(args.source), force=args.force)
        del paths["stream"]
    with source:
        live = source.live
        watched = watched_with_rows(model, source, truth, args, paths)
    report = reported(model, watched, truth, source.name, args, paths)
    finish(report, paths, as_json=args.json)
    if watched.interrupted and not live:
        raise KeyboardInterrupt
    return 0


def make_stream(path: Path, *, seed: int, minutes: float) -> Truth:
    """Write a stream of the procedural world as a video file; its truth."""
    from vljepa_apps.demo.stream import write_video
    from vljepa_apps.demo.truth import Truth
    from vljepa_data.world import Split
    from vljepa_data.world.stream import make_stream as plan

    stream = plan(seed, Split.TEST, minutes=minutes, size=SIZE, fps=FPS)
    with console.Progress("writing the stream", total=len(stream)) as progress:
        write_video(counted(stream, progress.advance), path, fps=FPS)
    return Truth.of(stream)


def counted(items: Any, count: Callable[[], None]) -> Any:
    """The items, each counted as it passes."""
    for item in items:
        yield item
        count()


def watched_with_rows(
    model: Model, source: Source, truth: Truth | None, args: argparse.Namespace, paths: dict[str, Path]
) -> Viewing:
    """Watch the source; a row on stdout for each event, progress on stderr."""
    from vljepa_apps.demo.watch import watch

    limit_s = args.minutes * 60 if args.minutes else MINUTES * 60 if source.live else None
    total = truth.events[-1].end_s if truth else limit_s
    if not args.json:
        console.result(row("time", "decoded", "truth" if truth else "", "match" if truth else ""))
    with console.Progress("watching", total=total) as progress:

        def tell(told: Told) -> None:
            if not args.json:
                progress.clear()
                console.result(row(clock(told.time_s), told.text, told.true_text, told.mark.value))

        viewing = watch(
            model,
            source,
            truth=truth,
            select=args.select,
            video=paths["video"],
            events=paths["events"],
            limit_s=limit_s if args.source is not None else None,
            on_told=tell,
            on_time=progress.update,
        )
        if total and not viewing.interrupted:
            progress.done = total
    return viewing


def row(time: str, said: str, true: str, mark: str) -> str:
    """One row of the table; a long text goes on below, in its column."""
    cells = zip_longest([time], wrap(said, WORDS), wrap(true, WORDS), [mark], fillvalue="")
    return "\n".join(f"{t:>6}  {s:<{WORDS}}  {r:<{WORDS}}  {m}".rstrip() for t, s, r, m in cells)


def clock(seconds: float) -> str:
    """`75.2` -> `1:15`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def reported(
    model: Model,
    watched: Viewing,
    truth: Truth | None,
    source: str,
    args: argparse.Namespace,
    paths: dict[str, Path],
) -> Report:
    """The run as a report."""
    from vljepa_apps.demo.report import Report

    told = watched.told
    return Report(
        bundle=model.bundle.name,
        engine=model.engine_name,
        source=source,
        seed=args.seed if truth else None,
        window_s=model.preprocess.seconds,
        watched=watched,
        truth=truth,
        agreement=truth.agreement([t.text for t in told], [t.time_s for t in told]) if truth else None,
        outputs=paths,
    )


def finish(report: Report, paths: dict[str, Path], *, as_json: bool) -> None:
    """Write the picture and the report, and say what came of it."""
    from vljepa_apps.demo.timeline import draw_timeline, save_png
    from vljepa_runtime.files.atomic import replace_file
    from vljepa_runtime.printable import json_text

    save_png(draw_timeline(report.timeline()), paths["timeline"])
    replace_file(paths["report"], f"{json_text(report.to_dict(), indent=2)}\n".encode())
    if as_json:
        console.document(report.to_dict())
    else:
        console.result("\n".join(["", *report.lines()]))
