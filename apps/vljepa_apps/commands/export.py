"""`vljepa export`: checkpoint in, bundle out, held to its gates; exit code 1 when it is written outside of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console, own_clips
from vljepa_apps.tables import PARITY_HEADER, WIDTH, notes, parity_cells

if TYPE_CHECKING:
    from vljepa_export import ExportReport, Format, GraphReport

HEADER = ("graph", "precision", "size", *PARITY_HEADER, "s")

EXAMPLE = "vljepa export tiny --format openvino -o tiny-openvino.vljepa"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from vljepa_export.formats import FORMATS

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    rows = [f"  {row.name:<13} {', '.join(row.precisions)}" for row in FORMATS.values()]
    parser.epilog = "\n".join(["formats and their precisions, the default first:", *rows])
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="folder that `vljepa train` or `vljepa import` wrote, or `tiny`, the shipped one",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="the bundle to write (default: CHECKPOINT's name with .vljepa)",
    )
    aliases = ", ".join(alias for row in FORMATS.values() for alias in row.aliases)
    parser.add_argument(
        "--format", default="onnx", metavar="F", help=f"{', '.join(FORMATS)} (default onnx); also {aliases}"
    )
    parser.add_argument(
        "--precision", metavar="P",
        help="one for all graphs, or per graph: `x_encoder=int8,y_encoder=fp32`, what is not named is fp32",
    )  # fmt: skip
    parser.add_argument(
        "--tokens", type=budgets, default=(), metavar="N,N",
        help="token counts to build for, where the format fixes shapes (default: all, and half of them)",
    )  # fmt: skip
    parser.add_argument(
        "--gates", choices=("all", "graphs"), default="all",
        help="all (default); graphs: leave out the comparison end to end, and certify nothing",
    )  # fmt: skip
    parser.add_argument(
        "--folder",
        action="store_true",
        help="write a folder, not one .vljepa file; large models always get one",
    )
    parser.add_argument("--force", action="store_true", help="replace the bundle that is at OUT")
    own_clips.add_arguments(
        parser,
        "--calibrate",
        "parity is measured on them, and the ranges of a calibrated precision come from them",
    )
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Check the arguments, export, and print what was made; exit code 1 when it missed a gate."""
    arguments.require_extra("export", "onnx", "onnxscript", "torch")
    from vljepa_evaluation.gates import Scenes
    from vljepa_export import export_bundle, find_format
    from vljepa_export.request import default_output, prepare
    from vljepa_runtime.files import claimed

    precision = parse_precision(args.precision)
    out = args.out or default_output(args.checkpoint, precision, format=args.format)
    own = own_clips.named(args, "--calibrate")
    what: dict[str, Any] = {
        "format": args.format,
        "precision": precision,
        "token_budgets": args.tokens,
        "calibrate": own,
        "force": args.force,
    }
    prepare(args.checkpoint, out, **what)
    if own:
        own_clips.look_at(own)
    with claimed(out), console.Progress("exporting", total=1) as progress:
        report = export_bundle(
            args.checkpoint,
            out,
            **what,
            archive=False if args.folder else None,
            scenes=Scenes() if args.gates == "all" else None,
            progress=progress.step,
        )
    console.report(report.to_dict(), lambda: text(report), as_json=args.json)
    if report.certified == "no":
        console.note(
            f"\n{report.path} is outside its gates and says so (certified: false): try another --precision"
        )
        return 1
    if not args.json:
        console.note("\n" + next_steps(report.path, find_format(args.format)))
    return 0


def next_steps(path: Path, made: Format) -> str:
    """What to do with a bundle, here or where it runs."""
    from vljepa_runtime.engines import available_engines

    here = any(name.partition(":")[0] in made.engines for name in available_engines())
    steps = [f"vljepa inspect {path}"]
    if made.built_on_device:
        steps.append(f"vljepa build {path}    # on the device, before it runs there")
    where = "" if here and not made.built_on_device else "    # on the device"
    steps.append(f"vljepa run {path} VIDEO{where}")
    return "next: " + "\n      ".join(steps)


def budgets(value: str) -> tuple[int, ...]:
    """`256,128` -> (256, 128), for argparse."""
    return tuple(arguments.positive_int(part.strip()) for part in value.split(","))


def parse_precision(value: str | None) -> str | dict[str, str] | None:
    """`int8` -> `int8`; `x_encoder=int8,y_encoder=fp32` -> a mapping.

    Raises:
        InputError: it is neither form.
    """
    from vljepa_runtime.errors import InputError

    if value is None or "=" not in value:
        return value and value.strip()
    pairs = [part.split("=") for part in value.split(",")]
    if wrong := [
        part for part, pair in zip(value.split(","), pairs) if len(pair) != 2 or not all(map(str.strip, pair))
    ]:
        raise InputError(f"expected GRAPH=PRECISION pairs with commas between them, got {wrong[0]!r}")
    return {graph.strip(): precision.strip() for graph, precision in pairs}


def text(report: ExportReport) -> str:
    """The result for people."""
    lines = [f"against torch, on {report.parity_data or 'seeded clips and texts of the world'}:"]
    lines.append(console.table([graph_row(graph) for graph in report.graphs], header=HEADER))
    if found := report.agreement:
        lines.append(
            f"end to end against the float model: embeddings {found.embedding_mean:.6f} (worst "
            f"{found.embedding_worst:.6f}), hard negatives {found.overlap:.1%}, labels {found.labels:.1%}, "
            f"decode moments {found.triggers:.1%}"
        )
    lines += compared(report.graphs)
    if report.parity_data:
        ranges = report.calibration
        lines.append(
            f"calibrated on {ranges.samples} {ranges.data}"
            if ranges
            else "no graph is left whose ranges are calibrated"
        )
    if told := notes({graph.name: graph.note for graph in report.graphs}, width=WIDTH - 2):
        lines += ["notes:", *(f"  {line}" for line in told)]
    lines += [f"gate missed: {graph.name}: {miss}" for graph in report.graphs for miss in graph.misses]
    lines += [f"gate missed: {miss}" for miss in report.misses]
    lines += [f"near its limit: {words}" for words in report.near]
    shared = f", {console.size(report.shared_bytes)} shared between graphs" if report.shared_bytes else ""
    lines.append(
        f"{report.path}: {console.size(report.bytes)}{shared}, {console.duration(report.seconds)}, "
        f"at most {report.peak_rss_mb / 1000:.1f} GB of memory"
    )
    return "\n".join(lines)


def compared(graphs: Sequence[GraphReport]) -> list[str]:
    """How the written files stand beside the float graphs, where they were read back; faults are told as misses."""
    proofs = [graph.constants for graph in graphs if graph.constants is not None]
    if not proofs:
        return []
    counted = sum(proof.compared for proof in proofs)
    worst = max(proof.worst_steps for proof in proofs)
    rounding = f"; rounding cost at most {worst:.2f} of a step" if worst else ""
    lines = [f"read back beside the float graphs: {counted} constants and all nodes{rounding}"]
    return [*lines, *(f"not judged: {proof.name}: {proof.unjudged}" for proof in proofs if proof.unjudged)]


def graph_row(graph: GraphReport) -> tuple[str, ...]:
    """One line of the table of graphs."""
    head = (graph.name, graph.precision, console.size(graph.bytes))
    return *head, *parity_cells(graph.parity), f"{graph.seconds:.1f}"
