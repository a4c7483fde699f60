"""A thin editor over an ONNX model: who makes and who reads a tensor, constants as arrays, nodes put in and taken out.

Every change is a function of the graph alone, so the same model always gives the same bytes. Constants may be views
of memory that others own, or of a mapped file: a graph of gigabytes is edited without a copy of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from vljepa_quant.weights_file import WeightsFile, mapped_constants

__all__ = ["GraphEditor", "attributes", "content_digest", "save_bytes"]

Array = npt.NDArray[Any]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def save_bytes(model: onnx.ModelProto) -> bytes:
    """The model as deterministic bytes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def content_digest(value: Array) -> tuple[str, tuple[int, ...], bytes]:
    """Type, shape and a hash of the elements: equal for equal arrays, however they lie in memory."""
    whole = np.ascontiguousarray(value)
    digest = hashlib.sha256(whole.reshape(-1).view(np.uint8).data if whole.size else b"").digest()
    return value.dtype.str, value.shape, digest


class GraphEditor:
    """Edits a copy of a model in place; `finish` gives the result.

    Nodes that a pass replaces are only marked; `finish` drops whatever no output needs.

    Args:
        model: What to edit.
        constants: Arrays of initializers whose data lies outside the model.
    """

    def __init__(self, model: onnx.ModelProto, constants: Mapping[str, Array] | None = None) -> None:
        outside = constants or {}
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.nodes: list[onnx.NodeProto] = list(self.model.graph.node)
        self.constants: dict[str, Array] = {
            item.name: outside[item.name] if item.name in outside else numpy_helper.to_array(item)
            for item in self.model.graph.initializer
        }
        self.inputs = [item.name for item in self.model.graph.input]
        self.outputs = [item.name for item in self.model.graph.output]
        self._names = {name for node in self.nodes for name in (*node.input, *node.output)}
        self._names |= {*self.constants, *self.inputs}

    @classmethod
    def open(cls, path: Path) -> GraphEditor:
        """A graph on disk; constants in files beside it are mapped, not read."""
        model = onnx.load(path, load_external_data=False)
        return cls(model, mapped_constants(model, path.parent))

    @classmethod
    def of(cls, model: onnx.ModelProto | GraphEditor) -> GraphEditor:
        """An editor as it is, or a new one over a model."""
        return model if isinstance(model, GraphEditor) else cls(model)

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that makes `tensor`; None for an input or a constant."""
        return next((node for node in self.nodes if tensor in node.output), None)

    def consumers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read `tensor`."""
        return [node for node in self.nodes if tensor in node.input]

    def of_type(self, *kinds: str) -> Iterator[onnx.NodeProto]:
        """The nodes of these operators, as they are now."""
        return iter([node for node in self.nodes if node.op_type in kinds])

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add a constant, or find the one of this name prefix that already holds `value`."""
        array = np.asarray(value, order="C")
        for known, other in self.constants.items():
            if known.startswith(name) and _same(other, array):
                return known
        fresh = self.fresh(name)
        self.constants[fresh] = array
        return fresh

    def fold(self, node: onnx.NodeProto, values: Sequence[Array]) -> None:
        """Replace a node by constants that hold what it gives."""
        self.nodes = [other for other in self.nodes if other is not node]
        self.constants.update(
            {name: np.asarray(value, order="C") for name, value in zip(node.output, values)}
        )

    def fresh(self, name: str) -> str:
        """A tensor name that is not in use: `name`, or `name_1`, ..."""
        candidate, number = name, 0
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def make(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: str | Sequence[str],
        *,
        domain: str = "",
        **attrs: Any,
    ) -> onnx.NodeProto:
        """A node named after its first output; not yet in the graph."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        return helper.make_node(kind, list(inputs), names, name=f"{kind}:{names[0]}", domain=domain, **attrs)

    def replace(self, old: onnx.NodeProto, new: Sequence[onnx.NodeProto]) -> None:
        """Put `new` where `old` was."""
        at = next(index for index, node in enumerate(self.nodes) if node is old)
        self.nodes[at : at + 1] = new

    def redirect(self, old: str, new: str) -> None:
        """Let every reader of `old` read `new`."""
        for node in self.consumers(old):
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = new

    def rename(self, old: str, new: str) -> None:
        """Rename a tensor that a node makes, also where the graph's outputs and shapes name it."""
        self.redirect(old, new)
        for node in self.nodes:
            for index, name in enumerate(node.output):
                if name == old:
                    node.output[index] = new
        graph = self.model.graph
        for info in (*graph.output, *graph.value_info):
            if info.name == old:
                info.name = new
        self.outputs = [item.name for item in graph.output]
        self._names.add(new)

    def rename_constants(self, names: dict[str, str]) -> None:
        """Rename constants, old name to new."""
        self.constants = {names.get(name, name): value for name, value in self.constants.items()}
        for node in self.nodes:
            for index, name in enumerate(node.input):
                if name in names:
                    node.input[index] = names[name]
        self._names |= set(names.values())

    def finish(self, *, opset: int | None = None, ir_version: int | None = None) -> onnx.ModelProto:
        """Drop dead nodes and constants, merge equal constants, and write the model.

        Args:
            opset: Version of the default operator set to declare; None keeps it.
            ir_version: File format version to declare; None keeps it.
        """
        self._settle(opset, ir_version)
        for name in self._used():
            self.model.graph.initializer.append(numpy_helper.from_array(self.constants[name], name))
        return self.model

    def save(
        self, path: Path, weights: WeightsFile, *, opset: int | None = None, ir_version: int | None = None
    ) -> onnx.ModelProto:
        """As `finish`, but straight to disk: large constants go to a file beside the graph, one after the other.

        Args:
            path: Of the graph.
            weights: The file of its constants, in the same folder; several graphs may share one.
            opset: See `finish`.
            ir_version: See `finish`.

        Returns:
            The graph without its large constants.
        """
        self._settle(opset, ir_version)
        for name in self._used():
            self.model.graph.initializer.append(weights.add(name, self.constants[name]))
        path.write_bytes(save_bytes(self.model))
        return self.model

    def _settle(self, opset: int | None, ir_version: int | None) -> None:
        self._merge_constants()
        self.drop_dead()
        graph = self.model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:], graph.metadata_props[:]
        graph.node.extend(self.nodes)
        del self.model.metadata_props[:], self.model.functions[:]
        self._declare(opset, ir_version)

    def _used(self) -> list[str]:
        used = {name for node in self.nodes for name in node.input} | set(self.outputs)
        return sorted(used & set(self.constants))

    def _declare(self, opset: int | None, ir_version: int | None) -> None:
        versions = {item.domain: item.version for item in self.model.opset_import}
        versions[""] = opset or versions[""]
        used = {node.domain for node in self.nodes}
        del self.model.opset_import[:]
        for domain in sorted(used | {""}):
            self.model.opset_import.append(helper.make_opsetid(domain, versions.get(domain, 1)))
        self.model.ir_version = ir_version or self.model.ir_version

    def drop_dead(self) -> None:
        """Drop nodes that no output needs."""
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]

    def _merge_constants(self) -> None:
        alike: dict[tuple[str, tuple[int, ...], bytes], list[str]] = {}
        for name in sorted(self.constants):
            alike.setdefault(_glance(self.constants[name]), []).append(name)
        first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        merged = {}
        for name in sorted(name for names in alike.values() if len(names) > 1 for name in names):
            owner = first.setdefault(content_digest(self.constants[name]), name)
            if owner != name and name not in self.outputs:
                merged[name] = owner
        for old, new in merged.items():
            self.redirect(old, new)


def _glance(value: Array) -> tuple[str, tuple[int, ...], bytes]:
    """Type, shape and a few elements: different for most arrays that differ, and quick for any size."""
    picks = tuple(np.linspace(0, size - 1, 16).astype(int) for size in value.shape)
    return value.dtype.str, value.shape, value[picks].tobytes() if value.size else b""


def _same(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))
