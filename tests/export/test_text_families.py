"""What families of language models do otherwise, written in every format: near to torch, and all constants as meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from vljepa_evaluation.gates import Sample, misses
from vljepa_export import ExportError
from vljepa_export.constants.proving import prove_converted
from vljepa_export.formats import FORMATS, load_target
from vljepa_export.graphs import graph_definition
from vljepa_export.parity import asked, compare
from vljepa_export.targets.protocol import Places, TracedGraph
from vljepa_export.walk import trace
from vljepa_model import VLJEPA, ModelConfig
from vljepa_model.config import TextStackConfig, XEncoderConfig, YDecoderConfig
from vljepa_quant import precisions_of
from vljepa_quant.graph_editor import GraphEditor
from vljepa_quant.weights_file import WeightsFile
from vljepa_runtime.contract import NETWORKS
from vljepa_runtime.errors import MissingExtraError

LLAMA = TextStackConfig(width=32, depth=2, heads=4, kv_heads=2, mlp=64)
LAYER_NORM = replace(
    LLAMA, norm="layer", gated=False, activation="gelu_tanh", qkv_bias=True, proj_bias=True, mlp_bias=True
)
STACKS: Mapping[str, TextStackConfig] = {
    "biased": replace(LLAMA, qkv_bias=True, proj_bias=True, mlp_bias=True),  # Qwen 2 has the first of them
    "smollm3": replace(LLAMA, unturned_blocks=(1,)),
    "gemma2": replace(
        LLAMA, activation="gelu_tanh", sandwich_norms=True, window=6, local_blocks=(0,), score_scale=0.3,
        score_cap=1.5, embedding_scale=5.7,
    ),
    "phi": replace(LAYER_NORM, residual="parallel_one_norm", rotary_dim=4),
    "pythia": replace(LAYER_NORM, activation="gelu", residual="parallel", rotary_dim=2),
}  # fmt: skip
GRAPHS = ("y_decoder_prefill", "y_decoder_step", "predictor")
NEAR_ON_NOISE = (
    0.9  # weights and inputs are noise, for which int8 is worst; the constants are held to half a step
)
WRITTEN = [
    ("onnx", "fp32"),
    ("onnx", "int8"),
    *(
        pytest.param(format, precision, marks=pytest.mark.slow)
        for format, precision in (
            ("onnx", "fp16"),
            ("openvino", "fp32"),
            ("openvino", "int8-weights"),
            ("coreml", "fp32"),
        )
    ),
]


class Traced(NamedTuple):
    graph: TracedGraph
    samples: tuple[Sample, ...]
    windowed: bool  # the decoder's step, of blocks that see their neighbourhood


def network(name: str) -> VLJEPA:
    stack = STACKS[name]
    decoder = YDecoderConfig(
        stack=stack,
        prefix=3,
        tied=stack.norm == "rms",
        output_bias=name == "phi",
        logit_cap=2.0 if name == "gemma2" else None,
    )
    config = ModelConfig(
        x_encoder=XEncoderConfig(width=24, depth=1, heads=2, mlp=32, patch=8, size=16, frames=2),
        predictor=stack,
        y_encoder=LLAMA,
        y_decoder=decoder,
        embedding_dim=24,
        vocab_size=96,
    )
    torch.manual_seed(0)
    model = VLJEPA(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * (0.15 if parameter.ndim > 1 else 0.3))
    return model


def feeds(name: str, stack: TextStackConfig) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    if name == "y_decoder_prefill":
        return {"embedding": draw.standard_normal((2, 24)).astype(np.float32)}
    if name == "predictor":
        mask = np.ones((2, 9), np.int32)
        mask[0, 5:] = 0
        visual = draw.standard_normal((2, 4, 24)).astype(np.float32)
        return {
            "visual": visual,
            "query_ids": draw.integers(0, 96, (2, 9)).astype(np.int32),
            "query_mask": mask,
        }
    cache = (2, stack.kv_heads, 7, stack.head_dim)
    past = {
        f"past_{kind}.{layer}": draw.standard_normal(cache).astype(np.float32)
        for layer in range(stack.depth)
        for kind in ("key", "value")
    }
    return {"token": np.array([[5], [60]], np.int32), **past}


QUICK = (
    "biased-y_decoder_prefill",
    "gemma2-y_decoder_step",
    "phi-y_decoder_step",
)  # torch traces seconds for each


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(case, marks=() if case in QUICK else pytest.mark.slow)
        for case in (f"{name}-{graph}" for name in STACKS for graph in GRAPHS)
    ],
)
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    name, graph = request.param.rsplit("-", 1)
    model, folder = network(name), tmp_path_factory.mktemp("traced")
    module = getattr(model, NETWORKS[graph])
    definition = graph_definition(graph, module, model.config)
    given = feeds(graph, STACKS[name])
    if graph == "y_decoder_step":
        given = dict(zip((spec.name for spec in definition.inputs), given.values(), strict=True))
    samples = asked(definition, [given])
    with WeightsFile(folder / "weights") as weights:
        windowed = graph == "y_decoder_step" and bool(STACKS[name].local_blocks)
        return Traced(trace(definition, weights, lambda: module), samples, windowed)


def test_onnx_itself_computes_what_torch_does(traced: Traced) -> None:
    """The reference evaluator knows no kernels of ONNX Runtime."""
    model = GraphEditor.open(traced.graph.path).finish()
    sample = traced.samples[0]
    for wanted, got in zip(
        sample.outputs, ReferenceEvaluator(model).run(None, dict(sample.feeds)), strict=True
    ):
        np.testing.assert_allclose(got, wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("format", "precision"), WRITTEN)
def test_a_graph_keeps_its_limits_and_constants(
    format: str, precision: str, traced: Traced, tmp_path: Path
) -> None:
    row = precisions_of(format)[precision]
    try:
        target = load_target(FORMATS[format])
    except MissingExtraError as error:
        pytest.skip(str(error))
    given = [sample.feeds for sample in traced.samples]
    if format == "coreml" and traced.windowed:
        with pytest.raises(
            ExportError, match="expected a Y-decoder whose blocks see everything, got windows of"
        ):
            target.convert(traced.graph, row, samples=given, budgets=(), folder=tmp_path)
        return
    made = target.convert(traced.graph, row, samples=given, budgets=(), folder=tmp_path)
    parity = compare(traced.graph.contract, traced.samples, made.open())
    if row.method in ("", "fused_fp16"):
        assert misses(row.limits.graph_gates(parity)) == ()
    assert parity.mean_cosine >= NEAR_ON_NOISE
    if isinstance(target, Places):
        (tmp_path / "placed").mkdir()
        name = traced.graph.contract.name
        made = target.place({name: made}, NETWORKS[name], tmp_path / "placed", mapped=False)[name]
    proof = prove_converted(traced.graph, made, target=format)
    assert proof.faults == ()
    assert not proof.unjudged
    assert proof.compared > 0
