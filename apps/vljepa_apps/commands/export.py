"""`vljepa export`: checkpoint in, bundle out, every graph compared with torch before anything is written."""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console

if TYPE_CHECKING:
    from vljepa_export import ExportReport

SUMMARY = "turn a checkpoint into a bundle, checked for parity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="folder that `vljepa train` wrote, or `tiny`, the shipped one",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="the bundle to write (default: CHECKPOINT's name with .vljepa)",
    )
    parser.add_argument(
        "--precision", default="int8", metavar="P",
        help="int8 (default), int4 (ONNX Runtime only), fp32, or per graph: `x_encoder=int8,y_encoder=fp32`, "
        "what is not named is fp32",
    )  # fmt: skip
    parser.add_argument(
        "--folder",
        action="store_true",
        help="write a folder, not one .vljepa file; large models always get one",
    )
    parser.add_argument("--force", action="store_true", help="replace the bundle that is at OUT")
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Check the arguments, export, and print what was made."""
    require_extra()
    from vljepa_export import export_bundle
    from vljepa_export.request import default_output, prepare

    precision = parse_precision(args.precision)
    out = args.out or default_output(args.checkpoint, precision)
    prepare(args.checkpoint, out, precision=precision, force=args.force)
    with console.Progress("exporting", total=1) as progress:

        def show(done: int, total: int, what: str) -> None:
            progress.total = total
            progress.update(done, detail=what)

        report = export_bundle(
            args.checkpoint,
            out,
            precision=precision,
            archive=False if args.folder else None,
            force=args.force,
            progress=show,
        )
    print(json.dumps(report.to_dict(), indent=2) if args.json else text(report))
    if not args.json:
        console.note(f"\nnext: vljepa inspect {report.path}\n      vljepa run {report.path} VIDEO")
    return 0


def parse_precision(value: str) -> str | dict[str, str]:
    """`int8` -> `int8`; `x_encoder=int8,y_encoder=fp32` -> a mapping.

    Raises:
        InputError: it is neither form.
    """
    from vljepa_runtime.errors import InputError

    if "=" not in value:
        return value.strip()
    pairs = [part.split("=") for part in value.split(",")]
    if wrong := [
        part for part, pair in zip(value.split(","), pairs) if len(pair) != 2 or not all(map(str.strip, pair))
    ]:
        raise InputError(f"expected GRAPH=PRECISION pairs with commas between them, got {wrong[0]!r}")
    return {graph.strip(): precision.strip() for graph, precision in pairs}


def text(report: ExportReport) -> str:
    """The result for people."""
    rows = [
        (
            graph.name, graph.precision, console.size(graph.bytes), f"{graph.parity.mean_cosine:.6f}",
            f"{graph.parity.p1_cosine:.6f}", f"{graph.parity.worst_cosine:.6f}", f"{graph.parity.max_abs:.2g}",
            f"{graph.parity.psnr_db:.1f}", f"{graph.seconds:.1f}",
        )
        for graph in report.graphs
    ]  # fmt: skip
    header = ("graph", "precision", "size", "mean cos", "p1 cos", "worst cos", "max abs", "PSNR dB", "s")
    lines = ["against torch, on seeded clips and texts of the world:", console.table(rows, header=header)]
    lines += [f"note: {graph.name} {graph.note}" for graph in report.graphs if graph.note]
    shared = (
        f", {console.size(report.shared_bytes)} shared by the decoder's graphs" if report.shared_bytes else ""
    )
    return "\n".join(
        [
            *lines,
            (
                f"{report.path}: {console.size(report.bytes)}{shared}, {console.duration(report.seconds)}, "
                f"at most {report.peak_rss_mb / 1000:.1f} GB of memory"
            ),
        ]
    )


def require_extra() -> None:
    """Say which extra is missing before a later import does.

    Raises:
        MissingExtraError: a package of the `export` extra is not installed.
    """
    from vljepa_runtime.errors import MissingExtraError

    for package in ("onnx", "onnxscript", "safetensors", "torch"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "export")
