"""Build the full-size X-encoder and predictor with TensorRT for RTX, without a GPU: sizes, times, types per layer.

    python tests/export/full_size_tensorrt_rtx.py --graph x_encoder --precision int8 --out full-size

Not part of the suite (minutes and gigabytes). Weights are random and cannot be judged; shapes, operators and sizes are
those of the preset `paper` with 2,048 tokens. One block is exported over and over and its weights are told apart
afterwards, which keeps the float32 copy of the predictor (3 GB) out of memory; activations get a made-up step.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from vljepa_export import graphs
from vljepa_export.graphs import GraphDefinition
from vljepa_export.onnx_export import export_graph
from vljepa_export.targets import tensorrt_rtx
from vljepa_export.targets.typed_graph import build_recipe
from vljepa_model import ModelConfig
from vljepa_model.predictor import Predictor
from vljepa_model.x_encoder import XEncoder
from vljepa_quant import Precision, precisions_of
from vljepa_quant.graph_editor import GraphEditor, save_bytes
from vljepa_quant.half import to_half
from vljepa_quant.qdq import quantise_qdq, quantised_inputs
from vljepa_runtime.engines.trt.builder import build_engine
from vljepa_runtime.engines.trt.layers import summary
from vljepa_runtime.engines.trt.library import load_library
from vljepa_runtime.peak_memory import peak_rss_mb

TOKENS = 2048
STEP = 0.05
LARGE = 100_000  # elements; what is smaller may stay shared


def x_encoder() -> GraphDefinition:
    """ViT-L: 24 layers of width 1024, all the same block."""
    config = ModelConfig.preset("paper")
    encoder = XEncoder(replace(config.x_encoder, depth=1)).eval()
    encoder.blocks = nn.ModuleList([encoder.blocks[0]] * config.x_encoder.depth)
    return graphs._x_encoder(encoder, config)


def predictor() -> GraphDefinition:
    """8 layers of width 2048, all the same block, with a short token table."""
    config = ModelConfig.preset("paper")
    small = replace(config, predictor=replace(config.predictor, depth=1, vocab_size=1024))
    module = Predictor(small).eval()
    module.stack.blocks = nn.ModuleList([module.stack.blocks[0]] * config.predictor.depth)
    return graphs._predictor(module, config)


def typed(definition: GraphDefinition, precision: Precision) -> onnx.ModelProto:
    """The graph in a precision, its blocks told apart and its token table at full length."""
    model = export_graph(definition)
    if precision.method:
        steps = dict.fromkeys(quantised_inputs(model), STEP)
        model = quantise_qdq(model, precision, steps)
    if precision.execution != "f32":
        model = to_half(model)
    return tell_apart(model, ModelConfig.preset("paper").vocab_size)


def tell_apart(model: onnx.ModelProto, vocabulary: int) -> onnx.ModelProto:
    """Give every reader of a shared weight a weight of its own."""
    editor = GraphEditor(model)
    for node in editor.of_type("DequantizeLinear"):
        if node.input[0] in editor.constants:
            for reader in editor.consumers(node.output[0])[1:]:
                own = editor.fresh(f"{node.output[0]}_own")
                clone = onnx.NodeProto()
                clone.CopyFrom(node)
                clone.output[0] = clone.name = own
                reader.input[list(reader.input).index(node.output[0])] = own
                editor.nodes.insert(editor.nodes.index(node), clone)
    for name, value in list(editor.constants.items()):
        for turn, reader in enumerate(editor.consumers(name)[1:] if value.size > LARGE else [], 1):
            own = editor.fresh(f"{name}_own")
            editor.constants[own] = np.roll(value, turn, axis=-1)
            reader.input[list(reader.input).index(name)] = own
    for node in editor.of_type("Gather"):
        table = editor.constants.get(node.input[0])
        if table is not None and table.ndim == 2:
            editor.constants[node.input[0]] = np.tile(table, (-(-vocabulary // len(table)), 1))[:vocabulary]
    return editor.finish()


def main() -> None:
    """Build one graph in one precision and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", choices=("x_encoder", "predictor"), required=True)
    parser.add_argument("--precision", choices=precisions_of("tensorrt-rtx"), required=True)
    parser.add_argument("--out", type=Path, help="folder for the list of layers")
    args = parser.parse_args()
    precision = precisions_of("tensorrt-rtx")[args.precision]
    torch.manual_seed(0)
    started = time.monotonic()
    definition = {"x_encoder": x_encoder, "predictor": predictor}[args.graph]()
    graph = save_bytes(typed(definition, precision))
    exported = time.monotonic() - started
    recipe = build_recipe(
        definition, precision, (TOKENS,), ranged=True, timing_cache=False,
        compute_capabilities=tensorrt_rtx.COMPUTE_CAPABILITIES.get(args.precision, ()),
    )  # fmt: skip
    built = build_engine(load_library("tensorrt-rtx"), args.graph, graph, recipe)
    found = {
        "graph": args.graph,
        "precision": args.precision,
        "onnx_mb": round(len(graph) / 1e6, 1),
        "engine_mb": round(len(built.engine) / 1e6, 1),
        "export_s": round(exported, 1),
        "build_s": round(built.seconds, 1),
        "peak_rss_mb": round(peak_rss_mb() or 0.0),
        "layers": summary(built.layers),
        "products_in_fp32": [layer.name for layer in built.layers if layer.is_product and layer.is_float32],
        "warnings": built.warnings,
    }
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        layers = [asdict(layer) for layer in built.layers]
        (args.out / f"{args.graph}-{args.precision}.json").write_text(
            json.dumps({**found, "layer_list": layers}, indent=1)
        )
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
