"""The full-size X-encoder and predictor on ONNX Runtime and OpenVINO: do all agree, how long do they take.

    python tests/export/full_size_openvino.py --graph x_encoder --tokens 2048

Not part of the suite (minutes and gigabytes). Weights are random: what quantisation costs a trained model is not
shown by them, whether a graph of this size is computed rightly is. Operators and sizes are those of the preset
`paper`; one block is used in every layer, which keeps the float32 weights (1.2 and 2 GB) out of memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from vljepa_data.gates import compare_outputs, limits_for
from vljepa_export import graphs
from vljepa_export.formats import find_format, load_target
from vljepa_export.graphs import GraphDefinition
from vljepa_export.onnx_export import export_graph
from vljepa_model import ModelConfig
from vljepa_model.predictor import Predictor
from vljepa_model.x_encoder import XEncoder

KINDS = ("onnx:fp32", "onnx:int8", "openvino:fp32", "openvino:bf16", "openvino:int8-weights", "openvino:int8")
CALIBRATION_TOKENS = 256  # keeps what NNCF remembers of every layer small
VOCABULARY = 8192  # the table of 128,256 words is a look-up; it would only add 1 GB
QUERY_TOKENS = 32


def x_encoder() -> GraphDefinition:
    """V-JEPA 2 ViT-L: 24 layers of width 1024."""
    config = ModelConfig.preset("paper")
    encoder = XEncoder(replace(config.x_encoder, depth=1)).eval()
    encoder.blocks = nn.ModuleList([encoder.blocks[0]] * config.x_encoder.depth)
    return graphs._x_encoder(encoder, config)


def predictor() -> GraphDefinition:
    """8 layers of Llama-3.2-1B's sizes."""
    config = ModelConfig.preset("paper")
    one = replace(config, predictor=replace(config.predictor, depth=1, vocab_size=VOCABULARY))
    module = Predictor(one).eval()
    module.stack.blocks = nn.ModuleList([module.stack.blocks[0]] * config.predictor.depth)
    return graphs._predictor(module, config)


def sample(definition: GraphDefinition, tokens: int, seed: int) -> dict[str, np.ndarray]:
    """One window's inputs: noise for pixels and visual tokens, positions of a real grid."""
    rng = np.random.default_rng(seed)
    width = definition.inputs[0].shape[2]
    if definition.name == "x_encoder":
        grid = np.indices((tokens // 256 or 1, 16, 16), np.int32).reshape(3, -1).T[:tokens]
        return {
            "patches": rng.integers(0, 256, (1, tokens, width), np.uint8),
            "positions": np.ascontiguousarray(grid[None]),
        }
    return {
        "visual": rng.standard_normal((1, tokens, width)).astype(np.float32),
        "query_ids": rng.integers(0, VOCABULARY, (1, QUERY_TOKENS), np.int32),
        "query_mask": np.ones((1, QUERY_TOKENS), np.int32),
    }


def measured(definition: GraphDefinition, model: Any, kind: str, tokens: int, runs: int, wanted: Any) -> Any:
    """Convert, run and compare one kind; its outputs, and a line of results."""
    name, _, precision = kind.partition(":")
    begun = time.monotonic()
    calibration = [sample(definition, CALIBRATION_TOKENS, seed) for seed in (1, 2)]
    made = load_target(find_format(name)).convert(definition, model, precision, samples=calibration)
    converted_s = time.monotonic() - begun
    assert made.run is not None
    feeds = sample(definition, tokens, 0)
    outputs: Sequence[np.ndarray] = []
    spent = []
    for _ in range(runs):
        begun = time.monotonic()
        outputs = made.run(feeds)
        spent.append(time.monotonic() - begun)
    parity = compare_outputs([wanted or outputs], [outputs])
    misses = limits_for(precision).misses(parity)
    line = {
        "kind": kind, "mb": round(sum(map(len, made.files.values())) / 1e6), "convert_s": round(converted_s),
        "run_s": round(median(spent), 2), **{key: round(value, 6) for key, value in asdict(parity).items()},
        "gates": "kept" if not misses else "; ".join(misses),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
    }  # fmt: skip
    return outputs, line


def main() -> None:
    """Print one JSON line per kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", choices=("x_encoder", "predictor"), required=True)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    args = parser.parse_args()
    torch.manual_seed(0)
    definition = {"x_encoder": x_encoder, "predictor": predictor}[args.graph]()
    begun = time.monotonic()
    model = export_graph(definition)
    print(
        json.dumps({"graph": args.graph, "tokens": args.tokens, "export_s": round(time.monotonic() - begun)})
    )
    wanted = None
    for kind in args.kinds.split(","):  # the first is what the others are compared with
        outputs, line = measured(definition, model, kind, args.tokens, args.runs, wanted)
        wanted = wanted or outputs
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
