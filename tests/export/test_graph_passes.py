"""ONNX Runtime's fused attention gives what plain Attention gives, and stays away from what it cannot do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from vljepa_export.fused_attention import fuse_attention
from vljepa_export.graph_passes import (
    IR_VERSION,
    OPSET,
    lower_attention,
    write_attention_scale,
)
from vljepa_quant.graph_editor import GraphEditor
from vljepa_runtime.engines.session_options import whole_sums

Array = npt.NDArray[Any]
SWAP = [0, 2, 1, 3]


def attention_model(
    heads: int = 3,
    head_dim: int = 8,
    *,
    kv_heads: int | None = None,
    value_dim: int | None = None,
    options: dict[str, Any] | None = None,
    mask: bool = False,
    perm: list[int] | None = None,
    swapped_after: list[int] | None = None,
    read_twice: bool = False,
    is_output: bool = False,
    known: bool = True,
) -> onnx.ModelProto:
    """`q, k, v (B, N, heads, width)`, turned, attended and turned back, as torch exports it."""
    sizes = {
        "q": (heads, head_dim),
        "k": (kv_heads or heads, head_dim),
        "v": (kv_heads or heads, value_dim or head_dim),
    }
    lengths = {"q": "N", "k": "M", "v": "M"}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", lengths[name], *size])
        for name, size in sizes.items()
    ]
    nodes = [helper.make_node("Transpose", [name], [f"{name}_turned"], perm=perm or SWAP) for name in sizes]
    if mask:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["B", 1, 1, "M"]))
    operands = [*(f"{name}_turned" for name in sizes), *(["mask"] if mask else [])]
    nodes.append(helper.make_node("Attention", operands, ["mixed"], **(options or {})))
    nodes.append(helper.make_node("Transpose", ["mixed"], ["back"], perm=swapped_after or SWAP))
    outputs = ["back"]
    if read_twice:
        nodes.append(helper.make_node("Neg", ["mixed"], ["negated"]))
        outputs.append("negated")
    if is_output:
        outputs.append("mixed")
    inner = [
        helper.make_tensor_value_info(
            f"{name}_turned", TensorProto.FLOAT, ["B", size[0], lengths[name], size[1]]
        )
        for name, size in sizes.items()
    ]
    graph = helper.make_graph(
        nodes,
        "attention",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        value_info=inner if known else [],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=IR_VERSION)


def passed(model: onnx.ModelProto, *, fuse: bool) -> onnx.ModelProto:
    editor = GraphEditor(model)
    shapes: dict[str, tuple[int | str, ...]] = {
        info.name: tuple(axis.dim_param or int(axis.dim_value) for axis in info.type.tensor_type.shape.dim)
        for info in (*model.graph.input, *model.graph.value_info)
    }
    write_attention_scale(editor, shapes)
    if fuse:
        fuse_attention(editor, shapes)
    if not any(node.op_type == "Attention" for node in editor.nodes) or not fuse:
        lower_attention(editor)
    return editor.finish(opset=OPSET, ir_version=IR_VERSION)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def run(model: onnx.ModelProto, feeds: dict[str, Array]) -> list[Array]:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    whole_sums(options)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def feeds_of(model: onnx.ModelProto, batch: int, queries: int, keys: int, seed: int) -> dict[str, Array]:
    sizes, rng = {"B": batch, "N": queries, "M": keys}, np.random.default_rng(seed)
    shapes = {
        info.name: [sizes.get(axis.dim_param, axis.dim_value) for axis in info.type.tensor_type.shape.dim]
        for info in model.graph.input
    }
    return {name: 2 * rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("options", [{}, {"scale": 0.5}, {"is_causal": 0, "softcap": 0.0}], ids=str)
@pytest.mark.parametrize(
    ("batch", "queries", "keys"), [(1, 1, 1), (2, 7, 7), (1, 5, 33), (3, 1, 12), (1, 300, 300)], ids=str
)
@pytest.mark.parametrize(("heads", "head_dim"), [(1, 8), (3, 16), (12, 4)])
def test_fused_equals_plain(
    heads: int, head_dim: int, batch: int, queries: int, keys: int, options: dict[str, Any]
) -> None:
    model = attention_model(heads, head_dim, options=options)
    fused, plain = passed(model, fuse=True), passed(model, fuse=False)
    assert kinds(fused) == ["Reshape"] * 3 + ["MultiHeadAttention", "Reshape"]
    onnx.checker.check_model(plain)
    feeds = feeds_of(model, batch, queries, keys, seed=heads)
    (got,) = run(fused, feeds)
    for expected in (run(plain, feeds)[0], ReferenceEvaluator(model).run(None, feeds)[0]):
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=1e-5)
    assert float(np.abs(got).max()) > 0.1


@pytest.mark.parametrize(("batch", "queries", "keys"), [(1, 1, 1), (2, 7, 7), (3, 5, 300)], ids=str)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("options", [{}, {"scale": 0.3}], ids=str)
@pytest.mark.parametrize("mask", [False, True], ids=["all", "padded"])
def test_groups_of_heads_and_padding_are_one_node_too(
    kv_heads: int, options: dict[str, Any], mask: bool, batch: int, queries: int, keys: int
) -> None:
    model = attention_model(4, 8, kv_heads=kv_heads, options=options, mask=mask)
    feeds = feeds_of(model, batch, queries, keys, seed=kv_heads)
    if mask:  # of rows of different lengths; what is hidden has values that would be seen
        shown = np.arange(keys) < np.random.default_rng(1).integers(1, keys + 1, (batch, 1, 1, 1))
        feeds["mask"] = np.where(shown, np.float32(0), np.float32(-1e4))
        feeds["v"] *= np.where(np.moveaxis(shown, 3, 1), np.float32(1), np.float32(100))
    (wanted,) = ReferenceEvaluator(model).run(None, feeds)
    fused = passed(model, fuse=True)
    assert kinds(fused).count("MultiHeadAttention") == 1
    assert not {"Attention", "Softmax"} & set(kinds(fused))
    (node,) = (node for node in fused.graph.node if node.op_type == "MultiHeadAttention")
    assert len(node.input) == 3  # with a mask of any kind, its kernel would write all scores down
    np.testing.assert_allclose(run(fused, feeds)[0], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"is_causal": 1}},
        {"options": {"softcap": 5.0}},
        {"value_dim": 5},
        {"perm": [0, 1, 2, 3]},
        {"swapped_after": [0, 3, 1, 2]},
        {"read_twice": True},
        {"is_output": True},
        {"known": False, "options": {"scale": 0.5}},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_what_it_cannot_do_stays_as_it_is(changes: dict[str, Any]) -> None:
    model = attention_model(**changes)
    kept = passed(model, fuse=True)
    assert "Attention" in kinds(kept)
    assert "MultiHeadAttention" not in kinds(kept)
    if changes.get("perm") is None and changes.get("known", True):
        feeds = feeds_of(model, 2, 6, 6, seed=1)
        again = onnx.ModelProto()
        again.CopyFrom(kept)
        del again.opset_import[:]
        again.opset_import.append(helper.make_opsetid("", 23))
        for ours, theirs in zip(*(ReferenceEvaluator(one).run(None, feeds) for one in (again, model))):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_attention_of_three_axes_stays_as_it_is() -> None:
    """(B, N, heads * width) with the number of heads as an attribute, as other exporters write it."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", "N", 24]) for name in "qkv"]
    node = helper.make_node("Attention", list("qkv"), ["y"], q_num_heads=3, kv_num_heads=3, scale=0.5)
    graph = helper.make_graph(
        [node], "flat", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", "N", 24])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=IR_VERSION)
    assert kinds(passed(model, fuse=True)) == ["Attention"]


def predictor(depth: int = 2) -> tuple[Any, Any]:
    import torch

    from vljepa_export.graphs import graph_definition
    from vljepa_model import ModelConfig
    from vljepa_model.config import TextStackConfig
    from vljepa_model.predictor import Predictor

    sizes = TextStackConfig(width=32, depth=depth, heads=4, kv_heads=2, mlp=48)
    config = replace(ModelConfig.preset("tiny"), predictor=sizes)
    torch.manual_seed(0)
    module = Predictor(config).eval()
    return graph_definition("predictor", module, config), config.x_encoder.width


@pytest.mark.slow
def test_a_predictor_over_many_tokens_writes_no_scores_down() -> None:
    """Queries of different lengths in one batch, with as many visual tokens as are fused from on."""
    from vljepa_export.effort import GRAPH_BY_GRAPH
    from vljepa_export.onnx_export import export_graph
    from vljepa_export.parity import torch_outputs
    from vljepa_quant import precisions_of
    from vljepa_runtime.graphs.onnx_file import read_onnx
    from vljepa_runtime.graphs.onnx_sizes import check_sizes

    definition, width = predictor()
    fused = export_graph(definition, fused_attention=True)
    draw = np.random.default_rng(0)
    feeds = {
        "visual": draw.standard_normal((2, GRAPH_BY_GRAPH.fuse_from, width)).astype(np.float32),
        "query_ids": draw.integers(3, 100, (2, 9)).astype(np.int32),
        "query_mask": (np.arange(9) < np.array([[4], [9]])).astype(np.int32),
    }
    (wanted,) = torch_outputs(definition, feeds)
    for precision, least in (("fp32", 0.999999), ("int8", 0.995)):
        model = precisions_of("onnx")[precision].apply(fused)
        assert "Softmax" not in kinds(model)
        assert kinds(model).count("MultiHeadAttention") == 2
        shapes = {name: value.shape for name, value in feeds.items()}
        looked_at = read_onnx(
            memoryview(model.SerializeToString()), {}
        )  # as the runtime does before it loads one
        check_sizes(looked_at, shapes, limit=1 << 26, whole=("query_ids", "query_mask"))
        (found,) = run(model, feeds)
        assert float((found * wanted).sum(axis=-1).min()) > least


@pytest.mark.slow
def test_a_real_x_encoder_of_a_thousand_tokens() -> None:
    """Shipped fused from 1,024 tokens on, with all of them and with a part."""
    import torch

    from vljepa_export.effort import GRAPH_BY_GRAPH
    from vljepa_export.graphs import graph_definition
    from vljepa_export.onnx_export import export_graph
    from vljepa_model import ModelConfig
    from vljepa_model.config import XEncoderConfig
    from vljepa_model.x_encoder import XEncoder
    from vljepa_runtime.preprocessing.patches import fit_frames
    from vljepa_runtime.preprocessing.preprocess import Preprocess
    from vljepa_runtime.preprocessing.token_selection import clip_tokens

    pre = Preprocess(frames=8, size=64, patch=4)
    assert pre.tokens == GRAPH_BY_GRAPH.fuse_from == 1024
    config = ModelConfig.preset("tiny")
    sizes = XEncoderConfig(width=32, depth=2, heads=2, mlp=48, patch=4, size=64, frames=8)
    torch.manual_seed(0)
    module = XEncoder(sizes).eval()
    definition = graph_definition("x_encoder", module, replace(config, x_encoder=sizes))
    fused, plain = (export_graph(definition, fused_attention=fuse) for fuse in (True, False))
    assert kinds(fused).count("MultiHeadAttention") == 2
    assert "Softmax" not in kinds(fused)
    assert kinds(plain).count("Softmax") == 2
    frames = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    for budget in (1024, 300):
        patches, positions = clip_tokens(fit_frames(frames, pre), tokens=f"budget:{budget}")
        feeds = {"patches": patches[None], "positions": positions[None]}
        with torch.no_grad():
            expected = module(*(torch.from_numpy(value) for value in feeds.values())).numpy()
        for model in (fused, plain):
            np.testing.assert_allclose(run(model, feeds)[0], expected, atol=2e-5, rtol=1e-4)
