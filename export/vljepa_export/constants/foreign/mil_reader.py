"""One function of a Core ML program in the vocabulary of `graph.py`; what Core ML fuses stands apart again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vljepa_export.constants.foreign.graph import NeutralGraph, Unreadable
from vljepa_export.constants.foreign.stored import Array, Stored
from vljepa_export.mil.package import Function, Operation

__all__ = ["read_function"]

_ALIKE = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "real_div": "Div", "pow": "Pow", "sqrt": "Sqrt", "sin": "Sin",
    "cos": "Cos", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "erf": "Erf", "maximum": "Max",
    "minimum": "Min", "identity": "Identity", "cast": "Identity",
}  # fmt: skip
_BINARY = ("add", "sub", "mul", "real_div", "pow", "maximum", "minimum")


def read_function(function: Function) -> NeutralGraph:
    """The graph of a function.

    Raises:
        Unreadable: it holds an operation that is not known here.
    """
    return _Reader(function).read()


class _Reader:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._values: dict[str, Array] = {}  # of constants that are no weights: axes, sizes, words
        self.graph = NeutralGraph(
            inputs=set(function.inputs), outputs={name: name for name in function.outputs}
        )
        self.graph.shapes.update({name: kind.shape for name, kind in function.inputs.items()})

    def read(self) -> NeutralGraph:
        for name in self._function.inputs:
            self.graph.add("Input", (), (name,), name=name)
        for item in self._function.operations:
            self.graph.shapes.update({name: kind.shape for name, kind in item.outputs})
            self._take(item)
        return self.graph

    def _take(self, item: Operation) -> None:
        name = item.outputs[0][0]
        if item.value is not None:
            self._values[name] = item.value
            if item.value.dtype.kind in "fiub":
                self.graph.constants[name] = Stored(values=item.value)
        elif item.kind.startswith("constexpr_"):
            self.graph.constants[name] = self._compressed(item)
        else:
            special: Callable[[Operation], None] | None = getattr(self, f"_put_{item.kind}", None)
            if special is not None:
                special(item)
            elif item.kind in _ALIKE:
                keys = ("x", "y") if item.kind in _BINARY else ("x",)
                self._put(_ALIKE[item.kind], item, [self._name(item, key) for key in keys])
            elif item.kind.startswith("reduce_"):
                self._put_reduction(item)
            else:
                raise Unreadable(f"{name} is an operation {item.kind}")

    def _compressed(self, item: Operation) -> Stored:
        arrays = {key: self._array(item, key) for key in item.inputs}
        if item.kind == "constexpr_blockwise_shift_scale":
            return Stored(values=arrays["data"], scale=arrays["scale"], zero=arrays.get("offset"))
        if item.kind == "constexpr_affine_dequantize":
            data = arrays["quantized_data"]
            axis = int(arrays["axis"]) % data.ndim
            scale, zero = (_along(arrays[key], data.ndim, axis) for key in ("scale", "zero_point"))
            return Stored(values=data, scale=scale, zero=zero if zero.any() else None)
        if item.kind == "constexpr_lut_to_dense":
            return _palette(item.outputs[0][0], arrays["indices"], arrays["lut"])
        raise Unreadable(f"{item.outputs[0][0]} is unpacked by {item.kind}")

    def _put(self, kind: str, item: Operation, inputs: Sequence[str], **options: Any) -> None:
        self.graph.add(kind, inputs, [name for name, _ in item.outputs], **options)

    def _put_linear(self, item: Operation) -> None:
        x, weight, bias = (self._name(item, key) for key in ("x", "weight", "bias"))
        out, kind = item.outputs[0]
        if not bias:
            self._put("MatMul", item, (x, weight), ta=False, tb=True)
            return
        product = f"{out}/product"
        self.graph.shapes[product] = kind.shape
        self.graph.add("MatMul", (x, weight), (product,), ta=False, tb=True, label=out)
        self.graph.add("Add", (product, bias), (out,))

    def _put_matmul(self, item: Operation) -> None:
        ta, tb = (bool(self._array(item, key)) for key in ("transpose_x", "transpose_y"))
        self._put("MatMul", item, (self._name(item, "x"), self._name(item, "y")), ta=ta, tb=tb)

    def _put_layer_norm(self, item: Operation) -> None:
        out, kind = item.outputs[0]
        x, gamma, beta, epsilon = (self._name(item, key) for key in ("x", "gamma", "beta", "epsilon"))
        if self._ints(item, "axes") not in ((-1,), (len(kind.shape) - 1,)) or not epsilon:
            raise Unreadable(f"{out} normalises over other axes")
        unit, scaled = f"{out}/unit", f"{out}/scaled"
        self.graph.shapes.update({unit: kind.shape, scaled: kind.shape})
        self.graph.add("Normalise", (x, epsilon), (unit,), label=out)
        self.graph.add("Mul", (unit, gamma), (scaled if beta else out,), label=out)
        if beta:
            self.graph.add("Add", (scaled, beta), (out,), label=out)

    def _put_silu(self, item: Operation) -> None:
        out, kind = item.outputs[0]
        x, gate = self._name(item, "x"), f"{out}/gate"
        self.graph.shapes[gate] = kind.shape
        self.graph.add("Sigmoid", (x,), (gate,), label=out)
        self.graph.add("Mul", (x, gate), (out,))

    def _put_gelu(self, item: Operation) -> None:
        self._put("Gelu", item, [self._name(item, "x")], tanh=self._word(item, "mode").startswith("TANH"))

    def _put_softmax(self, item: Operation) -> None:
        self._put("Softmax", item, [self._name(item, "x")], axis=self._ints(item, "axis")[0])

    def _put_concat(self, item: Operation) -> None:
        if bool(self._array(item, "interleave")):
            raise Unreadable(f"{item.outputs[0][0]} interleaves")
        names = [
            self._argument(item.outputs[0][0], each, at) for at, each in enumerate(item.inputs["values"])
        ]
        self._put("Concat", item, names, axis=self._ints(item, "axis")[0])

    def _put_split(self, item: Operation) -> None:
        even = "split_sizes" not in item.inputs
        parts = self._ints(item, "num_splits" if even else "split_sizes")
        self._put(
            "Split", item, [self._name(item, "x")], axis=self._ints(item, "axis")[0], parts=parts, even=even
        )

    def _put_transpose(self, item: Operation) -> None:
        rank = len(item.outputs[0][1].shape)
        self._put(
            "Transpose", item, [self._name(item, "x")], perm=tuple(a % rank for a in self._ints(item, "perm"))
        )

    def _put_reshape(self, item: Operation) -> None:
        self._put("Reshape", item, [self._name(item, "x")])

    _put_expand_dims = _put_squeeze = _put_reshape

    def _put_tile(self, item: Operation) -> None:
        self._put("Tile", item, [self._name(item, "x")])

    def _put_reduction(self, item: Operation) -> None:
        kind = {"reduce_l2_norm": "ReduceL2", "reduce_sum": "ReduceSum", "reduce_mean": "ReduceMean"}.get(
            item.kind
        )
        if kind is None:
            raise Unreadable(f"{item.outputs[0][0]} is an operation {item.kind}")
        keep = bool(self._array(item, "keep_dims"))
        self._put(kind, item, [self._name(item, "x")], axes=self._ints(item, "axes"), keep=keep)

    def _put_slice_by_index(self, item: Operation) -> None:
        masked = {"begin_mask", "end_mask", "squeeze_mask"} & set(item.inputs)
        x = self._name(item, "x")
        if any(self._array(item, key).any() for key in masked):
            raise Unreadable(f"{item.outputs[0][0]} cuts with masks")
        begin, end = (self._ints(item, key) for key in ("begin", "end"))
        stride = self._ints(item, "stride") if "stride" in item.inputs else (1,) * len(begin)
        cuts = tuple(
            (axis, *slice(*each).indices(size))
            for axis, (size, *each) in enumerate(zip(self.graph.shapes[x], begin, end, stride))
        )
        self._put("Slice", item, [x], cuts=cuts)

    def _put_gather(self, item: Operation) -> None:
        batches = self._array(item, "batch_dims") if "batch_dims" in item.inputs else np.array(0)
        if int(batches):
            raise Unreadable(f"{item.outputs[0][0]} gathers by batches")
        inputs = (self._name(item, "x"), self._name(item, "indices"))
        self._put("Gather", item, inputs, axis=self._ints(item, "axis")[0])

    def _put_greater_equal(self, item: Operation) -> None:
        self._put("GreaterOrEqual", item, (self._name(item, "x"), self._name(item, "y")))

    def _put_select(self, item: Operation) -> None:
        """coremltools lets indices below 0 count from the end; those of the float graph do so by themselves."""
        cond, first, second = (self._name(item, key) for key in ("cond", "a", "b"))
        test, end = self.graph.node(cond, "GreaterOrEqual"), self.graph.node(second, "Add")
        if test is not None and end is not None and test.inputs[0] == first == end.inputs[0]:
            bound, size = (self.graph.constants.get(node.inputs[1]) for node in (test, end))
            if bound is not None and size is not None and not bound.values.any():
                self._put("FromEnd", item, (first,), size=int(size.values))
                return
        self._put("Where", item, (cond, first, second))

    def _put_quantize(self, item: Operation) -> None:
        self._put("Quantise", item, (self._name(item, "input"),), step=self._step(item))

    def _put_dequantize(self, item: Operation) -> None:
        self._put("Dequantise", item, (self._name(item, "input"),), step=self._step(item))

    def _step(self, item: Operation) -> tuple[Any, ...]:
        zero = self._array(item, "zero_point").tolist() if "zero_point" in item.inputs else 0
        return self._array(item, "scale").tolist(), zero

    def _name(self, item: Operation, key: str) -> str:
        found = item.inputs.get(key)
        return self._argument(item.outputs[0][0], found[0], 0, key) if found else ""

    def _argument(self, owner: str, value: str | Array, at: int, key: str = "values") -> str:
        """The name of a value; one that is written into the operation gets a name."""
        if isinstance(value, str):
            return value
        name = f"{owner}/{key}{at}"
        self.graph.constants[name] = Stored(values=value)
        return name

    def _array(self, item: Operation, key: str) -> Array:
        (value,) = item.inputs[key]
        return np.asarray(self._values[value] if isinstance(value, str) else value)

    def _ints(self, item: Operation, key: str) -> tuple[int, ...]:
        return tuple(int(value) for value in self._array(item, key).reshape(-1))

    def _word(self, item: Operation, key: str) -> str:
        return str(self._array(item, key).reshape(-1)[0])


def _along(values: Array, rank: int, axis: int) -> Array:
    if values.size == 1:
        return values.reshape((1,) * rank)
    return values.reshape([-1 if index == axis else 1 for index in range(rank)])


def _palette(name: str, indices: Array, table: Array) -> Stored:
    """As of iOS 18, which has indices of a type of their own and a table per block."""
    if table.ndim != indices.ndim + 2 or table.shape[-1] != 1:
        raise Unreadable(f"{name} has packed indices, or vectors for entries")
    return Stored(values=indices, table=table[..., 0])
