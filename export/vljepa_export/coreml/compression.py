"""Constant matrices in fewer bits: int8 per row or block, and palettes of 4 or 6 bits, as Core ML stores them.

Done here and not with coremltools' own passes, which take half a minute per graph for palettes and draw at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_quant.int8 import quantise_rows
from vljepa_runtime.engines.coreml_tools import coremltools

__all__ = ["FLOAT_WEIGHTS", "Weights", "palette"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
SMALLEST = 2048  # elements; below, the tables of a compressed form eat what it saves
ROUNDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How constant matrices (out, in) are stored.

    Attributes:
        bits: 8 for integers with scales, 4 or 6 for palettes, 0 for floats.
        block: Inputs that share a scale (8 bits); 0 for a whole row. Rows that do not divide keep one scale.
        group: Rows that share a palette; 0 for the whole matrix. Matrices that do not divide have one palette.
    """

    bits: int = 0
    block: int = 0
    group: int = 0

    @property
    def earliest(self) -> int:
        """The iOS version that has the operation: blocks and groups came with 18, the rest with 16."""
        return 18 if self.block or self.group else 16

    def write(self, builder: Any, matrix: Float32, kind: np.dtype[Any], *, ios: int) -> Any:
        """An array, or a variable that unpacks to the matrix, in the float type `kind`."""
        if not self.bits or matrix.size < SMALLEST:
            return matrix.astype(kind)
        if self.bits == 8:
            return self._integers(builder, matrix, kind, ios)
        return self._palette(builder, matrix, kind, ios)

    def _integers(self, builder: Any, matrix: Float32, kind: np.dtype[Any], ios: int) -> Any:
        rows, columns = matrix.shape
        block = self.block if self.block and columns % self.block == 0 else columns
        integers, scales = quantise_rows(matrix.reshape(-1, block))
        data, scale = integers.reshape(rows, columns), scales.reshape(rows, -1).astype(kind)
        if ios >= 18:
            return builder.constexpr_blockwise_shift_scale(data=data, scale=scale)
        return builder.constexpr_affine_dequantize(
            quantized_data=data, scale=scale[:, 0], zero_point=np.int8(0), axis=np.int32(0)
        )

    def _palette(self, builder: Any, matrix: Float32, kind: np.dtype[Any], ios: int) -> Any:
        rows = matrix.shape[0]
        groups = rows // self.group if self.group and rows % self.group == 0 else 1
        found = [palette(part, self.bits) for part in matrix.reshape(groups, -1)]
        tables = np.stack([table for table, _ in found]).astype(kind)
        indices = np.concatenate([index for _, index in found])
        if ios >= 18:
            types = coremltools("converters.mil.mil").types
            typed = types.nptype_from_builtin(types.string_to_builtin(f"uint{self.bits}"))
            return builder.constexpr_lut_to_dense(
                indices=indices.reshape(matrix.shape).astype(typed), lut=tables[:, None, :, None]
            )
        return builder.constexpr_lut_to_dense(
            indices=_packed(indices, self.bits), lut=tables[0], shape=np.array(matrix.shape, np.uint32)
        )


FLOAT_WEIGHTS = Weights()


def palette(values: npt.ArrayLike, bits: int) -> tuple[Float32, npt.NDArray[np.uint8]]:
    """The best 2^bits values to stand for many, by k-means in one dimension.

    On sorted numbers a cluster is a range, so a round costs a few searches in place of a pass over all of them.

    Args:
        values: Any number of floats.
        bits: 1..8.

    Returns:
        table (2^bits,) ascending float32, and the index of each value (n,) uint8.
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    ordered = np.sort(flat)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    edges = _opening_edges(ordered, 1 << bits)
    table = np.quantile(ordered, np.linspace(0, 1, 1 << bits))
    for _ in range(ROUNDS):
        sizes = np.diff(edges)
        # An empty cluster stays where it was, between its neighbours.
        new = np.sort(np.where(sizes > 0, np.diff(sums[edges]) / np.maximum(sizes, 1), table))
        if np.array_equal(new, table):
            break
        table = new
        edges[1:-1] = np.searchsorted(ordered, (table[1:] + table[:-1]) / 2)
    nearest = np.searchsorted((table[1:] + table[:-1]) / 2, flat)
    return table.astype(np.float32), nearest.astype(np.uint8)


def _opening_edges(ordered: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Ranges to start from: the one that is furthest from its mean is cut there, until there are enough.

    From evenly filled ranges k-means stops early: 64 clusters of long-tailed weights were six times worse.
    """
    sums, squares = (np.concatenate([[0.0], np.cumsum(ordered**power)]) for power in (1, 2))
    spread, ranges = [], []

    def add(first: int, stop: int) -> None:
        total, size = sums[stop] - sums[first], max(1, stop - first)
        spread.append(squares[stop] - squares[first] - total**2 / size)
        ranges.append((first, stop))

    add(0, len(ordered))
    while len(ranges) < count:
        worst = int(np.argmax(spread))
        first, stop = ranges.pop(worst)
        del spread[worst]
        mean = (sums[stop] - sums[first]) / max(1, stop - first)
        cut = first + int(np.searchsorted(ordered[first:stop], mean, side="right"))
        add(first, cut)
        add(cut, stop)
    return np.array([0, *sorted(stop for _, stop in ranges)], np.int64)


def _packed(indices: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Indices of a few bits one after the other, lowest bit first."""
    unpacked = np.unpackbits(indices[:, None], axis=1, bitorder="little")[:, :bits]
    return np.packbits(unpacked.reshape(-1), bitorder="little")
