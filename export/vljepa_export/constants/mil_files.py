"""Graphs that are Core ML packages: a program with a function per size of its inputs, and weights that they share."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.foreign.fixed_cache import FixedCacheWalk
from vljepa_export.constants.foreign.graph import NeutralGraph, Unreadable
from vljepa_export.constants.foreign.mil_reader import read_function
from vljepa_export.constants.foreign.onnx_reader import FloatGraph
from vljepa_export.constants.foreign.walk import Walk
from vljepa_export.constants.onnx_graph import OnnxGraph, Read
from vljepa_export.errors import InterpreterError
from vljepa_export.mil.package import Function, read_package
from vljepa_quant import Precision
from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.engines.fixed_shapes import CACHE_LENGTH

__all__ = ["prove"]

SAMPLED = (
    "samples fixed the steps of activations, which no float graph holds: repeating its outputs shows them"
)


def prove(name: str, floats: OnnxGraph, spec: GraphSpec, read: Read, precision: Precision) -> ConstantsProof:
    """See `Prove`."""
    graph, note = FloatGraph(floats), SAMPLED if precision.calibrated else ""
    with tempfile.TemporaryDirectory(prefix="vljepa-") as folder:
        for file in (spec.file, *spec.external):
            path = Path(folder, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read(file))
        try:
            functions, _ = read_package(Path(folder, spec.file).parent)
            walks = [_walk(name, graph, function) for function in functions.values()]
        except (Unreadable, InterpreterError) as error:
            return ConstantsProof(name=name, unjudged=str(error))
        return _together([walk.run(note=note) for walk in walks], tuple(functions))


def _walk(name: str, graph: FloatGraph, function: Function) -> Walk:
    """Of one function; a graph whose cache is of fixed length is told how much of it is real."""
    sizes = {item: kind.shape for item, kind in function.inputs.items()}
    wanted, got = graph.read(sizes), read_function(function)
    if CACHE_LENGTH not in sizes or CACHE_LENGTH in wanted.inputs:
        return Walk(name=name, wanted=wanted, got=got)

    @cache
    def at(length: int) -> NeutralGraph:
        return graph.read(_cached(sizes, length))

    return FixedCacheWalk(name=name, wanted=wanted, got=got, lengths=CACHE_LENGTH, at=at)


def _cached(sizes: Mapping[str, tuple[int, ...]], length: int) -> dict[str, tuple[int, ...]]:
    """The sizes of the inputs after so many positions: a cache is (batch, heads, positions, width)."""
    return {
        item: (*shape[:2], length, *shape[3:]) if len(shape) == 4 else shape for item, shape in sizes.items()
    }


def _together(proofs: list[ConstantsProof], functions: tuple[str, ...]) -> ConstantsProof:
    """One proof of functions that hold the same constants."""
    most = max(proofs, key=lambda proof: (proof.compared, proof.values))
    where: dict[str, list[str]] = {}
    for function, proof in zip(functions, proofs):
        for fault in proof.faults:
            where.setdefault(fault, []).append(function)
    faults = [
        fault if len(found) == len(functions) else f"function {', '.join(found)}: {fault}"
        for fault, found in where.items()
    ]
    return ConstantsProof(
        name=most.name,
        compared=most.compared,
        quantised=most.quantised,
        values=most.values,
        worst_steps=max(proof.worst_steps for proof in proofs),
        faults=tuple(faults),
        note=most.note,
    )
