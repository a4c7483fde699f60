"""The float ONNX graph in the vocabulary of `graph.py`: as it is, or at fixed sizes with all that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx

from vljepa_export.constants.foreign.fixed_sizes import FixedSizes, attributes_of
from vljepa_export.constants.foreign.graph import ELEMENTWISE, NeutralGraph, Unreadable
from vljepa_export.constants.foreign.stored import Array, Stored
from vljepa_export.constants.onnx_graph import OnnxGraph

__all__ = ["FloatGraph"]

_ALIKE = ELEMENTWISE - {"Gelu", "Cast"} | {"Range", "Expand", "CumSum", "Identity", "Tile"}
_AXIS = {"Softmax": -1, "Concat": None, "Gather": 0, "LogSoftmax": -1}


class FloatGraph:
    """A float graph, which may be looked at with several sizes of its inputs."""

    def __init__(self, floats: OnnxGraph) -> None:
        self._model = floats.model
        self._constants = {item.name: floats.constant(item.name) for item in self._model.graph.initializer}

    def read(self, sizes: Mapping[str, tuple[int, ...]] | None = None) -> NeutralGraph:
        """The graph.

        Args:
            sizes: Shape per input; what depends on shapes alone is then worked out. None leaves them free.

        Raises:
            Unreadable: it holds an operator that is not known here.
        """
        return _Reader(self._model, self._constants, sizes).read()


class _Reader:
    def __init__(
        self,
        model: onnx.ModelProto,
        constants: Mapping[str, Array],
        sizes: Mapping[str, tuple[int, ...]] | None,
    ) -> None:
        self._known: dict[str, Array] = dict(constants)
        self.graph = NeutralGraph(
            inputs={item.name for item in model.graph.input},
            outputs={item.name: item.name for item in model.graph.output},
        )
        if sizes is None:
            self._nodes = list(model.graph.node)
        else:
            fixed = FixedSizes(model, self._known, sizes)
            self._nodes, self.graph.worked_out = fixed.nodes, fixed.worked_out
            self.graph.shapes.update(fixed.shapes)
        self.graph.shapes.update({name: value.shape for name, value in self._known.items()})
        self.graph.constants.update({name: Stored(values=value) for name, value in self._known.items()})

    def read(self) -> NeutralGraph:
        for node in self._nodes:
            if node.domain:
                raise Unreadable(f"the float graph has the operator {node.domain}.{node.op_type}")
            self._put(node)
        return self.graph

    def _put(self, node: onnx.NodeProto) -> None:
        special: Callable[[onnx.NodeProto], None] | None = getattr(self, f"_put_{node.op_type.lower()}", None)
        options = attributes_of(node)
        if special is not None:
            special(node)
        elif node.op_type in _AXIS:
            axis = options.get("axis", _AXIS[node.op_type])
            self.graph.add(node.op_type, node.input, node.output, axis=axis)
        elif node.op_type in _ALIKE:
            self.graph.add(node.op_type, node.input, node.output)
        elif node.op_type.startswith("Reduce"):
            axes = self._numbers(node, 1, options.get("axes"))
            self.graph.add(
                node.op_type, node.input[:1], node.output, axes=axes, keep=bool(options.get("keepdims", 1))
            )
        else:
            raise Unreadable(f"the float graph has the operator {node.op_type}")

    def _put_cast(self, node: onnx.NodeProto) -> None:
        kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(attributes_of(node)["to"])).kind
        self.graph.add("Cast" if kind == "b" else "Identity", node.input, node.output)

    def _put_transpose(self, node: onnx.NodeProto) -> None:
        perm = attributes_of(node).get("perm")
        if perm is None:
            raise Unreadable(f"the float graph has a Transpose without an order: {node.name}")
        self.graph.add("Transpose", node.input, node.output, perm=tuple(perm))

    def _put_reshape(self, node: onnx.NodeProto) -> None:
        copies = not attributes_of(node).get("allowzero", 0)
        target = self._numbers(node, 1, None)
        if target is None:
            self.graph.add("Reshape", node.input, node.output, copies=copies)
        else:
            copies = copies and 0 in target
            self.graph.add("Reshape", node.input[:1], node.output, target=target, copies=copies)

    def _put_unsqueeze(self, node: onnx.NodeProto) -> None:
        self.graph.add(node.op_type, node.input[:1], node.output, axes=self._numbers(node, 1, None))

    _put_squeeze = _put_unsqueeze

    def _put_split(self, node: onnx.NodeProto) -> None:
        sizes = self._numbers(node, 1, None)
        parts = sizes if sizes is not None else (len(node.output),)
        axis = attributes_of(node).get("axis", 0)
        self.graph.add("Split", node.input[:1], node.output, axis=axis, parts=parts, even=sizes is None)

    def _put_slice(self, node: onnx.NodeProto) -> None:
        starts, ends = (self._numbers(node, at, None) for at in (1, 2))
        if starts is None or ends is None:
            self.graph.add("Slice", node.input, node.output)
            return
        axes = self._numbers(node, 3, None) or tuple(range(len(starts)))
        steps = self._numbers(node, 4, None) or (1,) * len(starts)
        cuts = tuple(sorted(zip(axes, starts, ends, steps)))
        self.graph.add("Slice", node.input[:1], node.output, cuts=cuts)

    def _put_shape(self, node: onnx.NodeProto) -> None:
        options = attributes_of(node)
        start, end = options.get("start", 0), options.get("end")
        self.graph.add("Shape", node.input, node.output, part=(start, end))

    def _put_matmul(self, node: onnx.NodeProto) -> None:
        self.graph.add("MatMul", node.input, node.output, ta=False, tb=False)

    def _put_gemm(self, node: onnx.NodeProto) -> None:
        options, (out,) = attributes_of(node), node.output
        if options.get("alpha", 1.0) != 1.0 or options.get("beta", 1.0) != 1.0:
            raise Unreadable(f"the float graph has a Gemm with factors: {node.name}")
        ta, tb = (bool(options.get(name, 0)) for name in ("transA", "transB"))
        biased = len(node.input) > 2 and bool(node.input[2])
        product = f"{out}/product" if biased else out
        self.graph.add("MatMul", node.input[:2], (product,), ta=ta, tb=tb, label=out)
        if biased:
            self.graph.add("Add", (product, node.input[2]), (out,))
            self._same_shape(product, out)

    def _put_layernormalization(self, node: onnx.NodeProto) -> None:
        options, (out,) = attributes_of(node), node.output[:1]
        if options.get("axis", -1) != -1 and (
            options["axis"] != len(self.graph.shapes.get(node.input[0], ())) - 1
        ):
            raise Unreadable(f"the float graph has a LayerNormalization over other axes: {node.name}")
        epsilon, unit, scaled = f"{out}/epsilon", f"{out}/unit", f"{out}/scaled"
        self.graph.constants[epsilon] = Stored(values=np.array(options.get("epsilon", 1e-5), np.float32))
        biased = len(node.input) > 2 and bool(node.input[2])
        self.graph.add("Normalise", (node.input[0], epsilon), (unit,), label=out)
        self.graph.add("Mul", (unit, node.input[1]), (scaled if biased else out,), label=out)
        if biased:
            self.graph.add("Add", (scaled, node.input[2]), (out,), label=out)
        for inner in (unit, scaled):
            self._same_shape(inner, out)

    def _put_gelu(self, node: onnx.NodeProto) -> None:
        tanh = attributes_of(node).get("approximate", b"none") == b"tanh"
        self.graph.add("Gelu", node.input, node.output, tanh=tanh)

    def _put_clip(self, node: onnx.NodeProto) -> None:
        (out,) = node.output
        low = node.input[1] if len(node.input) > 1 else ""
        high = node.input[2] if len(node.input) > 2 else ""
        inner = f"{out}/floor" if low and high else out
        if low:
            self.graph.add("Max", (node.input[0], low), (inner,), label=out)
        if high:
            self.graph.add("Min", (inner if low else node.input[0], high), (out,), label=out)
        self._same_shape(inner, out)

    def _same_shape(self, inner: str, out: str) -> None:
        if out in self.graph.shapes:
            self.graph.shapes[inner] = self.graph.shapes[out]

    def _numbers(
        self, node: onnx.NodeProto, at: int, otherwise: Iterable[int] | None
    ) -> tuple[int, ...] | None:
        """The whole numbers of a constant input; None where it is left out or is no constant."""
        name = node.input[at] if len(node.input) > at else ""
        if not name:
            return None if otherwise is None else tuple(otherwise)
        return tuple(self._known[name].reshape(-1).tolist()) if name in self._known else None
