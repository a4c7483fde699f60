"""`vljepa selective`: quality of the words against how often they are made, per selection policy, on long streams."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console

if TYPE_CHECKING:
    from vljepa_evaluation.tasks.selective import Curve, HeldOut, Ratio
    from vljepa_evaluation.tasks.streams import Recording
    from vljepa_runtime import Model

STREAMS, TUNING, MINUTES, STRIDE_S = 50, 12, 5.0, 0.5
CURVE_HEADER = ("policy", "setting", "decodings/min", "CIDEr-D", "95 %")
HELD_OUT_HEADER = ("policy", "setting", "decodings/min", "fewer than 1 Hz", "95 %", "CIDEr-D gain", "95 %")
RATIO_HEADER = ("policy", "fewer than 1 Hz", "95 %", "than sparsest uniform")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser, optional=True)
    parser.add_argument(
        "--streams",
        type=arguments.positive_int,
        default=STREAMS,
        metavar="N",
        help=f"streams (default {STREAMS})",
    )
    parser.add_argument(
        "--tuning",
        type=arguments.count,
        default=TUNING,
        metavar="N",
        help=f"further streams, to choose a setting per policy on (default {TUNING})",
    )
    parser.add_argument(
        "--hands",
        type=Path,
        metavar="DIR",
        help="photographs of hand signs, for occasional hands in the streams",
    )
    parser.add_argument(
        "--minutes",
        type=arguments.positive,
        default=MINUTES,
        metavar="M",
        help=f"length of each (default {MINUTES:g})",
    )
    parser.add_argument(
        "--stride",
        type=arguments.positive,
        default=STRIDE_S,
        metavar="S",
        help=f"seconds between windows (default {STRIDE_S:g})",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for curve.json, curve.png and the recorded embeddings; a stopped run goes on from them",
    )
    parser.add_argument("--force", action="store_true", help="replace a curve that is already in DIR")
    arguments.add_json(parser)
    arguments.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Record, decode, score; print the ratios and write the curve."""
    from vljepa_apps.measure.report_picture import draw_curves, require_matplotlib
    from vljepa_evaluation.tasks.selective import held_out, ratios
    from vljepa_evaluation.tasks.streams import FIRST_STREAM, FIRST_TUNING
    from vljepa_runtime.files.atomic import check_folder, replace_file
    from vljepa_runtime.printable import json_text

    require_matplotlib()
    recordings_folder = args.out / "recordings"
    check_folder(recordings_folder)
    recordings_folder.mkdir(parents=True, exist_ok=True)
    files = [args.out / "curve.json", args.out / "curve.png"]
    arguments.refuse_existing(files, force=args.force)
    model = arguments.load_model(args)
    seeds = [
        *range(FIRST_TUNING, FIRST_TUNING + args.tuning),
        *range(FIRST_STREAM, FIRST_STREAM + args.streams),
    ]
    everything = record_all(model, args, recordings_folder, seeds)
    recordings = everything[args.tuning :]
    measured = decode_all("decoding", recordings, model)
    compared = ratios(measured)
    tuning = everything[: args.tuning]
    chosen_on = decode_all("decoding, tuning", tuning, model) if tuning else ()
    settled = held_out(chosen_on, measured) if tuning else ()
    report = to_dict(model, args, recordings, measured, compared, settled)
    report["tuning_curves"] = [curve.to_dict() for curve in chosen_on]
    replace_file(files[0], json_text(report, indent=2).encode())
    draw_curves(measured, files[1])
    if args.json:
        console.document(report, indent=2)
    else:
        console.result(text(measured, compared, settled))
    return 0


def decode_all(label: str, recordings: Sequence[Recording], model: Model) -> tuple[Curve, ...]:
    """Every policy's words for every stream, scored."""
    from vljepa_evaluation.tasks.selective import curves

    with console.Progress(label, total=1.0) as progress:
        return curves(
            recordings, model.decode, progress=lambda share, what: progress.update(share, detail=what)
        )


def record_all(model: Model, args: argparse.Namespace, folder: Path, seeds: Sequence[int]) -> list[Recording]:
    """Every stream's embeddings, those already in the folder read from there."""
    from vljepa_data.world import HandBank
    from vljepa_evaluation.tasks.streams import StreamPlan, record

    plan = StreamPlan(minutes=args.minutes, stride_s=args.stride)
    key = fingerprint(model)
    hands = HandBank.load(args.hands, "val") if args.hands else None
    recordings = []
    with console.Progress("embedding", total=len(seeds)) as progress:
        for number, seed in enumerate(seeds, start=1):
            recordings.append(
                record(model, seed, plan, model.preprocess, hands=hands, cache=folder, model_key=key)
            )
            progress.advance(detail=f"stream {number}")
    return recordings


def fingerprint(model: Model) -> str:
    """Names the bundle's weights and the engine, so that recordings of two models are never mixed."""
    manifest = model.bundle.manifest
    parts = [model.engine_name, *(f"{name} {spec.sha256}" for name, spec in sorted(manifest.files.items()))]
    return f"{manifest.name}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def to_dict(
    model: Model,
    args: argparse.Namespace,
    recordings: Sequence[Recording],
    measured: Sequence[Curve],
    compared: Sequence[Ratio],
    settled: Sequence[HeldOut],
) -> dict[str, Any]:
    """Everything measured, with how."""
    return {
        "bundle": model.bundle.name,
        "engine": model.engine_name,
        "streams": args.streams,
        "minutes": args.minutes,
        "stride_s": args.stride,
        "annotations": sum(len(recording.references) for recording in recordings),
        "windows": sum(len(recording.embeddings) for recording in recordings),
        "curves": [curve.to_dict() for curve in measured],
        "ratios": [ratio.to_dict() for ratio in compared],
        "tuning_streams": args.tuning,
        "held_out": [each.to_dict() for each in settled],
    }


def text(measured: Sequence[Curve], compared: Sequence[Ratio], settled: Sequence[HeldOut]) -> str:
    """The tables for a terminal."""
    points = [
        (curve.policy, f"{setting:g}", f"{rate:.2f}", f"{q.value:.3f}", f"{q.low:.3f}-{q.high:.3f}")
        for curve in measured
        for setting, rate, q in zip(curve.settings, curve.rates.tolist(), curve.quality)
    ]
    rows = [
        (
            r.policy,
            f"{r.ratio.value:.2f}x" if r.ratio else "never as good",
            f"{r.ratio.low:.2f}-{r.ratio.high:.2f}" if r.ratio else "n/a",
            f"{r.against_sparsest:.2f}x" if r.against_sparsest else "n/a",
        )
        for r in compared
    ]
    first = console.table(points, header=CURVE_HEADER)
    tables = [("curve", first), ("fewer decodings at equal CIDEr", console.table(rows, header=RATIO_HEADER))]
    if settled:
        chosen = [
            (
                s.policy,
                f"{s.setting:g}",
                f"{s.per_minute:.2f}",
                f"{s.fewer.value:.2f}x",
                f"{s.fewer.low:.2f}-{s.fewer.high:.2f}",
                f"{s.gain.value:+.3f}",
                f"{s.gain.low:+.3f} to {s.gain.high:+.3f}",
            )
            for s in settled
        ]
        tables.append(("settings chosen on other streams", console.table(chosen, header=HELD_OUT_HEADER)))
    return "\n\n".join(f"{title}\n{table}" for title, table in tables)
