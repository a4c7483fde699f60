"""What each method writes, one row each: where its rows of patterns are. A method that has none cannot be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from onnx import TensorProto

from vljepa_export.constants.attention import TAKEN_APART
from vljepa_export.constants.patterns import Row
from vljepa_quant import Precision

__all__ = ["METHODS", "rows_of", "widths_of"]

METHODS: Mapping[str, str] = {  # method of a precision: file of this room
    "int8": "int8",
    "int4": "int4",
    "qdq": "qdq",
    "fused_fp16": "fused",
    "fused_bf16": "fused",
}
WIDTHS = {"f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def rows_of(precision: Precision) -> Sequence[Row] | None:
    """What a precision writes in the place of what; None where nobody has said."""
    if not precision.method:
        return TAKEN_APART
    if precision.method not in METHODS:
        return None
    rows: Sequence[Row] = import_module(f"vljepa_export.constants.{METHODS[precision.method]}").ROWS
    return (*rows, *TAKEN_APART)


def widths_of(precision: Precision) -> frozenset[int]:
    """Element types that a float may have in it; empty where all have the float graph's."""
    narrow = WIDTHS.get(precision.execution)
    return frozenset() if narrow is None else frozenset((int(TensorProto.FLOAT), int(narrow)))
