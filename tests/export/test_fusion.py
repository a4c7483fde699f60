"""Fused graphs: the same numbers, nothing left unfused, few casts; in float32, float16 and bfloat16."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from vljepa_evaluation.gates import Scenes
from vljepa_export import export_bundle
from vljepa_export.constants.methods import rows_of, widths_of
from vljepa_export.constants.onnx_graph import OnnxGraph
from vljepa_export.constants.walk import walk_together
from vljepa_export.graphs import graph_definition
from vljepa_export.onnx_export import export_graph
from vljepa_model import VLJEPA, ModelConfig
from vljepa_model.config import TextStackConfig, XEncoderConfig, YDecoderConfig
from vljepa_quant import GraphEditor, precisions_of
from vljepa_quant.fusion import fuse
from vljepa_quant.half import tensor_types
from vljepa_runtime import Bundle, Model, open_engine
from vljepa_runtime.contract import NETWORKS
from vljepa_runtime.errors import GraphRefusedError

# Graphs of every token at once, and the casts in them whatever their depth: inputs, outputs, angles, sums over tokens.
CASTS = {"x_encoder": 5, "predictor": 11, "y_encoder": 10, "gemma": 12}
UNFUSED = {"Softmax", "LayerNormalization", "Pow", "Sqrt", "Sigmoid", "Transpose"}
GRAPHS = (*CASTS, "y_decoder_prefill", "y_decoder_step")
LLAMA = TextStackConfig(width=32, depth=2, heads=4, kv_heads=2, mlp=48)
GEMMA = replace(
    LLAMA, activation="gelu_tanh", head_norms=True, sandwich_norms=True, window=4, local_blocks=(0,)
)


@cache
def network(text: TextStackConfig) -> VLJEPA:
    config = ModelConfig(
        x_encoder=XEncoderConfig(width=32, depth=2, heads=2, mlp=64, patch=12, size=48, frames=4),
        predictor=LLAMA,
        y_encoder=text,
        y_decoder=YDecoderConfig(stack=LLAMA, prefix=2),
        embedding_dim=24,
        vocab_size=320,
    )
    torch.manual_seed(0)
    return VLJEPA(config).eval()


@cache
def graph(name: str):
    """As traced; `gemma` is a Y-encoder with norms of heads, norms after each part, and blocks of near tokens."""
    model = network(GEMMA if name == "gemma" else LLAMA)
    name = "y_encoder" if name == "gemma" else name
    return export_graph(graph_definition(name, getattr(model, NETWORKS[name]), model.config))


def fused(name: str, kind: int = TensorProto.FLOAT):
    editor = GraphEditor(graph(name))
    fuse(editor, kind)
    return editor.finish()


def in_precision(name: str, precision: str):
    return precisions_of("onnx")[precision].apply(graph(name))


def twin(name: str):
    editor = GraphEditor(graph(name))
    precisions_of("onnx")["bf16"].edit_twin(editor)
    return editor.finish()


def feeds(model, *, rows: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of different lengths: the first row of a text is padded."""
    draw, made = np.random.default_rng(seed), {}
    for info in model.graph.input:
        sizes = {"B": rows, "N": 9, "L": 12, "T": 7}
        shape = [axis.dim_value or sizes[axis.dim_param] for axis in info.type.tensor_type.shape.dim]
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type))
        values = draw.standard_normal(shape) if dtype.kind == "f" else draw.integers(0, 20, shape)
        if "mask" in info.name:
            values = np.ones(shape)
            values[0, 5:] = 0
        made[info.name] = values.astype(dtype)
    return made


def run(model, given) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, given)


def worst_cosine(ours, theirs) -> float:
    worst = 1.0
    for one, other in zip(ours, theirs, strict=True):
        a, b = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (one, other))
        assert one.shape == other.shape
        lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        worst = min(worst, ((a * b).sum(axis=-1) / lengths).min())
    return float(worst)


def kinds(model) -> Counter:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_a_fused_graph_gives_the_same_numbers(name: str) -> None:
    given = feeds(graph(name))
    ours, theirs = run(fused(name), given), run(graph(name), given)
    assert worst_cosine(ours, theirs) > 0.999999
    for one, other in zip(ours, theirs):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", CASTS)
def test_no_softmax_norm_or_gate_is_left_unfused(name: str) -> None:
    found = kinds(fused(name))
    first = {"LayerNormalization"} if name == "x_encoder" else set()  # the first norm has no sum before it
    assert not (UNFUSED - first) & set(found)
    layers = found["MultiHeadAttention"]
    assert layers == 2
    skips = found["SkipLayerNormalization"] + found["SkipSimplifiedLayerNormalization"]
    alone = found["LayerNormalization"] + found["SimplifiedLayerNormalization"]
    assert (skips, alone) == (2 * layers, 1 + (3 * layers if name == "gemma" else 0))
    assert found["BiasGelu"] + found["QuickGelu"] + found["Gelu"] == layers
    assert found["RotaryEmbedding"] == (0 if name == "x_encoder" else layers)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", CASTS)
def test_casts_stand_at_the_ends_alone(name: str, precision: str) -> None:
    model = in_precision(name, precision)
    assert kinds(model)["Cast"] <= CASTS[name]
    inner = GraphEditor(model)
    types = tensor_types(inner)
    for node in inner.of_type(
        "MultiHeadAttention", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"
    ):
        assert types[node.input[0]] == TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16


@pytest.mark.parametrize("name", GRAPHS)
def test_float16_on_the_cpu_provider_agrees_with_float32(name: str) -> None:
    given = feeds(graph(name), seed=1)
    assert worst_cosine(run(in_precision(name, "fp16"), given), run(graph(name), given)) >= 0.9999


@pytest.mark.parametrize("name", GRAPHS)
def test_the_twin_of_a_bfloat16_graph_rounds_and_agrees(name: str) -> None:
    given = feeds(graph(name), seed=1)
    ours, theirs = run(twin(name), given), run(graph(name), given)
    assert 0.999 < worst_cosine(ours, theirs) < 1 - 1e-7


@pytest.mark.parametrize("name", GRAPHS)
def test_both_types_are_one_graph(name: str) -> None:
    """What the twin says of bfloat16 holds for what is shipped: the same operators as in float16, which runs here."""
    assert kinds(in_precision(name, "bf16")) == kinds(in_precision(name, "fp16"))


def test_padding_does_not_matter() -> None:
    model = in_precision("predictor", "fp16")
    given = feeds(model)
    short = {key: value[:1, :5] if key.startswith("query") else value[:1] for key, value in given.items()}
    whole = {key: value[:1] for key, value in given.items()}
    assert worst_cosine(run(model, whole), run(model, short)) > 0.999999


def test_attention_that_is_fused_for_cpus_is_fused_for_gpus_all_the_same() -> None:
    """A float bundle of many tokens hides padding in the keys; a GPU's kernel is told the lengths of rows."""
    module = network(LLAMA).predictor
    definition = graph_definition("predictor", module, network(LLAMA).config)
    floats = export_graph(definition, fused_attention=True)
    assert kinds(floats)["MultiHeadAttention"] == 2
    row = precisions_of("onnx")["fp16"]
    written = row.apply(floats)
    assert kinds(written) == kinds(in_precision("predictor", "fp16"))
    given = feeds(floats)
    assert worst_cosine(run(floats, given), run(graph("predictor"), given)) > 0.999999
    assert worst_cosine(run(written, given), run(graph("predictor"), given)) >= 0.9999
    contents = [model.SerializeToString() for model in (floats, written)]
    both = [
        OnnxGraph("predictor.onnx", lambda file, content=content: memoryview(content), widths=widths)
        for content, widths in zip(contents, (frozenset(), widths_of(row)))
    ]
    assert walk_together("predictor", *both, rows_of(row), row).faults == ()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_bundle_of_fused_graphs_keeps_its_gates(
    precision: str, small_checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.vljepa"
    report = export_bundle(small_checkpoint, path, precision=precision, scenes=Scenes(clips=2, seconds=6.0))
    assert not report.misses
    with Bundle.open(path) as bundle:
        assert set(bundle.manifest.precision.values()) == {precision}
        frames = np.zeros((4, 48, 48, 3), np.uint8)
        if precision == "fp16":
            model = Model(bundle, open_engine("onnxruntime:cpu"))
            assert abs(np.linalg.norm(model.embed(frames)) - 1) < 1e-5
        else:
            with pytest.raises(GraphRefusedError, match="no kernels for bfloat16"):
                Model(bundle, open_engine("onnxruntime:cpu"))
