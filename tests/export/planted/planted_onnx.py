"""ONNX graphs of a copy, edited in place: constants by a pattern of their names, nodes by their operator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper
from planted_copy import Copy, NotHere

Array = npt.NDArray[Any]

__all__ = ["Graph", "onnx_graph"]


class Graph:
    """One graph; what it shares with another through a file of weights is changed for both."""

    def __init__(self, copy: Copy, name: str) -> None:
        self.copy = copy
        self.file = copy.file_of(name)
        if not self.file.endswith(".onnx"):
            raise NotHere(f"{self.file} is no ONNX graph")
        self.model = onnx.load_from_string(copy.files[self.file])

    @property
    def nodes(self) -> Any:
        """All nodes, in order."""
        return self.model.graph.node

    def names(self, pattern: str) -> list[str]:
        """The constants whose names match, in the order of the file."""
        return [each.name for each in self.model.graph.initializer if re.fullmatch(pattern, each.name)]

    def name(self, pattern: str, nth: int = 0) -> str:
        """One of them."""
        found = self.names(pattern)
        if not -len(found) <= nth < len(found):
            raise NotHere(f"{self.file} has no constant {pattern}")
        return found[nth]

    def get(self, name: str) -> Array:
        """The values of a constant."""
        tensor = self._tensor(name)
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            return numpy_helper.to_array(tensor).copy()
        file, start, size = self._place(tensor)
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        data = self.copy.files[file][start : start + size]
        return np.frombuffer(data, kind).reshape(tuple(tensor.dims)).copy()

    def put(self, name: str, values: Array) -> None:
        """Other values of the same type and shape."""
        tensor = self._tensor(name)
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            tensor.CopyFrom(numpy_helper.from_array(values.copy(order="C"), name))
            return
        file, start, size = self._place(tensor)
        content = self.copy.files[file]
        self.copy.files[file] = content[:start] + values.tobytes() + content[start + size :]

    def change(self, pattern: str, edit: Callable[[Array], object], nth: int = 0) -> None:
        """Edit the values of one constant in place."""
        name = self.name(pattern, nth)
        values = self.get(name)
        before = values.copy()
        edit(values)
        if np.array_equal(before, values):
            raise NotHere(f"{name} stays what it is")
        self.put(name, values)

    def constant(self, name: str, values: Array) -> str:
        """A new constant."""
        self.model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, nth: int = 0) -> NodeProto:
        """One node of an operator."""
        found = [node for node in self.nodes if node.op_type == kind]
        if not -len(found) <= nth < len(found):
            raise NotHere(f"{self.file} has no {kind}")
        return found[nth]

    def insert(self, before: NodeProto, *nodes: NodeProto) -> None:
        """New nodes ahead of another."""
        at = list(self.nodes).index(before)
        for node in reversed(nodes):
            self.nodes.insert(at, node)

    def rewire(self, old: str, new: str, *, but: NodeProto) -> None:
        """Let all who take one value take another."""
        for node in self.nodes:
            if node != but:
                node.input[:] = [new if name == old else name for name in node.input]

    def _tensor(self, name: str) -> onnx.TensorProto:
        return next(each for each in self.model.graph.initializer if each.name == name)

    @staticmethod
    def _place(tensor: onnx.TensorProto) -> tuple[str, int, int]:
        said = {entry.key: entry.value for entry in tensor.external_data}
        return said["location"], int(said.get("offset", 0)), int(said["length"])


@contextmanager
def onnx_graph(copy: Copy, name: str) -> Iterator[Graph]:
    """A graph to be edited; written back at the end."""
    graph = Graph(copy, name)
    yield graph
    copy.files[graph.file] = graph.model.SerializeToString()
