"""How large the numbers inside a graph get, measured with ONNX Runtime, and what follows from that for Core ML.

coremltools calibrates by running the program, which only a Mac can; in ONNX Runtime the graph has the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from vljepa_quant.graph_editor import save_bytes

__all__ = ["activation_scales", "fp32_nodes", "largest_values"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
# A quarter of float16's largest: other inputs than the samples may reach further.
FP16_LIMIT = 65504 / 4
INT8_LIMIT = 127
PREFIX = "largest of "


def largest_values(model: onnx.ModelProto, samples: Iterable[Feeds]) -> dict[str, float]:
    """Largest absolute value of every float tensor over samples.

    Maxima are taken inside the graph and no activation leaves it: a ViT-L's attention scores would fill gigabytes.
    """
    import onnxruntime

    inferred = onnx.shape_inference.infer_shapes(model)
    floats = [
        info.name
        for info in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
        if info.type.tensor_type.elem_type == TensorProto.FLOAT
    ]
    for name in dict.fromkeys(floats):
        inferred.graph.node.append(helper.make_node("Abs", [name], [f"size of {name}"]))
        inferred.graph.node.append(
            helper.make_node("ReduceMax", [f"size of {name}"], [PREFIX + name], keepdims=0)
        )
    del inferred.graph.output[:]
    for name in dict.fromkeys(floats):
        inferred.graph.output.append(helper.make_tensor_value_info(PREFIX + name, TensorProto.FLOAT, ()))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(save_bytes(inferred), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    largest: dict[str, float] = {}
    for feeds in samples:
        for name, value in zip(names, session.run(names, dict(feeds))):
            tensor = name.removeprefix(PREFIX)
            largest[tensor] = max(largest.get(tensor, 0.0), float(value))
    return largest


def fp32_nodes(model: onnx.ModelProto, largest: Mapping[str, float]) -> frozenset[str]:
    """Names of the nodes that stay in float32: those that lead to rotary angles, and those whose numbers are too large.

    An angle of 100 radians in float16 is off by up to 0.03; a sum of squares overflows at 65504.
    """
    live = _computed_from_inputs(model.graph)
    kept = _angles(model.graph.node)
    for node in model.graph.node:
        if any(largest.get(name, 0.0) > FP16_LIMIT for name in (*node.input, *node.output)):
            kept.add(node.name)
    return frozenset(
        node.name for node in model.graph.node if node.name in kept and live.intersection(node.output)
    )


def activation_scales(model: onnx.ModelProto, largest: Mapping[str, float]) -> dict[str, float]:
    """Step of symmetric int8 for every tensor that is multiplied with a constant matrix.

    Raw pixels are left out: they have 8 bits already, and a sign would cost one of them.
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
    return {
        name: max(largest[name] / INT8_LIMIT, float(np.finfo(np.float16).tiny))
        for name in inputs
        if name in largest
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
