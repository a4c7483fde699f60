"""Core ML: one graph as an mlprogram of fixed shapes, checked by running its files in the reference interpreter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import onnx

from vljepa_export.coreml.calibration import activation_scales, fp32_nodes, spreads
from vljepa_export.coreml.decoder_step import fixed_cache_definition
from vljepa_export.coreml.deployment import target_version
from vljepa_export.coreml.packages import package_files, write_package
from vljepa_export.coreml.program import Numbers, build_program
from vljepa_export.errors import ExportError
from vljepa_export.formats import FORMATS
from vljepa_export.graph_passes import PROTOBUF_LIMIT
from vljepa_export.mil import MilProgram
from vljepa_export.mil.engine import InterpretedProgram
from vljepa_export.targets.protocol import (
    Array,
    Converted,
    Feeds,
    Runner,
    TracedGraph,
    graph_spec,
)
from vljepa_quant import Precision
from vljepa_quant.graph_editor import GraphEditor
from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import BATCH, LENGTH, STEP, TOKENS, GraphContract, TensorSpec, free_axes
from vljepa_runtime.engines.fixed_shapes import FixedGraph, Slot, fit
from vljepa_runtime.tokenizer import LENGTHS

__all__ = ["convert"]

DEPLOYMENT_TARGET = "iOS18"
MULTIFUNCTION = 18  # the iOS version from which a package may hold several functions
CALIBRATION_ROWS = 32

Sizes = Mapping[str, int]


def convert(
    traced: TracedGraph,
    precision: Precision,
    *,
    samples: Sequence[Feeds],
    budgets: tuple[int, ...] = (),
    folder: Path,
    deployment_target: str = DEPLOYMENT_TARGET,
) -> Converted:
    """Convert one graph; see `targets.protocol.Target`.

    Args:
        traced: The fp32 graph; of the decoder's step another is made, with a cache of fixed length.
        precision: A row of coreml.
        samples: Inputs to calibrate on; their text lengths are the ones that are built.
        budgets: Token counts to build for; empty for the largest among the samples only.
        folder: Where the package is written.
        deployment_target: The oldest system that will run it, iOS16..iOS18 or macOS13..macOS15.

    Raises:
        ExportError: an argument is wrong, the target is too old, the graph too large, or coremltools refuses it.
        MissingExtraError: coremltools is not installed.
    """
    contract = traced.contract
    ios = target_version(deployment_target, precision)
    inputs, source = _source(traced)
    functions = _functions(contract, samples, budgets, ios)
    numbers = _numbers(precision, source, _calibration_feeds(contract, inputs, samples, functions))
    models = {
        name: build_program(source, sizes, numbers, target=f"iOS{ios}") for name, sizes in functions.items()
    }
    inner = package_files(models, default=next(reversed(models)))
    package = write_package(folder / f"{contract.name}.mlpackage", inner)
    files = {f"{package.name}/{name}": package / name for name in inner}
    manifest = f"{package.name}/Manifest.json"
    spec = graph_spec(
        contract,
        manifest,
        external=tuple(name for name in files if name != manifest),
        token_budgets=tuple(sorted({sizes[TOKENS] for sizes in functions.values() if TOKENS in sizes})),
    )
    return Converted(
        spec=spec,
        files=files,
        open=partial(_runner, contract.name, spec, package),
        notes=_notes(source, numbers, functions, ios),
        precision=precision,
        nodes=len(source.graph.node),
    )


def _source(traced: TracedGraph) -> tuple[tuple[TensorSpec, ...], onnx.ModelProto]:
    """The float graph that is converted, with its inputs.

    Raises:
        ExportError: it is too large for one block of protobuf, which coremltools and the calibration start from.
    """
    if traced.contract.name == STEP:
        from vljepa_export.onnx_export import export_graph

        fixed = fixed_cache_definition(traced.contract, traced.network())
        return fixed.inputs, export_graph(fixed)
    editor = GraphEditor.open(traced.path)
    size = sum(value.nbytes for value in editor.constants.values())
    if size >= PROTOBUF_LIMIT:
        raise ExportError(
            f"{traced.contract.name} has {size / 1e9:.1f} GB of float weights; expected less than 2 GB for coreml: "
            f"export with --format {' or '.join(row.name for row in FORMATS.values() if row.streamed)}, "
            "which keep weights beside the graph"
        )
    return traced.contract.inputs, editor.finish()


def _runner(name: str, spec: GraphSpec, package: Path) -> Runner:
    """A package in the reference interpreter, read from the disk as a Mac would."""
    graph = FixedGraph(name, spec, InterpretedProgram(MilProgram.open(package)))

    def run(feeds: Feeds) -> Sequence[Array]:
        results = graph.run(feeds)
        return [results[spec.name] for spec in graph.outputs]

    return run


def _functions(
    contract: GraphContract, samples: Sequence[Feeds], budgets: tuple[int, ...], ios: int
) -> dict[str, Sizes]:
    """Sizes per function name, the largest last.

    Raises:
        ExportError: several token budgets on a system whose packages hold one function.
    """
    free = free_axes(contract.inputs)
    choices: dict[str, tuple[int, ...]] = {}
    if TOKENS in free:
        choices[TOKENS] = tuple(sorted(budgets)) or (max(_sample_sizes(contract, samples, TOKENS)),)
    if LENGTH in free:
        choices[LENGTH] = tuple(sorted({LENGTHS[0], *_sample_sizes(contract, samples, LENGTH)}))
    if ios < MULTIFUNCTION:
        if len(choices.get(TOKENS, ())) > 1:
            raise ExportError(
                f"{contract.name}: several token budgets in one package need iOS{MULTIFUNCTION} or macOS15: "
                "choose that target, or one budget"
            )
        choices = {symbol: sizes[-1:] for symbol, sizes in choices.items()}  # shorter texts are padded
    combined = [dict(zip(choices, sizes)) for sizes in itertools.product(*choices.values())]
    if len(combined) == 1:
        return {"main": {BATCH: 1, **combined[0]}}
    named = {"_".join(f"{symbol.lower()}{size}" for symbol, size in each.items()): each for each in combined}
    return {name: {BATCH: 1, **sizes} for name, sizes in named.items()}


def _sample_sizes(contract: GraphContract, samples: Sequence[Feeds], symbol: str) -> set[int]:
    axes = next(axes for axes in contract.inputs if symbol in axes.shape)
    return {feeds[axes.name].shape[axes.shape.index(symbol)] for feeds in samples}


def _numbers(precision: Precision, source: onnx.ModelProto, feeds: Sequence[Feeds]) -> Numbers:
    if precision.execution == "f32":
        return Numbers(floating="fp32", weights=precision.weights)
    spread = spreads(source, feeds)
    return Numbers(
        floating="fp16",
        fp32_nodes=fp32_nodes(source, spread),
        weights=precision.weights,
        scales=activation_scales(source, spread) if precision.calibrated else {},
    )


def _calibration_feeds(
    contract: GraphContract,
    inputs: Sequence[TensorSpec],
    samples: Sequence[Feeds],
    functions: Mapping[str, Sizes],
) -> list[Feeds]:
    """Rows of the samples as the programs will see them; those of other sizes are left out."""
    slots = [
        {axes.name: Slot(axes.dtype, axes.sized(sizes)) for axes in inputs} for sizes in functions.values()
    ]
    found = (fit(contract.inputs, each, row) for row in _single_rows(samples) for each in slots)
    return list(itertools.islice((feeds for feeds in found if feeds is not None), CALIBRATION_ROWS))


def _single_rows(samples: Sequence[Feeds]) -> Iterator[Feeds]:
    for feeds in samples:
        for row in range(len(next(iter(feeds.values())))):
            yield {name: array[row : row + 1] for name, array in feeds.items()}


def _notes(
    source: onnx.ModelProto, numbers: Numbers, functions: Mapping[str, Sizes], ios: int
) -> tuple[str, ...]:
    notes = [f"built for iOS{ios} and macOS{ios - 3} on, not run: checked in the reference interpreter"]
    if len(functions) > 1:
        notes.append(f"functions {', '.join(functions)} share their weights")
    if numbers.fp32_nodes:
        kinds = sorted({node.op_type for node in source.graph.node if node.name in numbers.fp32_nodes})
        notes.append(f"{len(numbers.fp32_nodes)} nodes kept in fp32: {', '.join(kinds)}")
    if numbers.scales:
        notes.append(f"{len(numbers.scales)} activations quantised to int8")
    return tuple(notes)
