"""An OpenVINO IR in the vocabulary of `graph.py`, from its XML and its weights; OpenVINO itself is not asked.

Weights in integers are read where the file unpacks them (Convert, Subtract, Multiply of constants), so that scales and
zero points belong to the constant. A factor that smooths activations becomes a node `Smooth`, which the product after
it has to account for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from vljepa_export.constants.foreign.graph import NeutralGraph, Unreadable
from vljepa_export.constants.foreign.stored import Array, Stored

__all__ = ["read_ir"]

Attributes = Mapping[str, str]

_TYPES = {
    "f32": "<f4", "f16": "<f2", "f64": "<f8", "i64": "<i8", "i32": "<i4", "i16": "<i2", "i8": "i1", "u8": "u1",
    "u32": "<u4", "u64": "<u8", "boolean": "u1",
}  # fmt: skip
_ALIKE = {
    "Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Power": "Pow", "Sqrt": "Sqrt", "Sin": "Sin",
    "Cos": "Cos", "Negative": "Neg", "Sigmoid": "Sigmoid", "Tanh": "Tanh", "Erf": "Erf", "Exp": "Exp", "Log": "Log",
    "Abs": "Abs", "Select": "Where", "Equal": "Equal", "Greater": "Greater", "Less": "Less", "LogicalAnd": "And",
    "GreaterEqual": "GreaterOrEqual", "LessEqual": "LessOrEqual", "LogicalOr": "Or", "LogicalNot": "Not",
    "Maximum": "Max", "Minimum": "Min", "Range": "Range", "Broadcast": "Expand", "SoftPlus": "Softplus",
    "CumSum": "CumSum", "Tile": "Tile",
}  # fmt: skip
SMOOTHING = "nncf_smooth_quant"  # what NNCF has in the name of a factor's layer


def read_ir(content: bytes, weights: memoryview | Array) -> NeutralGraph:
    """The graph of an IR.

    Args:
        content: The XML; it has been looked at by `check_graphs` if it is a stranger's.
        weights: The `.bin` beside it, which may be mapped.

    Raises:
        Unreadable: it holds a layer that is not known here.
    """
    return _Reader(ElementTree.fromstring(content), np.frombuffer(weights, np.uint8)).read()


class _Reader:
    def __init__(self, root: ElementTree.Element, weights: Array) -> None:
        self._weights = weights
        self._layers = root.findall("./layers/layer")
        self._edges: dict[tuple[str, str], str] = {
            (edge.get("to-layer", ""), edge.get("to-port", "")): _value(
                edge.get("from-layer", ""), edge.get("from-port", "")
            )
            for edge in root.findall("./edges/edge")
        }
        self.graph = NeutralGraph()

    def read(self) -> NeutralGraph:
        for layer in self._layers:
            self._take(layer)
        return self.graph

    def _take(self, layer: ElementTree.Element) -> None:
        number, kind, label = (layer.get(name, "") for name in ("id", "type", "name"))
        data = layer.find("data")
        options: Attributes = {} if data is None else data.attrib
        inputs = [self._edges.get((number, port.get("id", "")), "") for port in layer.findall("./input/port")]
        outputs = [_value(number, port.get("id", "")) for port in layer.findall("./output/port")]
        self.graph.labels.update(dict.fromkeys(outputs, label))
        if kind == "Parameter":
            self.graph.inputs.add(label)
            self.graph.add("Input", (), outputs, name=label)
        elif kind == "Result":
            self._take_result(layer, inputs[0])
        elif kind == "Const":
            self.graph.constants[outputs[0]] = self._constant(options)
        elif not self._fold(kind, inputs, outputs, options):
            self._put(kind, inputs, outputs, options, label)

    def _take_result(self, layer: ElementTree.Element, source: str) -> None:
        name = str(layer.get("output_names") or layer.get("name", ""))
        self.graph.outputs[name.split(",")[0].removesuffix("/sink_port_0")] = source

    def _constant(self, options: Attributes) -> Stored:
        name = options["element_type"]
        if name not in _TYPES:
            raise Unreadable(f"a constant is stored as {name}")
        kind = np.dtype(_TYPES[name])
        start, size = int(options["offset"]), int(options["size"])
        shape = tuple(int(axis) for axis in options.get("shape", "").split(",") if axis.strip())
        return Stored(values=self._weights[start : start + size].view(kind).reshape(shape))

    def _fold(self, kind: str, inputs: list[str], outputs: list[str], options: Attributes) -> bool:
        """What unpacks constants is part of them."""
        constants = [self.graph.constants.get(name) for name in inputs]
        if not constants or any(item is None for item in constants):
            return False
        first, *rest = [item for item in constants if item is not None]
        made = _unpacked(kind, first, rest)
        if made is None:
            return False
        self.graph.constants[outputs[0]] = made
        self.graph.labels[outputs[0]] = self.graph.labels[inputs[0]]
        return True

    def _put(self, kind: str, inputs: list[str], outputs: list[str], options: Attributes, label: str) -> None:
        special: Callable[..., None] | None = getattr(self, f"_put_{kind.lower()}", None)
        if special is not None:
            special(inputs, outputs, options)
        elif kind == "FakeQuantize":
            self.graph.add(kind, inputs, outputs, levels=int(options["levels"]))
        elif kind in _ALIKE:
            smooths = kind == "Multiply" and SMOOTHING in label and inputs[1] in self.graph.constants
            self.graph.add("Smooth" if smooths else _ALIKE[kind], inputs, outputs)
        elif kind.startswith("Reduce"):
            keep = options.get("keep_dims") == "true"
            self.graph.add(kind, inputs[:1], outputs, axes=self._numbers(inputs[1]), keep=keep)
        else:
            raise Unreadable(f"{label} is a layer {kind}")

    def _put_convert(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        kind = "Cast" if options["destination_type"] == "boolean" else "Identity"
        self.graph.add(kind, inputs, outputs)

    def _put_convertlike(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        self.graph.add("Identity", inputs[:1], outputs)

    def _put_matmul(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        ta, tb = (options.get(name) == "true" for name in ("transpose_a", "transpose_b"))
        self.graph.add("MatMul", inputs, outputs, ta=ta, tb=tb)

    def _put_mvn(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        plain = options.get("normalize_variance") == "true" and options.get("eps_mode") == "INSIDE_SQRT"
        if not plain or self._numbers(inputs[1]) != (-1,):
            raise Unreadable(
                f"{self.graph.labels[outputs[0]]} normalises over other axes or without a variance"
            )
        epsilon = f"{outputs[0]}/epsilon"
        self.graph.constants[epsilon] = Stored(values=np.array(options["eps"], np.float32))
        self.graph.add("Normalise", (inputs[0], epsilon), outputs)

    def _put_reshape(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        copies, target = options.get("special_zero") == "true", self._numbers(inputs[1])
        if target is None:
            self.graph.add("Reshape", inputs, outputs, copies=copies)
        else:
            copies = copies and 0 in target
            self.graph.add("Reshape", inputs[:1], outputs, target=target, copies=copies)

    def _put_transpose(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        perm = self._numbers(inputs[1])
        if perm is None:
            raise Unreadable(f"{self.graph.labels[outputs[0]]} is turned by what is no constant")
        self.graph.add("Transpose", inputs[:1], outputs, perm=perm)

    def _put_unsqueeze(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        self.graph.add("Unsqueeze", inputs[:1], outputs, axes=self._numbers(inputs[1]))

    def _put_squeeze(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        axes = self._numbers(inputs[1]) if len(inputs) > 1 else None
        self.graph.add("Squeeze", inputs[:1], outputs, axes=axes)

    def _put_softmax(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        self.graph.add("Softmax", inputs, outputs, axis=int(options["axis"]))

    def _put_concat(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        self.graph.add("Concat", inputs, outputs, axis=int(options["axis"]))

    def _put_gather(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        axis = self._numbers(inputs[2])
        if axis is None or options.get("batch_dims", "0") != "0":
            raise Unreadable(f"{self.graph.labels[outputs[0]]} gathers by batches")
        self.graph.add("Gather", inputs[:2], outputs, axis=axis[0])

    def _put_gelu(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        self.graph.add(
            "Gelu", inputs, outputs, tanh=options.get("approximation_mode", "ERF").lower() == "tanh"
        )

    def _put_split(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        axis = self._numbers(inputs[1]) or (0,)
        parts = (int(options["num_splits"]),)
        self.graph.add("Split", inputs[:1], outputs, axis=axis[0], parts=parts, even=True)

    def _put_variadicsplit(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        axis, parts = (self._numbers(name) for name in inputs[1:3])
        if axis is None or parts is None:
            raise Unreadable(f"{self.graph.labels[outputs[0]]} is split by what is no constant")
        self.graph.add("Split", inputs[:1], outputs, axis=axis[0], parts=parts, even=False)

    def _put_shapeof(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        self.graph.add("Shape", inputs, outputs, part=(0, None))

    def _put_slice(self, inputs: list[str], outputs: list[str], options: Attributes) -> None:
        numbers = [self._numbers(name) for name in inputs[1:]]
        starts, ends, steps = (numbers[at] for at in range(3))
        if starts is None or ends is None or steps is None:
            data, start, stop, step, *rest = inputs
            self.graph.add("Slice", (data, start, stop, *rest, step), outputs)  # in ONNX's order
            return
        axes = numbers[3] if len(numbers) > 3 else tuple(range(len(starts)))
        shape = self.graph.node(inputs[0], "Shape")
        if shape is not None and shape.options["part"] == (0, None) and steps == (1,) and axes == (0,):
            self.graph.add("Shape", shape.inputs, outputs, part=(starts[0], ends[0]))
            return
        self.graph.add("Slice", inputs[:1], outputs, cuts=tuple(sorted(zip(axes or (), starts, ends, steps))))

    def _numbers(self, name: str) -> tuple[int, ...] | None:
        found = self.graph.constants.get(name)
        return None if found is None else tuple(int(item) for item in found.values.reshape(-1))


def _value(layer: str, port: str) -> str:
    return f"{layer}:{port}"


def _unpacked(kind: str, first: Stored, rest: list[Stored]) -> Stored | None:
    """A constant after one more step of unpacking; None where the step is no such thing."""
    if kind in ("Convert", "ConvertLike"):
        return first
    if kind == "Range" and len(rest) == 2:
        start, stop, step = (int(item.values.reshape(())) for item in (first, *rest))
        return Stored(values=np.arange(start, stop, step, dtype=np.int64))
    if kind == "Subtract" and first.values.dtype.kind in "iu" and first.scale is None:
        return replace(first, zero=rest[0].values)
    if kind == "Multiply":
        return _scaled(first, rest[0])
    return None


def _scaled(first: Stored, other: Stored) -> Stored | None:
    for number, value in ((first, other), (other, first)):
        if number.is_float and number.shape == () and number.scale is None and number.values == 1:
            return value
    if first.values.dtype.kind in "iu" and first.scale is None and other.values.dtype.kind == "f":
        rank = first.values.ndim
        scale = other.values.reshape((1,) * (rank - other.values.ndim) + other.shape)
        zero = first.zero
        if zero is not None:
            zero = zero.reshape((1,) * (rank - zero.ndim) + zero.shape)
        return replace(first, scale=scale, zero=zero)
    return None
