"""`vljepa inspect`: what a bundle holds, every hash verified and every graph looked at, none loaded."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console, tables
from vljepa_apps.tables import Table
from vljepa_runtime.errors import BundleError, InputError, VljepaError

if TYPE_CHECKING:
    from vljepa_runtime.bundle import Manifest
    from vljepa_runtime.contract import TensorSpec
    from vljepa_runtime.preprocessing import Preprocess

GRAPH_HEADER = ("graph", "precision", "size", "inputs", "outputs")
PARITY_HEADER = ("graph", "worst cosine", "max abs", "PSNR dB")
NOT_MEASURED = [("n/a",)]
VERDICTS = {
    "yes": "yes, it kept every gate where it was exported",
    "no": "no, it missed a gate where it was exported: `vljepa verify` shows which",
    "not judged": "not measured where it was exported: run `vljepa verify` on the device",
}
EDITED = "no: bundle.json was edited after it was judged"
SHOWN_TENSORS = 3  # a decoder step has one pair of tensors a layer

EXAMPLE = "vljepa inspect tiny"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Verify the bundle and all that is in it, then print its manifest; exit code 1 when that was edited."""
    from vljepa_evaluation.gates import judge_seal
    from vljepa_runtime.bundle import Bundle
    from vljepa_runtime.graphs import check_graphs

    with Bundle.open(args.bundle) as bundle:
        check_graphs(bundle)
        manifest = bundle.manifest
        edits = judge_seal(bundle).misses
    console.report(
        manifest.to_dict(), lambda: tables.text(parts(manifest, edited=bool(edits))), as_json=args.json
    )
    if edits:
        raise BundleError("; ".join(edits))
    return 0


def parts(manifest: Manifest, *, edited: bool = False) -> Iterator[Table]:
    """What is printed; what was not measured says so.

    Args:
        manifest: What the bundle says.
        edited: Whether it says something else than when it was judged.
    """
    yield Table("bundle", overview(manifest, edited=edited))
    yield Table("runs on", list(runners(manifest)))
    yield Table("window", window(manifest.preprocess))
    yield Table("graphs", [graph_row(manifest, name) for name in manifest.graphs], GRAPH_HEADER)
    if manifest.prompts:
        yield Table("prompts", list(manifest.prompts.items()))
    parity = [
        (name, f"{item.cosine:.6f}", f"{item.max_abs:.2e}", f"{item.psnr_db:.1f}")
        for name, item in manifest.parity.items()
    ]
    if parity:
        seen = f", on {manifest.parity_data}" if manifest.parity_data else ""
        yield Table(
            f"parity against the float model{seen}, the worst that was measured", parity, PARITY_HEADER
        )
    else:
        yield Table("parity", NOT_MEASURED)
    if manifest.gates:
        gates = [(name.replace("_", " "), f"{value:.6f}") for name, value in manifest.gates.items()]
        yield Table("agreement with the float model, end to end", gates)
    if near := near_a_limit(manifest):
        yield Table("near a limit: less than a fifth of what it allows is left", [(words,) for words in near])
    if manifest.notes:
        notes = {name: manifest.notes.get(name, "") for name in manifest.graphs}
        yield Table("notes", [(line,) for line in tables.notes(notes, width=tables.WIDTH - 2)])
    accuracy = [(name, f"{value:.4g}") for name, value in manifest.accuracy.items()]
    yield Table("accuracy", accuracy or NOT_MEASURED)
    if calibration := manifest.calibration:
        seen = f"{calibration.samples} samples of {calibration.data}, seed {calibration.seed}"
        yield Table("calibration", [(seen,)])
    if novelty := manifest.novelty:
        seen = f"{novelty.windows} windows of {novelty.data}, {novelty.kept:.1%} kept"
        yield Table("unknown", [(f"beyond {novelty.threshold:g}, calibrated on {seen}",)])
    if manifest.boundaries:
        yield Table("boundaries between events", [(f"seen by the network in {manifest.boundaries}",)])
    yield Table("files", [(name, console.size(spec.size)) for name, spec in sorted(manifest.files.items())])
    if manifest.toolchain:
        yield Table("made with", list(manifest.toolchain.items()))


def overview(manifest: Manifest, *, edited: bool) -> list[tuple[str, str]]:
    """Name, target, licence, origin and the sum of sizes."""
    rows = [
        ("name", manifest.name),
        ("format", f"{manifest.format}, for {manifest.target}"),
        ("license", manifest.license),
        ("created", manifest.created),
        *([("knows", f"{manifest.knows_only}, nothing else")] if manifest.knows_only else ()),
        ("checkpoint", manifest.source.checkpoint_sha256[:16]),
        ("embedding", f"{manifest.embedding_dim} values"),
        ("size", console.size(sum(spec.size for spec in manifest.files.values()))),
    ]
    if manifest.execution:
        rows.append(("computes in", ", ".join(sorted(set(manifest.execution.values())))))
    if manifest.constants:
        compared = f"{sum(manifest.constants.values())} of {len(manifest.constants)} graphs"
        rows.append(("constants", f"{compared} were compared with the float ones when it was exported"))
    rows.append(("certified", EDITED if edited else VERDICTS[manifest.certified.value]))
    return [(key, value or "n/a") for key, value in rows]


def runners(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every engine that loads this bundle and whether it is here, then what `auto` comes to; no graph is loaded."""
    from vljepa_runtime.engines import available_engines, describe, families, open_engine

    present = available_engines()
    for family in families():
        if manifest.target in family.targets:
            for name in family.names:
                yield name, "installed" if name in present else "not here"
    try:
        yield "auto", describe(open_engine("auto", target=manifest.target))
    except VljepaError as error:
        yield "auto", str(error)


def window(pre: Preprocess) -> list[tuple[str, str]]:
    """How frames become tokens."""
    grid = " x ".join(map(str, pre.grid))
    spread = {"time": "its time on show", "frames": "all its frames by number"}[pre.sampling]
    resize = [pre.resize]
    if pre.resize == "antialias":
        resize += [f"short side {pre.short_side or pre.size}", f"crop offset {pre.crop_offset}"]
    return [
        ("frames", f"{pre.frames} at {pre.fps:g} a second = {pre.seconds:g} s of a stream"),
        ("of a clip", f"{pre.frames} spread evenly over {spread}"),
        ("pixels", f"{pre.size} x {pre.size} ({', '.join(resize)})"),
        ("tokens", f"{pre.tokens} = {grid} tubelets of {pre.tubelet} frames x {pre.patch} x {pre.patch}"),
    ]


def near_a_limit(manifest: Manifest) -> tuple[str, ...]:
    """What came near a limit, in words; a precision that this version does not know has none."""
    from vljepa_evaluation.gates import near_limits
    from vljepa_quant import limits_for

    with suppress(InputError):
        return near_limits(manifest, limits_for)
    return ()


def graph_row(manifest: Manifest, name: str) -> tuple[str, ...]:
    """One line of the table of graphs."""
    graph = manifest.graphs[name]
    held = [manifest.files[file].size for file in (graph.file, *graph.external) if file in manifest.files]
    precision = manifest.precision.get(name, "n/a")
    return name, precision, console.size(sum(held)), tensors(graph.inputs), tensors(graph.outputs)


def tensors(specs: Sequence[TensorSpec]) -> str:
    """`patches (B, N, 864) uint8, ...`; a long list is cut."""
    shown = [
        f"{spec.name} ({', '.join(map(str, spec.shape))}) {spec.dtype}" for spec in specs[:SHOWN_TENSORS]
    ]
    more = len(specs) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown)
