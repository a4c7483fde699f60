"""`vljepa demo`: the shipped bundle watches a stream whose truth is known, or yours, and says what it saved."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console
from vljepa_apps.demo import folder
from vljepa_apps.profile_options import add_profile, select_by_profile, session_options, take_profile
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_apps.demo.ground_truth import GroundTruth
    from vljepa_apps.demo.run import Decoding, DemoRun
    from vljepa_runtime import Model
    from vljepa_runtime.sources import Source

MINUTES, STRIDE_S = 1.5, 1.0
MOST_MINUTES = 60.0
SEED = 7

EXAMPLE = "vljepa demo clip.mp4 --out demo-mine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help=f"{arguments.SOURCE_HELP}; without it a procedural stream whose truth is known",
    )
    arguments.add_stretch(parser)
    arguments.add_hwaccel(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=folder.DEFAULT,
        metavar="DIR",
        help=f"folder for the results (default {folder.DEFAULT}, which a later demo may replace)",
    )
    parser.add_argument(
        "--minutes",
        type=minutes,
        metavar="M",
        help=f"length of the stream (default {MINUTES:g}; a file is read to its end)",
    )
    arguments.add_number(parser, "--seed", SEED, "another procedural stream", kind=arguments.count)
    arguments.add_select(parser)
    parser.add_argument(
        "--bundle",
        default="tiny",
        metavar="B",
        help="a .vljepa folder or file (default tiny, the shipped one)",
    )
    parser.add_argument("--force", action="store_true", help="write into a folder that holds other things")
    arguments.add_json(parser)
    arguments.add_quiet(parser)
    arguments.add_engine(parser)
    add_profile(parser, stride=STRIDE_S, tokens="all", carry=0.0)


def minutes(text: str) -> float:
    """A length that ends, for argparse."""
    value = arguments.positive(text)
    if value > MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"expected at most {MOST_MINUTES:g} minutes, got {text}")
    return value


def run(args: argparse.Namespace) -> int:
    """Make or open the stream, run over it, and write and print what came of it."""
    from vljepa_apps.demo.ground_truth import GroundTruth
    from vljepa_apps.demo.report import DemoReport
    from vljepa_apps.demo.stream import write_stream
    from vljepa_apps.scope import tell_scope
    from vljepa_runtime.sources import open_source, resolve

    profile = take_profile(args)
    model = arguments.load_model(args)
    select_by_profile(args, profile, model)
    if not model.has_decoder:
        raise InputError(
            f"{args.bundle} has no Y-decoder, and the demo is about words: choose another bundle"
        )
    if args.source is None:
        paths, seed = folder.prepare(args.out, source=None, force=args.force), args.seed
        stream = write_stream(paths["stream"], seed=seed, minutes=args.minutes or MINUTES)
        truth, source = GroundTruth.of(stream), open_source(paths["stream"])
    else:
        # a wrong name must not cost the last demo's results
        source = open_source(args.source, stretch=args.stretch, hwaccel=args.hwaccel)
        truth, seed = None, None
        paths = folder.prepare(args.out, source=resolve(args.source), force=args.force)
        del paths["stream"]
    with source:
        live = source.live
        if args.source is not None:
            tell_scope(model.bundle, args.source, quiet=args.quiet or args.json)
        found = run_with_rows(model, source, truth, args, paths)
    report = DemoReport.of(model, found, truth, source=source.name, seed=seed, outputs=paths)
    report.write()
    console.report(report.to_dict(), lambda: "\n".join(["", *report.lines()]), as_json=args.json, indent=None)
    if found.interrupted and not live:
        raise KeyboardInterrupt
    return 0


def run_with_rows(
    model: Model, source: Source, truth: GroundTruth | None, args: argparse.Namespace, paths: dict[str, Path]
) -> DemoRun:
    """Run over the source; a row on stdout for each decoding, progress on stderr."""
    from vljepa_apps.demo.rows import header, row
    from vljepa_apps.demo.run import run_demo

    limit_s = args.minutes * 60 if args.minutes else MINUTES * 60 if source.live else None
    total = truth.events[-1].end_s if truth else limit_s
    if not args.json:
        console.result(header(truth=truth is not None))
    with console.Progress("watching", total=total) as progress:

        def show(decoding: Decoding) -> None:
            progress.clear()
            console.result(row(decoding))

        found = run_demo(
            model,
            source,
            truth=truth,
            options=session_options(args),
            video=paths["video"],
            events=paths["events"],
            limit_s=limit_s if args.source is not None else None,
            on_decoding=(lambda decoding: None) if args.json else show,
            on_time=progress.update,
        )
        if total and not found.interrupted:
            progress.done = total
    return found
