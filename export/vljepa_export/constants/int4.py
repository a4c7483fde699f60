"""Rows of int4 for ONNX Runtime: blocks of 32 inputs share a step, two elements a byte; tables in int8."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vljepa_export.constants.elements import Compared, Float32
from vljepa_export.constants.int8 import TABLES
from vljepa_export.constants.linear import linear_rows, matrix, stands_for
from vljepa_export.constants.onnx_graph import Array
from vljepa_export.constants.patterns import Found, Match

__all__ = ["ROWS"]

BLOCK, LARGEST, MIDDLE = 32, np.float32(7), 8


def _step(tops: Float32) -> Float32:
    return np.where(tops > 0, tops / LARGEST, np.float32(1))


def _blocks(match: Match) -> Iterator[Found]:
    """(inputs, outputs) as blocks of 32 inputs of one output each; the last one is filled up with zeros."""
    wanted, packed, steps = matrix(match), match.written["stored"], match.written["steps"]
    (inputs, outputs), count = wanted.shape, -(-len(wanted) // BLOCK)
    sizes = match.attributes["K"], match.attributes["N"]
    if (
        sizes != (inputs, outputs)
        or packed.shape != (outputs, count, BLOCK // 2)
        or steps.size != outputs * count
    ):
        found = f"K, N = {sizes}, blocks {packed.shape}, steps {steps.shape}"
        yield (
            "stored",
            Compared(values=packed.size, fault=f"expected a matrix of {wanted.shape}, got {found}"),
        )
        return
    if filling := count * BLOCK - inputs:
        wanted = np.pad(wanted, ((0, filling), (0, 0)))
    yield from stands_for(
        wanted.reshape(count, BLOCK, outputs),
        _codes(packed).transpose(1, 2, 0),
        steps.reshape(outputs, count).T[:, None, :],
        axis=1,
        step_of=_step,
    )


def _codes(packed: Array) -> Array:
    """(outputs, blocks, 16) bytes as (outputs, blocks, 32) int8, the low half of a byte first."""
    halves = np.stack([packed & 0x0F, packed >> 4], axis=-1).astype(np.int8) - np.int8(MIDDLE)
    return halves.reshape(*packed.shape[:2], BLOCK)


ROWS = (
    *linear_rows(
        "{out} = com.microsoft.MatMulNBits <K: int = @K, N: int = @N, bits = 4, block_size = 32, "
        "accuracy_level = 4> (x, stored, steps)",
        _blocks,
    ),
    *TABLES,
)
