"""Graphs that are ONNX files: those of ONNX Runtime, and the typed ones that TensorRT builds from."""

from __future__ import annotations

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.methods import rows_of, widths_of
from vljepa_export.constants.onnx_graph import OnnxGraph, Read
from vljepa_export.constants.walk import walk_together
from vljepa_quant import Precision
from vljepa_runtime.bundle import GraphSpec

__all__ = ["prove"]

SAMPLED = (
    "samples fixed the steps of activations, which no float graph holds: repeating its outputs shows them"
)


def prove(name: str, floats: OnnxGraph, spec: GraphSpec, read: Read, precision: Precision) -> ConstantsProof:
    """See `Prove`."""
    rows = rows_of(precision)
    if rows is None:
        return ConstantsProof(name=name, unjudged=f"{precision.method} has no rows of what it writes")
    written = OnnxGraph(spec.file, read, widths=widths_of(precision))
    note = SAMPLED if precision.calibrated else ""
    return walk_together(name, floats, written, rows, precision, note=note)
