"""float16 or bfloat16 for engines that take every type from the graph (TensorRT's strongly typed networks, CUDA).

Matrix products run in it; what is sensitive (norms, softmax, sums over tokens, angles) is pinned to float32
with casts around it. Inputs and outputs keep their types, so a graph's contract does not change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from vljepa_quant.errors import QuantError
from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["PINNED", "narrowed", "tensor_types", "to_half"]

# Sums of squares overflow float16 at a root mean square of 256 over one element; a mean over thousands of tokens and
# the angles of late positions lose their digits.
PINNED = frozenset(
    ("LayerNormalization", "Softmax", "Pow", "ReduceMean", "ReduceSum", "ReduceL2", "Sqrt", "Div", "Sin", "Cos", "Clip")
)  # fmt: skip
PRODUCTS = frozenset(("MatMul", "Gemm", "Gather"))
LARGEST = float(np.finfo(np.float16).max)


def to_half(model: onnx.ModelProto | GraphEditor, *, pinned: frozenset[str] = PINNED) -> onnx.ModelProto:
    """Turn a float32 graph into one that computes in float16.

    Args:
        model: A float32 graph, with or without QuantizeLinear and DequantizeLinear pairs; one that is opened in an
            editor is changed there.
        pinned: Operators that stay in float32.

    Returns:
        A new model with the same inputs and outputs.

    Raises:
        QuantError: a constant does not fit into float16.
    """
    editor = GraphEditor.of(model)
    narrowed(editor, TensorProto.FLOAT16, pinned=pinned)
    return editor.finish()


def narrowed(editor: GraphEditor, kind: int, *, pinned: frozenset[str]) -> None:
    """`to_half` in an editor, for either type.

    Args:
        editor: Of a float32 graph.
        kind: FLOAT16 or BFLOAT16 of `onnx.TensorProto`.
        pinned: Operators that stay in float32.

    Raises:
        QuantError: a constant does not fit into the type.
    """
    _Converter(editor, kind, pinned).run()


class _Converter:
    """One walk in the graph's order: each node is narrow or float32, casts stand where the two meet."""

    def __init__(self, editor: GraphEditor, narrow: int, pinned: frozenset[str]) -> None:
        self.editor, self._narrow = editor, narrow
        self.pinned = pinned
        self._types = tensor_types(editor)
        self._half: set[str] = set()
        self._casts: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        for node in self.editor.nodes:
            self._visit(node)
        self.editor.nodes = self._nodes
        for name in self.editor.outputs:
            if name in self._half:
                self._widen_output(name)

    def _widen_output(self, name: str) -> None:
        """Let a cast make the output `name`; whoever read it reads the float16 tensor before that cast."""
        inner = self.editor.fresh(f"{name}_half")
        self.editor.redirect(name, inner)
        producer = self.editor.producer(name)
        assert producer is not None  # only results of nodes become float16
        producer.output[list(producer.output).index(name)] = inner
        self.editor.nodes.append(self.editor.make("Cast", (inner,), name, to=TensorProto.FLOAT))

    def _visit(self, node: onnx.NodeProto) -> None:
        half = self._wants_half(node)
        kind = self._narrow if half else TensorProto.FLOAT
        for index, name in enumerate(node.input):
            if self._types.get(name) == TensorProto.FLOAT:
                node.input[index] = self._as(name, kind)
        self._nodes.append(node)
        if half:
            self._half |= {name for name in node.output if self._types.get(name) == TensorProto.FLOAT}

    def _wants_half(self, node: onnx.NodeProto) -> bool:
        if node.op_type in self.pinned or node.op_type == "Cast":
            return False
        if node.op_type in PRODUCTS:
            return self._types.get(node.output[0]) == TensorProto.FLOAT
        if node.op_type == "DequantizeLinear":
            return True
        return any(name in self._half for name in node.input)

    def _as(self, name: str, kind: int) -> str:
        if name in self.editor.constants:
            return name if kind == TensorProto.FLOAT else self._constant(name)
        if (name in self._half) == (kind == self._narrow):
            return name
        if (name, kind) not in self._casts:
            self._casts[name, kind] = self._cast(name, kind)
        return self._casts[name, kind]

    def _cast(self, name: str, kind: int) -> str:
        source = self._integers(name) if kind == self._narrow else None
        label = "half" if kind == self._narrow else "float"
        out = self.editor.fresh(f"{name}_{label}")
        self._nodes.append(self.editor.make("Cast", (source or name,), out, to=kind))
        return out

    def _integers(self, name: str) -> str | None:
        """The uint8 tensor that `name` is a cast of: 0 .. 255 is exact in both types, so one cast will do."""
        node = self.editor.producer(name)
        if node is None or node.op_type != "Cast" or self._types.get(node.input[0]) != TensorProto.UINT8:
            return None
        return str(node.input[0])

    def _constant(self, name: str) -> str:
        key = (name, self._narrow)
        if key not in self._casts:
            value = narrow_array(name, self.editor.constants[name], self._narrow)
            self._casts[key] = self.editor.constant(f"{name}.half", value)
        return self._casts[key]


def tensor_types(editor: GraphEditor) -> dict[str, int]:
    """ONNX element type of every tensor. Needs no serialised model, so graphs above 2 GB are fine."""
    graph = editor.model.graph
    types = {info.name: info.type.tensor_type.elem_type for info in graph.input}
    types |= {item.name: item.data_type for item in graph.initializer}
    types |= {
        name: onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        for name, value in editor.constants.items()
        if name not in types
    }
    for node in editor.nodes:
        kind = _output_type(node, types)
        types.update({name: kind for name in node.output if name})
    return types


def _output_type(node: onnx.NodeProto, types: dict[str, int]) -> int:
    if node.op_type == "Cast":
        return int(attributes(node)["to"])
    if node.op_type == "Shape":
        return TensorProto.INT64
    if node.op_type == "QuantizeLinear":
        return types[node.input[2]] if len(node.input) > 2 else TensorProto.UINT8
    if node.op_type == "DequantizeLinear":
        return types[node.input[1]]
    if node.op_type == "Where":
        return types[node.input[1]]
    return types[node.input[0]]


def narrow_array(name: str, value: npt.NDArray[np.float32], kind: int) -> npt.NDArray[Any]:
    """A constant in float16 or bfloat16."""
    if kind == TensorProto.FLOAT16 and (largest := float(np.abs(value).max(initial=0.0))) > LARGEST:
        raise QuantError(
            f"{name}: {largest:.4g} does not fit into float16 (at most {LARGEST:g}): take bf16 or fp32"
        )
    return value.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
