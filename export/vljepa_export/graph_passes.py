"""Rewrites of an exported float graph: what the exporter leaves that costs size, time or old engines.

Each pass takes a `GraphEditor` and changes no result beyond float rounding; the parity gate checks that afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from vljepa_export.errors import ExportError
from vljepa_export.fused_attention import fuse_attention
from vljepa_quant.graph_editor import GraphEditor, attributes, content_digest

__all__ = ["IR_VERSION", "OPSET", "PROTOBUF_LIMIT", "simplify"]

# Everything left after the passes exists in opset 20 (Gelu is the newest), which ONNX Runtime reads since 1.17,
# OpenVINO and TensorRT read too. Attention and RMSNormalization would need 23.
OPSET, IR_VERSION = 20, 10
PROTOBUF_LIMIT = 2**31 - 2**20  # bytes of a serialised message, less what the nodes take
FOLD_LIMIT = 100_000  # elements; more would trade file size for nothing
# Bytes; such constants are known by where they lie, comparing their content would take minutes.
LARGE = 1 << 20
# Never larger than what they read. The exporter leaves the transposes of ViT-L's weights, and a product that reads one
# has no constant matrix to quantise. A transpose is a view, which takes no memory.
SHRINKING = ("Gather", "Transpose")


def simplify(
    editor: GraphEditor,
    parameters: Mapping[str, npt.NDArray[Any]],
    *,
    outputs: Sequence[str],
    fused_attention: bool = False,
) -> GraphEditor:
    """Rewrite a graph as torch exports it (opset 23) into the one that is shipped in `OPSET`.

    Args:
        editor: Of a model with symbolic shapes in `value_info`, as torch.onnx writes them.
        parameters: The torch module's tensors by name; constants that equal one (or its transpose) take its name.
        outputs: Names of the outputs, in order.
        fused_attention: Use `com.microsoft.MultiHeadAttention` where it fits, instead of plain operators.

    Raises:
        ExportError: an operator is left that opset 20 does not know.
    """
    name_outputs(editor, outputs)
    shapes = _symbolic_shapes(editor.model)
    name_constants(editor, parameters)
    static_reshapes(editor, shapes)
    write_attention_scale(editor, shapes)
    if fused_attention:
        fuse_attention(editor, shapes)
    share_key_value_heads(editor, shapes)
    lower_attention(editor)
    lower_rms_norm(editor)
    fold_constants(editor)
    for node in editor.nodes:
        del node.metadata_props[:]
        node.doc_string = ""
        node.name = f"{node.op_type}:{node.output[0]}"
    _reject_newer(editor)
    return editor


def name_outputs(editor: GraphEditor, names: Sequence[str]) -> None:
    """Give outputs their names in the contract; an inner tensor that has such a name (`embedding`) makes room."""
    for name in names:
        if name not in editor.outputs and editor.producer(name) is not None:
            editor.rename(name, editor.fresh(f"{name}_inner"))
    for old, name in zip(list(editor.outputs), names, strict=True):
        if old != name:
            editor.rename(old, name)


def name_constants(editor: GraphEditor, parameters: Mapping[str, npt.NDArray[Any]]) -> None:
    """Give constants the names of the torch tensors they came from; transposed ones end in `.T`."""
    shapes = {value.shape for value in editor.constants.values()}  # what has another shape need not be hashed
    views = {_place(value): name for name, value in parameters.items() if value.nbytes >= LARGE}
    views |= {_place(v.T): f"{n}.T" for n, v in parameters.items() if v.nbytes >= LARGE and v.ndim == 2}
    known: dict[tuple[tuple[int, ...], bytes], str] = {}
    for name, value in parameters.items():
        if value.nbytes >= LARGE:
            continue
        if value.shape in shapes:
            known.setdefault(content_digest(value)[1:], name)
        if value.ndim == 2 and value.T.shape in shapes:
            known.setdefault(content_digest(value.T)[1:], f"{name}.T")
    names: dict[str, str] = {}
    for old, value in editor.constants.items():
        large = value.nbytes >= LARGE
        new = views.get(_place(value)) if large else known.get(content_digest(value)[1:])
        if new is not None and new != old and new not in names.values() and new not in editor.constants:
            names[old] = new
    editor.rename_constants(names)


def _place(value: npt.NDArray[Any]) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Where an array lies and how: equal for two views of the same elements."""
    return value.__array_interface__["data"][0], value.shape, value.strides


def static_reshapes(editor: GraphEditor, shapes: Mapping[str, tuple[int | str, ...]]) -> None:
    """Give Reshape constant targets (0 copies an axis, one -1), so that the arithmetic on shapes falls away."""
    for node in editor.of_type("Reshape"):
        before, after = shapes.get(node.input[0]), shapes.get(node.output[0])
        if before is None or after is None or node.input[1] in editor.constants:
            continue
        target = [
            0
            if isinstance(axis, str) and i < len(before) and before[i] == axis
            else axis
            if isinstance(axis, int)
            else -1
            for i, axis in enumerate(after)
        ]
        if target.count(-1) > 1:
            continue
        name = editor.constant("shape", np.array(target, np.int64))
        editor.replace(node, [editor.make("Reshape", (node.input[0], name), node.output[0])])


def write_attention_scale(editor: GraphEditor, shapes: Mapping[str, tuple[int | str, ...]]) -> None:
    """Write the default scale of Attention into the node, so that later passes need no shapes for it."""
    for node in editor.of_type("Attention"):
        width = shapes.get(node.input[0], ("",))[-1]
        if "scale" not in attributes(node) and isinstance(width, int):
            node.attribute.append(onnx.helper.make_attribute("scale", width**-0.5))


def share_key_value_heads(editor: GraphEditor, shapes: Mapping[str, tuple[int | str, ...]]) -> None:
    """Grouped-query attention without copies of keys and values: the queries of a group are stacked instead.

    Fits where the mask has no query axis; else the expanded form stays.
    """
    for node in editor.of_type("Attention"):
        query, key, value, *rest = node.input
        sources = [_unrepeated(editor, tensor) for tensor in (key, value)]
        bias = shapes.get(rest[0]) if rest else (1, 1, 1, 1)
        if None in sources or bias is None or len(bias) != 4 or bias[1] != 1 or bias[2] != 1:
            continue
        heads, kv_heads, width = (shapes[query][1], shapes[str(sources[0])][1], shapes[query][3])
        if not (isinstance(heads, int) and isinstance(kv_heads, int) and isinstance(width, int)):
            continue
        base = node.output[0]
        stacked, mixed = editor.fresh(f"{base}_stacked"), editor.fresh(f"{base}_mixed")
        stack = editor.constant("shape", np.array((0, kv_heads, -1, width), np.int64))
        unstack = editor.constant("shape", np.array((0, heads, -1, width), np.int64))
        attention = editor.make(
            "Attention", (stacked, str(sources[0]), str(sources[1]), *rest), mixed, **attributes(node)
        )
        editor.replace(
            node,
            [
                editor.make("Reshape", (query, stack), stacked),
                attention,
                editor.make("Reshape", (mixed, unstack), base),
            ],
        )


def lower_attention(editor: GraphEditor) -> None:
    """Attention (opset 23) as MatMul, Softmax, MatMul; the scale goes to the query, which is the smallest."""
    for node in editor.of_type("Attention"):
        options = attributes(node)
        if options.get("is_causal") or options.get("softcap") or len(node.output) != 1 or len(node.input) > 4:
            raise ExportError(f"{node.name}: only plain or biased attention is lowered, got {options}")
        query, key, value, *bias = node.input
        base = node.output[0]
        scaled, turned, scores, weights = (
            editor.fresh(f"{base}_{part}") for part in ("query", "key", "scores", "weights")
        )
        nodes = [
            editor.make("Mul", (query, _scale(editor, node)), scaled),
            editor.make("Transpose", (key,), turned, perm=[0, 1, 3, 2]),
            editor.make("MatMul", (scaled, turned), scores),
        ]
        if bias:
            biased = editor.fresh(f"{base}_biased")
            nodes.append(editor.make("Add", (scores, bias[0]), biased))
            scores = biased
        nodes.append(editor.make("Softmax", (scores,), weights, axis=-1))
        nodes.append(editor.make("MatMul", (weights, value), base))
        editor.replace(node, nodes)


def lower_rms_norm(editor: GraphEditor) -> None:
    """RMSNormalization (opset 23) in the operators that engines recognise and fuse."""
    for node in editor.of_type("RMSNormalization"):
        x, weight = node.input
        base = node.output[0]
        epsilon = np.float32(attributes(node).get("epsilon", 1e-5))
        square, mean, safe, root, unit = (
            editor.fresh(f"{base}_{part}") for part in ("square", "mean", "safe", "root", "unit")
        )
        two, axis = (
            editor.constant("two", np.float32(2.0)),
            editor.constant("last_axis", np.array((-1,), np.int64)),
        )
        editor.replace(
            node,
            [
                editor.make("Pow", (x, two), square),
                editor.make("ReduceMean", (square, axis), mean, keepdims=1),
                editor.make("Add", (mean, editor.constant("epsilon", epsilon)), safe),
                editor.make("Sqrt", (safe,), root),
                editor.make("Div", (x, root), unit),
                editor.make("Mul", (unit, weight), base),
            ],
        )


def fold_constants(editor: GraphEditor) -> None:
    """Work out nodes whose inputs are all constants; rows picked from a table leave the rest of it dead."""
    for node in list(editor.nodes):
        if not node.input or any(name and name not in editor.constants for name in node.input):
            continue
        if (
            sum(editor.constants[name].size for name in node.input if name) > FOLD_LIMIT
            and node.op_type not in SHRINKING
        ):
            continue
        evaluator = ReferenceEvaluator(_single_node_model(editor, node))
        values = evaluator.run(None, {name: editor.constants[name] for name in node.input if name})
        editor.fold(node, [np.asarray(value) for value in values])


def _single_node_model(editor: GraphEditor, node: onnx.NodeProto) -> onnx.ModelProto:
    feeds = [
        onnx.helper.make_tensor_value_info(
            name,
            onnx.helper.np_dtype_to_tensor_dtype(editor.constants[name].dtype),
            editor.constants[name].shape,
        )
        for name in dict.fromkeys(node.input)
        if name
    ]
    gives = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = onnx.helper.make_graph([node], "fold", feeds, gives)
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


def _reject_newer(editor: GraphEditor) -> None:
    for node in editor.nodes:
        if node.domain:
            continue
        try:
            since = onnx.defs.get_schema(node.op_type, OPSET, "").since_version
        except onnx.defs.SchemaError:
            since = OPSET + 1
        if since > OPSET:
            raise ExportError(f"{node.op_type} does not exist in opset {OPSET}: add a pass that lowers it")


def _scale(editor: GraphEditor, attention: onnx.NodeProto) -> str:
    scale = attributes(attention).get("scale")
    if scale is None:
        raise ExportError(f"{attention.name}: the scale is not written in the graph")
    return editor.constant("scale", np.float32(scale))


def _unrepeated(editor: GraphEditor, tensor: str) -> str | None:
    """What Unsqueeze, Expand, Reshape repeated into `tensor`."""
    return _follow(editor, tensor, ("Reshape", "Expand", "Unsqueeze"))


def _follow(editor: GraphEditor, tensor: str, kinds: Sequence[str]) -> str | None:
    for kind in kinds:
        node = editor.producer(tensor)
        if node is None or node.op_type != kind:
            return None
        tensor = node.input[0]
    return tensor


def _symbolic_shapes(model: onnx.ModelProto) -> dict[str, tuple[int | str, ...]]:
    graph = model.graph
    return {
        info.name: tuple(axis.dim_param or int(axis.dim_value) for axis in info.type.tensor_type.shape.dim)
        for info in (*graph.input, *graph.value_info, *graph.output)
    }
