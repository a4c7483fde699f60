"""What follows from the sizes of a float graph's inputs: shapes, and constants that depend on nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from vljepa_export.constants.foreign.stored import Array

__all__ = ["FixedSizes", "attributes_of"]


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


class FixedSizes:
    """A graph whose inputs have sizes.

    Args:
        model: The graph.
        known: Its constants; those that are worked out are put to them.
        sizes: Shape per input.

    Attributes:
        nodes: Those that are left.
        shapes: Of all values that are known.
        worked_out: Names of what is constant now; the values are among those that were given.
    """

    def __init__(
        self, model: onnx.ModelProto, known: dict[str, Array], sizes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self._model, self._known = onnx.ModelProto(), known
        self._model.CopyFrom(model)
        del self._model.graph.value_info[:]
        for info in self._model.graph.input:
            for axis, size in zip(info.type.tensor_type.shape.dim, sizes[info.name], strict=True):
                axis.dim_value = size
        for info in self._model.graph.output:
            info.type.tensor_type.ClearField("shape")
        self.worked_out: set[str] = set()
        self.shapes: dict[str, tuple[int, ...]] = {}
        while True:  # what was worked out may give shapes that nothing else tells
            inferred = onnx.shape_inference.infer_shapes(self._model, data_prop=True)
            self.shapes = _shapes(inferred)
            if not self._fold():
                break
        self.nodes = list(self._model.graph.node)

    def _fold(self) -> bool:
        graph = self._model.graph
        left, told = [], {item.name for item in graph.initializer}
        for node in graph.node:
            if not self._folded(node):
                left.append(node)
        more = len(left) < len(graph.node)
        del graph.node[:]
        graph.node.extend(left)
        used = {name for node in left for name in node.input} & self.worked_out - told
        graph.initializer.extend(numpy_helper.from_array(self._known[name], name) for name in sorted(used))
        return more

    def _folded(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "Shape":
            shape = self.shapes.get(node.input[0])
            if shape is None:
                return False
            options = attributes_of(node)
            values = [np.array(shape[options.get("start", 0) : options.get("end", len(shape))], np.int64)]
        elif all(name in self._known for name in node.input if name):
            values = _evaluated(self._model, node, self._known)
        else:
            return False
        for name, value in zip(node.output, values):
            self._known[name] = value
            self.worked_out.add(name)
            self.shapes[name] = value.shape
        return True


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    graph = model.graph
    return {
        info.name: tuple(axis.dim_value for axis in info.type.tensor_type.shape.dim)
        for info in (*graph.input, *graph.value_info, *graph.output)
        if info.type.tensor_type.HasField("shape")
        and all(axis.HasField("dim_value") for axis in info.type.tensor_type.shape.dim)
    }


def _evaluated(model: onnx.ModelProto, node: onnx.NodeProto, known: Mapping[str, Array]) -> list[Array]:
    """What one node gives, by ONNX's own reference."""
    names = [name for name in dict.fromkeys(node.input) if name]
    feeds = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(known[name].dtype), known[name].shape
        )
        for name in names
    ]
    graph = onnx.helper.make_graph([node], "one", feeds, [onnx.ValueInfoProto(name=n) for n in node.output])
    single = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    given = ReferenceEvaluator(single).run(None, {name: known[name] for name in names})
    return [np.asarray(value) for value in given]
