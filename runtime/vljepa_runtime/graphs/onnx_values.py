"""The values of small tensors that decide sizes: what a graph does with `Shape` before it reshapes.

Only tensors of few values come here, and only when all they come from is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.graphs.onnx_file import MAX_FOLDED, Node
from vljepa_runtime.graphs.onnx_known import Inputs, Shape
from vljepa_runtime.graphs.onnx_operators import MAX_NUMBER, constant_value, slices

__all__ = ["VALUES"]

Array = npt.NDArray[Any]
Fold = Callable[[Node, Inputs, Shape], "Array | None"]

# onnx.TensorProto.DataType: what a size may be cast to on its way. Fractions are not followed: engines may round them
# otherwise than NumPy does, and a size that two readers see differently is a way around its limit.
_CASTS: Mapping[int, Any] = {6: np.int32, 7: np.int64, 9: np.bool_}


def _with(compute: Callable[..., Any]) -> Fold:
    """A fold of the values of all inputs; unknown when one of them is."""

    def fold(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
        values = [item.values for item in inputs if item is not None and item.values is not None]
        if len(values) != len(inputs) or any(
            item.size > MAX_FOLDED or item.dtype.kind == "f" for item in values
        ):
            return None
        with np.errstate(all="ignore"):
            made = np.asarray(compute(node, *values))
        return made.reshape(shape) if made.size == np.prod(shape, dtype=np.int64) else None

    return fold


def _exact(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic that engines do in the type of its operands, refused where that could turn a sign."""

    def computed(node: Node, *values: Array) -> Array:
        wide = [value.astype(np.int64) for value in values]
        if any((value > MAX_NUMBER).any() or (value < -MAX_NUMBER).any() for value in wide):
            raise ValueError(f"it computes sizes from numbers beyond {MAX_NUMBER}")
        made = np.asarray(compute(node, *wide))
        narrow = made.astype(values[0].dtype)
        if not np.array_equal(narrow, made):
            raise ValueError("it computes sizes that its type does not hold")
        return narrow

    return computed


def _shaped(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    """The same values in another shape: reshape and its kin."""
    values = inputs[0].values if inputs[0] is not None else None
    return None if values is None else values.reshape(shape)


def _shape(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    sizes = inputs[0].shape if inputs[0] is not None else ()
    return np.array(sizes[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)


def _slice(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    values = inputs[0].values if inputs[0] is not None else None
    return None if values is None else values[slices(node, inputs)]


def _split(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    """The first part; sizes are not split otherwise."""
    values = inputs[0].values if inputs[0] is not None else None
    return None if values is None or values.ndim != 1 else values[: shape[0]]


def _filled(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    value = node.attributes.get("value")
    filling = np.zeros(1, np.float32) if value is None else value.values
    return None if filling is None else np.full(shape, filling.reshape(-1)[0])


def _expand(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    values = inputs[0].values if inputs[0] is not None else None
    return None if values is None else np.broadcast_to(values, shape)


def _constant(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    return constant_value(node).values


def _range(node: Node, start: Array, limit: Array, step: Array) -> Array:
    return np.arange(start.reshape(-1)[0], limit.reshape(-1)[0], step.reshape(-1)[0])


def _divide(node: Node, a: Array, b: Array) -> Any:
    """Towards zero, as engines divide whole numbers."""
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


def _cast(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    to, values = node.attributes["to"], inputs[0].values if inputs[0] is not None else None
    return (
        None if values is None or values.dtype.kind == "f" or to not in _CASTS else values.astype(_CASTS[to])
    )


VALUES: Mapping[str, Fold] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"), _shaped),
    "Transpose": _with(lambda node, values: np.transpose(values, node.attributes.get("perm"))),
    "Concat": _with(lambda node, *values: np.concatenate(values, axis=node.attributes["axis"])),
    "Gather": _with(
        lambda node, values, places: np.take(values, places, axis=node.attributes.get("axis", 0))
    ),
    "Cast": _cast,
    "Range": _with(_range),
    "Neg": _with(_exact(lambda node, values: np.negative(values))),
    "Add": _with(_exact(lambda node, a, b: a + b)),
    "Sub": _with(_exact(lambda node, a, b: a - b)),
    "Mul": _with(_exact(lambda node, a, b: a * b)),
    "Div": _with(_exact(_divide)),
    "Equal": _with(lambda node, a, b: a == b),
    "Where": _with(lambda node, condition, a, b: np.where(condition, a, b)),
}
