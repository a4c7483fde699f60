"""One small function per ONNX operator: how it is written with Core ML's MIL builder.

Shapes are fixed by now, so whatever depends on shapes alone never gets here. An operator without a function is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_quant.graph_editor import attributes

__all__ = ["EMITTERS", "Emitter", "Writer"]

Array = npt.NDArray[Any]
Emitter = Callable[["Writer", onnx.NodeProto, str], Any]


class Writer(Protocol):
    """What an emitter may ask for; `program.py` has the one that writes."""

    builder: Any
    floating: str  # the node's working type: fp16 or fp32

    def tensor(self, name: str) -> Any:
        """A variable, or a constant as an array, in the node's working type."""

    def is_float(self, variable: Any) -> bool:
        """Whether it is float16 or float32."""

    def known(self, name: str) -> Array:
        """A constant as it is: axes, sizes, indices."""

    def product(self, name: str) -> Any:
        """A variable on its way into a matrix product with constants: quantised where the recipe says so."""

    def matrix(self, name: str, *, transposed: bool) -> Any:
        """A constant matrix (out, in), compressed where the recipe says so; None where the tensor is no such thing."""


def _binary(kind: str) -> Emitter:
    def emit(write: Writer, node: onnx.NodeProto, name: str) -> Any:
        x, y = (write.tensor(item) for item in node.input)
        return getattr(write.builder, kind)(x=x, y=y, name=name)

    return emit


def _unary(kind: str, **options: Any) -> Emitter:
    def emit(write: Writer, node: onnx.NodeProto, name: str) -> Any:
        return getattr(write.builder, kind)(x=write.tensor(node.input[0]), name=name, **options)

    return emit


def _reduction(kind: str) -> Emitter:
    def emit(write: Writer, node: onnx.NodeProto, name: str) -> Any:
        options = attributes(node)
        axes = options["axes"] if "axes" in options else write.known(node.input[1]).tolist()
        keep = bool(options.get("keepdims", 1))
        reduce = getattr(write.builder, kind)
        return reduce(x=write.tensor(node.input[0]), axes=list(axes), keep_dims=keep, name=name)

    return emit


def _negate(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    x = write.tensor(node.input[0])
    return write.builder.mul(x=x, y=_scalar(write, -1.0), name=name)


def _clip(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    """Only bounds below: a norm or a count kept away from zero."""
    if len(node.input) > 2 and node.input[2]:
        raise NotImplementedError("Clip with an upper bound")
    return write.builder.maximum(x=write.tensor(node.input[0]), y=write.tensor(node.input[1]), name=name)


def _cast(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    """Integers become floats of the working type. Of floats there is one type at a time, of integers only int32."""
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(attributes(node)["to"])).kind
    x = write.tensor(node.input[0])
    if write.is_float(x) == (kind == "f"):
        return write.builder.identity(x=x, name=name)
    if kind != "f":
        raise NotImplementedError("Cast of floats to integers")
    return write.builder.cast(x=x, dtype=write.floating, name=name)


def _matmul(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    weight = write.matrix(node.input[1], transposed=True)
    if weight is None:
        x, y = (write.tensor(item) for item in node.input)
        return write.builder.matmul(x=x, y=y, name=name)
    return write.builder.linear(x=write.product(node.input[0]), weight=weight, name=name)


def _gemm(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    options = attributes(node)
    weight = write.matrix(node.input[1], transposed=not options.get("transB", 0))
    scaled = options.get("alpha", 1.0) != 1.0 or options.get("beta", 1.0) != 1.0
    if weight is None or scaled or options.get("transA", 0):
        raise NotImplementedError("Gemm other than x @ constant + constant")
    bias = write.tensor(node.input[2]) if len(node.input) > 2 else None
    return write.builder.linear(x=write.product(node.input[0]), weight=weight, bias=bias, name=name)


def _layer_norm(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    options = attributes(node)
    x, scale, *bias = (write.tensor(item) for item in node.input)
    if options.get("axis", -1) not in (-1, len(x.shape) - 1):
        raise NotImplementedError("LayerNormalization over more than the last axis")
    return write.builder.layer_norm(
        x=x,
        axes=[-1],
        gamma=scale,
        beta=bias[0] if bias else None,
        epsilon=_scalar(write, options.get("epsilon", 1e-5)),
        name=name,
    )


def _gelu(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    tanh = attributes(node).get("approximate", b"none") == b"tanh"
    mode = "TANH_APPROXIMATION" if tanh else "EXACT"
    return write.builder.gelu(x=write.tensor(node.input[0]), mode=mode, name=name)


def _softmax(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    axis = attributes(node).get("axis", -1)
    return write.builder.softmax(x=write.tensor(node.input[0]), axis=axis, name=name)


def _gather(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    axis = attributes(node).get("axis", 0)
    table, indices = write.matrix(node.input[0], transposed=False), write.tensor(node.input[1])
    if table is None:
        table = write.tensor(node.input[0])
    return write.builder.gather(x=table, indices=indices, axis=axis, name=name)


def _concat(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    values = [write.tensor(item) for item in node.input]
    return write.builder.concat(values=values, axis=attributes(node)["axis"], name=name)


def _split(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    x, axis = write.tensor(node.input[0]), attributes(node).get("axis", 0)
    if len(node.input) > 1 and node.input[1]:
        sizes = write.known(node.input[1]).tolist()
        return write.builder.split(x=x, split_sizes=sizes, axis=axis, name=name)
    return write.builder.split(x=x, num_splits=len(node.output), axis=axis, name=name)


def _slice(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    """Starts, ends, axes and steps are constant; MIL wants them for every axis."""
    x = write.tensor(node.input[0])
    starts, ends, *rest = (write.known(item).tolist() for item in node.input[1:])
    axes = rest[0] if rest else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    parts = [(0, size, 1) for size in x.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps):
        if step < 1:
            raise NotImplementedError("Slice that runs backwards")
        first, stop, _ = slice(start, end, step).indices(x.shape[axis])
        parts[axis % len(parts)] = (first, stop, step)
    begin, end, stride = (list(item) for item in zip(*parts))
    return write.builder.slice_by_index(x=x, begin=begin, end=end, stride=stride, name=name)


def _transpose(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    x = write.tensor(node.input[0])
    perm = attributes(node).get("perm", list(range(len(x.shape)))[::-1])
    return write.builder.transpose(x=x, perm=list(perm), name=name)


def _reshape(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    x, target = write.tensor(node.input[0]), write.known(node.input[1]).tolist()
    if not attributes(node).get("allowzero", 0):
        target = [x.shape[axis] if size == 0 else size for axis, size in enumerate(target)]
    return write.builder.reshape(x=x, shape=target, name=name)


def _unsqueeze(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    axes = write.known(node.input[1]).tolist()
    return write.builder.expand_dims(x=write.tensor(node.input[0]), axes=axes, name=name)


def _squeeze(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    axes = write.known(node.input[1]).tolist() if len(node.input) > 1 else None
    return write.builder.squeeze(x=write.tensor(node.input[0]), axes=axes, name=name)


def _expand(write: Writer, node: onnx.NodeProto, name: str) -> Any:
    x, wanted = write.tensor(node.input[0]), write.known(node.input[1]).tolist()
    if len(wanted) != len(x.shape):
        raise NotImplementedError(f"Expand of {x.shape} to {wanted}, which has another rank")
    reps = [1 if size in (1, own) else size for own, size in zip(x.shape, wanted)]
    if all(count == 1 for count in reps):
        return write.builder.identity(x=x, name=name)
    return write.builder.tile(x=x, reps=reps, name=name)


def _scalar(write: Writer, value: float) -> Any:
    return np.float16(value) if write.floating == "fp16" else np.float32(value)


EMITTERS: Mapping[str, Emitter] = {
    "Add": _binary("add"),
    "Sub": _binary("sub"),
    "Mul": _binary("mul"),
    "Div": _binary("real_div"),
    "Pow": _binary("pow"),
    "Sqrt": _unary("sqrt"),
    "Sin": _unary("sin"),
    "Cos": _unary("cos"),
    "Sigmoid": _unary("sigmoid"),
    "Identity": _unary("identity"),
    "Neg": _negate,
    "Clip": _clip,
    "Cast": _cast,
    "ReduceSum": _reduction("reduce_sum"),
    "ReduceMean": _reduction("reduce_mean"),
    "ReduceL2": _reduction("reduce_l2_norm"),
    "MatMul": _matmul,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "Gelu": _gelu,
    "Softmax": _softmax,
    "Gather": _gather,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Expand": _expand,
}
