"""Whether a graph, as written, is what was meant: one row for each target says who reads its files back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Protocol

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.onnx_graph import OnnxGraph, Read, reader
from vljepa_export.targets.protocol import Converted, TracedGraph
from vljepa_quant import Precision, precisions_of
from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.errors import MissingExtraError

__all__ = ["TARGETS", "Prove", "prove_converted", "prove_graph"]

BUILT = "of the typed graph that the engine was built from: nobody reads an engine back"

TARGETS: Mapping[str, str] = {  # target of a bundle: file of this room
    "onnx": "onnx_files",
    "tensorrt": "onnx_files",
    "openvino": "ir_files",
    "coreml": "mil_files",
}


class Prove(Protocol):
    """What a file of `TARGETS` offers as `prove`."""

    def __call__(
        self, name: str, floats: OnnxGraph, spec: GraphSpec, read: Read, precision: Precision
    ) -> ConstantsProof:
        """Compare all constants of a graph, and all that is fixed in it, with the float graph.

        Args:
            name: Of the graph in the contract.
            floats: The float graph.
            spec: Which files it is.
            read: Gives the content of one.
            precision: As asked for.

        Raises:
            MissingExtraError: the library that reads such files is not installed.
        """


def prove_graph(
    name: str, floats: OnnxGraph, spec: GraphSpec, read: Read, *, target: str, label: str
) -> ConstantsProof:
    """Compare a graph of any target with the float graph that it was made from.

    Args:
        name: Of the graph in the contract.
        floats: The float graph.
        spec: Which files it is.
        read: Gives the content of one.
        target: What it is written for.
        label: Its precision, as the manifest names it.
    """
    precision = next((row for row in precisions_of(target).values() if row.label == label), None)
    if precision is None:
        return ConstantsProof(name=name, unjudged=f"{label} is no precision of {target}")
    if target not in TARGETS:
        return ConstantsProof(name=name, unjudged=f"nothing here reads the constants of {target} files back")
    prove: Prove = import_module(f"vljepa_export.constants.{TARGETS[target]}").prove
    try:
        return prove(name, floats, spec, read, precision)
    except MissingExtraError as error:
        return ConstantsProof(name=name, unjudged=str(error))


def prove_converted(traced: TracedGraph, made: Converted, *, target: str) -> ConstantsProof:
    """Compare files before they are a bundle.

    Args:
        traced: The float graph.
        made: What a target made of it.
        target: Which.
    """
    spec, files, source = made.spec, made.files, made.built_from
    if source is not None:
        spec, files, target = replace(spec, file=source.name), {source.name: source}, "tensorrt"
    floats, label = OnnxGraph.open(traced.path), made.precision.label
    proof = prove_graph(traced.contract.name, floats, spec, reader(files), target=target, label=label)
    return proof if source is None else replace(proof, note=BUILT)
