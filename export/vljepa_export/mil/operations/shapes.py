"""Operations that move elements and alter none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.errors import InterpreterError

__all__ = ["OPERATIONS"]

Array = npt.NDArray[Any]


def _reshape(*, x: Array, shape: Array) -> Array:
    """0 copies an axis, where the ranks are equal; one -1 takes what is left."""
    if len(shape) != x.ndim and not shape.all():
        raise InterpreterError(f"reshape: 0 in {shape.tolist()} means nothing for a tensor of rank {x.ndim}")
    target = [x.shape[axis] if size == 0 else int(size) for axis, size in enumerate(shape)]
    return x.reshape(target)


def _transpose(*, x: Array, perm: Array) -> Array:
    return np.ascontiguousarray(x.transpose(perm.tolist()))


def _expand_dims(*, x: Array, axes: Array) -> Array:
    return np.expand_dims(x, tuple(np.atleast_1d(axes).tolist()))


def _squeeze(*, x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(np.atleast_1d(axes).tolist()))


def _concat(*, values: Sequence[Array], axis: Array, interleave: Array | bool = False) -> Array:
    if interleave:
        raise InterpreterError("concat with interleave is not known to this interpreter")
    return np.concatenate(values, int(axis))


def _stack(*, values: Sequence[Array], axis: Array) -> Array:
    return np.stack(values, int(axis))


def _split(
    *, x: Array, axis: Array, num_splits: Array | None = None, split_sizes: Array | None = None
) -> list[Array]:
    if split_sizes is None:
        if num_splits is None:
            raise InterpreterError("split: expected num_splits or split_sizes")
        return np.split(x, int(num_splits), int(axis))
    if int(split_sizes.sum()) != x.shape[int(axis)]:
        raise InterpreterError(f"split: sizes {split_sizes.tolist()} do not add up to {x.shape[int(axis)]}")
    return np.split(x, np.cumsum(split_sizes)[:-1].tolist(), int(axis))


def _tile(*, x: Array, reps: Array) -> Array:
    return np.tile(x, reps.tolist())


def _gather(
    *,
    x: Array,
    indices: Array,
    axis: Array | int = 0,
    batch_dims: Array | int = 0,
    validate_indices: Array | bool = False,
) -> Array:
    """Rows by index; an index outside is an error here whatever `validate_indices` says: devices may read anything."""
    if int(batch_dims):
        raise InterpreterError("gather with batch_dims is not known to this interpreter")
    size = x.shape[int(axis)]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise InterpreterError(
            f"gather: expected indices in {-size}..{size - 1}, got {indices.min()}..{indices.max()}"
        )
    return np.take(x, indices, int(axis))


def _slice_by_index(
    *,
    x: Array,
    begin: Array,
    end: Array,
    stride: Array | None = None,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
    squeeze_mask: Array | None = None,
) -> Array:
    """A masked begin or end reaches to the border; a squeezed axis gives its element at begin."""
    parts: list[slice | int] = []
    for axis in range(x.ndim):
        if squeeze_mask is not None and squeeze_mask[axis]:
            parts.append(int(begin[axis]))
            continue
        first = None if begin_mask is not None and begin_mask[axis] else int(begin[axis])
        stop = None if end_mask is not None and end_mask[axis] else int(end[axis])
        parts.append(slice(first, stop, 1 if stride is None else int(stride[axis])))
    return np.asarray(x[tuple(parts)])


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "concat": _concat,
    "stack": _stack,
    "split": _split,
    "tile": _tile,
    "gather": _gather,
    "slice_by_index": _slice_by_index,
}
