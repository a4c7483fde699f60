"""`vljepa selective`: quality of the words against how often they are made, per selection policy, on long streams."""

from __future__ import annotations

import argparse
from pathlib import Path

from vljepa_apps import arguments, console, tables
from vljepa_apps.outputs import refuse_existing

STREAMS, TUNING, MINUTES, STRIDE_S = 50, 12, 5.0, 0.5

EXAMPLE = "vljepa selective tiny --streams 5 --out selective"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser, optional=True)
    arguments.add_number(parser, "--streams", STREAMS, "streams")
    arguments.add_number(
        parser,
        "--tuning",
        TUNING,
        "further streams, to fit what tells events apart and choose a setting per policy; 0 measures the bundle's own",
        kind=arguments.count,
    )
    parser.add_argument(
        "--hands",
        type=Path,
        metavar="DIR",
        help="photographs of hand signs, for occasional hands in the streams",
    )
    arguments.add_number(parser, "--minutes", MINUTES, "length of each", kind=arguments.positive, metavar="M")
    arguments.add_number(
        parser, "--stride", STRIDE_S, "seconds between windows", kind=arguments.positive, metavar="S"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for curve.json, curve.png, boundaries.safetensors and the recorded embeddings; "
        "a stopped run goes on from these",
    )
    parser.add_argument("--force", action="store_true", help="replace a curve that is already in DIR")
    arguments.add_json(parser)
    arguments.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Record, decode, score; print the ratios and write the curve."""
    from vljepa_apps.measure import selective
    from vljepa_apps.measure.figures import require_matplotlib
    from vljepa_evaluation.tasks import StreamPlan
    from vljepa_runtime.files import check_folder, replace_file
    from vljepa_runtime.printable import json_text

    require_matplotlib()
    recordings = args.out / "recordings"
    check_folder(recordings)
    recordings.mkdir(parents=True, exist_ok=True)
    curve, picture = args.out / "curve.json", args.out / "curve.png"
    refuse_existing([curve, picture], force=args.force)
    found = selective.measure_savings(
        arguments.load_model(args),
        StreamPlan(minutes=args.minutes, stride_s=args.stride),
        streams=args.streams,
        tuning=args.tuning,
        folder=recordings,
        hands=args.hands,
    )
    report = found.to_dict()
    replace_file(curve, json_text(report, indent=2).encode())
    selective.draw(found.curves, picture)
    console.report(report, lambda: tables.text(selective.tables(found)), as_json=args.json)
    return 0
