"""Graphs that are OpenVINO IRs: an XML and the weights beside it."""

from __future__ import annotations

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.foreign.graph import Unreadable
from vljepa_export.constants.foreign.ir_reader import read_ir
from vljepa_export.constants.foreign.onnx_reader import FloatGraph
from vljepa_export.constants.foreign.walk import Walk
from vljepa_export.constants.onnx_graph import OnnxGraph, Read
from vljepa_quant import Precision
from vljepa_runtime.bundle import GraphSpec

__all__ = ["prove"]

SAMPLED = (
    "samples fixed the ranges of activations, which no float graph holds: repeating its outputs shows them"
)


def prove(name: str, floats: OnnxGraph, spec: GraphSpec, read: Read, precision: Precision) -> ConstantsProof:
    """See `Prove`."""
    (weights,) = spec.external
    try:
        written = read_ir(bytes(read(spec.file)), read(weights))
        walk = Walk(name=name, wanted=FloatGraph(floats).read(), got=written)
    except Unreadable as error:
        return ConstantsProof(name=name, unjudged=str(error))
    return walk.run(note=SAMPLED if precision.calibrated else "")
