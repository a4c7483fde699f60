"""How large the numbers inside a graph get, measured with ONNX Runtime, and what follows from that for Core ML.

coremltools calibrates by running the program, which only a Mac can; in ONNX Runtime the graph has the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from vljepa_quant.graph_editor import save_bytes

__all__ = ["Spread", "activation_scales", "fp32_nodes", "spreads"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
# A quarter of float16's largest: other inputs than the samples may reach further.
FP16_LIMIT = 65504 / 4
INT8_LIMIT = 127
# Largest over root mean square; at 32 the rounding of int8 is 23 dB below the values. In our trained model only
# products inside SwiGLU lie beyond (42 to 142).
INT8_PEAK = 32


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one tensor over samples: its largest absolute value, and the root of its mean square."""

    largest: float
    rms: float


def spreads(model: onnx.ModelProto, samples: Iterable[Feeds]) -> dict[str, Spread]:
    """How far the numbers of every float tensor reach over samples.

    They are reduced inside the graph and no activation leaves it: a ViT-L's attention scores would fill gigabytes.
    """
    import onnxruntime

    measured = onnx.shape_inference.infer_shapes(model)
    infos = (*measured.graph.input, *measured.graph.value_info, *measured.graph.output)
    floats = dict.fromkeys(
        info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT
    )
    del measured.graph.output[:]
    for name in floats:
        largest, mean = f"largest of {name}", f"mean square of {name}"
        measured.graph.node.append(helper.make_node("Abs", [name], [f"size of {name}"]))
        measured.graph.node.append(helper.make_node("ReduceMax", [f"size of {name}"], [largest], keepdims=0))
        measured.graph.node.append(helper.make_node("Mul", [name, name], [f"square of {name}"]))
        measured.graph.node.append(helper.make_node("ReduceMean", [f"square of {name}"], [mean], keepdims=0))
        for output in (largest, mean):
            measured.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ()))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(save_bytes(measured), options, providers=["CPUExecutionProvider"])
    rows = np.array([session.run(None, dict(feeds)) for feeds in samples], np.float64).reshape(
        -1, len(floats), 2
    )
    return {
        name: Spread(float(rows[:, index, 0].max()), float(np.sqrt(rows[:, index, 1].mean())))
        for index, name in enumerate(floats)
        if len(rows)
    }


def fp32_nodes(model: onnx.ModelProto, spread: Mapping[str, Spread]) -> frozenset[str]:
    """Names of the nodes that stay in float32: those that lead to rotary angles, and those whose numbers are too large.

    An angle of 100 radians in float16 is off by up to 0.03; a sum of squares overflows at 65504.
    """
    live = _computed_from_inputs(model.graph)
    kept = _angles(model.graph.node)
    for node in model.graph.node:
        tensors = (spread[name] for name in (*node.input, *node.output) if name in spread)
        if any(each.largest > FP16_LIMIT for each in tensors):
            kept.add(node.name)
    return frozenset(
        node.name for node in model.graph.node if node.name in kept and live.intersection(node.output)
    )


def activation_scales(model: onnx.ModelProto, spread: Mapping[str, Spread]) -> dict[str, float]:
    """Step of symmetric int8 for every tensor that is multiplied with a constant matrix.

    Left out are tensors with a few values far beyond the rest, whose step would swallow the rest, and raw pixels, which
    have 8 bits already: a sign would cost one of them.
    """
    constants = {item.name for item in model.graph.initializer if len(item.dims) == 2}
    pixels = {item.name for item in model.graph.input if item.type.tensor_type.elem_type == TensorProto.UINT8}
    raw = {node.output[0] for node in model.graph.node if node.op_type == "Cast" and node.input[0] in pixels}
    inputs = dict.fromkeys(
        node.input[0]
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in constants and node.input[0] not in raw
    )
    # The smallest normal float16 keeps the step of a dead tensor from becoming zero.
    smallest = float(np.finfo(np.float16).tiny)
    return {
        name: max(spread[name].largest / INT8_LIMIT, smallest)
        for name in inputs
        if name in spread and spread[name].largest <= INT8_PEAK * spread[name].rms
    }


def _angles(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """Sin, Cos and every node that they are computed from."""
    wanted: set[str] = set()
    found: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in ("Sin", "Cos") or wanted.intersection(node.output):
            found.add(node.name)
            wanted.update(node.input)
    return found


def _computed_from_inputs(graph: onnx.GraphProto) -> set[str]:
    """Tensors that depend on values of the inputs; what depends on their shapes alone is a constant in the end."""
    live = {item.name for item in graph.input}
    for node in graph.node:
        if node.op_type != "Shape" and live.intersection(node.input):
            live.update(node.output)
    return live
