"""An X-encoder alone as one checked ONNX file, for tools that export a vision model without the rest of a VL-JEPA."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vljepa_evaluation.gates import GraphParity
from vljepa_export.effort import GRAPH_BY_GRAPH
from vljepa_export.graph_passes import IR_VERSION, OPSET, PROTOBUF_LIMIT
from vljepa_export.graphs import x_encoder_definition
from vljepa_export.onnx_export import trace_graph
from vljepa_export.parity import Feeds, asked, compare, onnx_runner, require_float_parity
from vljepa_model.config import XEncoderConfig
from vljepa_model.x_encoder import XEncoder
from vljepa_quant.graph_editor import save_bytes
from vljepa_quant.weights_file import WeightsFile

__all__ = ["export_x_encoder"]


def export_x_encoder(network: XEncoder, config: XEncoderConfig, path: str | Path) -> GraphParity:
    """Write the graph that a bundle has for its X-encoder in float32, and compare it with torch.

    Args:
        network: In evaluation mode, on the CPU, in float32.
        config: Its sizes.
        path: Of the `.onnx` file; weights of 2 GB and more go to a file beside it (`.onnx_data`).

    Returns:
        How near the graph is to torch over a full window and half of one.

    Raises:
        ParityError: it is not what torch computes.
    """
    place, definition = Path(path), x_encoder_definition(network, config)
    tokens = int(np.prod(config.grid))
    editor = trace_graph(definition, fused_attention=tokens >= GRAPH_BY_GRAPH.fuse_from)
    if sum(value.nbytes for value in editor.constants.values()) < PROTOBUF_LIMIT:
        place.write_bytes(save_bytes(editor.finish(opset=OPSET, ir_version=IR_VERSION)))
    else:
        with WeightsFile(place.with_suffix(".onnx_data")) as weights:
            editor.save(place, weights, opset=OPSET, ir_version=IR_VERSION)
    feeds = [_window(config, count) for count in (tokens, max(1, tokens // 2))]
    parity = compare(definition.contract, asked(definition, feeds), onnx_runner(place))
    require_float_parity(definition.name, parity)
    return parity


def _window(config: XEncoderConfig, count: int) -> Feeds:
    """So many of a window's tubelets, seeded pixels in them."""
    draw = np.random.default_rng(count)
    places = np.indices(config.grid).reshape(3, -1).T.astype(np.int32)
    kept = np.sort(draw.permutation(len(places))[:count])
    return {
        "patches": draw.integers(0, 256, (1, count, config.patch_dim), dtype=np.uint8),
        "positions": places[kept][None],
    }
