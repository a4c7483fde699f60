"""An ONNX graph at fixed sizes as a Core ML program: every node written with the MIL builder, in a type of our choice.

Which nodes stay in fp32 and which activations are quantised is decided elsewhere; here it is only written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from vljepa_export.coreml.compression import store
from vljepa_export.coreml.emitters import EMITTERS
from vljepa_export.errors import ExportError
from vljepa_quant import Weights
from vljepa_runtime.engines.coreml_tools import coremltools, quiet

__all__ = ["Numbers", "build_program"]

Array = npt.NDArray[Any]
IR_VERSION = 10
FLOATS = {"fp16": np.float16, "fp32": np.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """In what numbers a program computes.

    Attributes:
        floating: `fp16` or `fp32`, for every node that is not in `fp32_nodes`.
        fp32_nodes: Names of the nodes that stay in fp32.
        weights: How constant matrices are stored.
        scales: Step of the int8 activations per tensor that feeds a matrix product; empty leaves them float.
    """

    floating: str
    fp32_nodes: frozenset[str] = frozenset()
    weights: Weights
    scales: Mapping[str, float] = field(default_factory=dict)


def build_program(model: onnx.ModelProto, sizes: Mapping[str, int], numbers: Numbers, *, target: str) -> Any:
    """Write a graph as an uncompressed mlprogram.

    Args:
        model: Float graph; uint8 and float inputs become floats of the working type.
        sizes: Size per symbol of its inputs.
        numbers: The types.
        target: Deployment target as coremltools names it, for example `iOS18`.

    Returns:
        A `coremltools.models.MLModel` that was not loaded.

    Raises:
        ExportError: an operator has no Core ML form here, or coremltools refuses the program, with its words.
        MissingExtraError: coremltools is not installed.
    """
    ct = coremltools()
    mil = coremltools("converters.mil.mil")
    version = getattr(ct.target, target)
    program = mil.Program()
    with quiet():
        try:
            placeholders = {
                info.name: _placeholder(info, sizes, numbers.floating) for info in model.graph.input
            }
            with mil.Function(placeholders, opset_version=version) as function:
                writer = _Writer(model, function.inputs, numbers, _year(ct, version))
                function.set_outputs(writer.write())
                program.add_function("main", function)
            return ct.convert(
                program,
                source="milinternal",
                convert_to="mlprogram",
                minimum_deployment_target=version,
                compute_precision=ct.precision.FLOAT32,  # the casts are written already
                skip_model_load=True,
            )
        except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            raise ExportError(f"{model.graph.name}: coremltools refused the program: {error}") from error


def _year(ct: Any, version: Any) -> int:
    """16, 17, 18: how operations are spelled; macOS 13 to 15 are the same versions under another name."""
    return next(year for year in (18, 17, 16) if version >= getattr(ct.target, f"iOS{year}"))


def _placeholder(info: onnx.ValueInfoProto, sizes: Mapping[str, int], floating: str) -> Any:
    mil = coremltools("converters.mil.mil")
    kinds = {"fp16": mil.types.fp16, "fp32": mil.types.fp32}
    integer = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)) == np.int32
    axes = info.type.tensor_type.shape.dim
    shape = tuple(sizes[axis.dim_param] if axis.dim_param else axis.dim_value for axis in axes)
    return mil.Builder.placeholder(shape=shape, dtype=mil.types.int32 if integer else kinds[floating])


class _Writer:
    """One walk over one graph; see `emitters.Writer`."""

    def __init__(self, model: onnx.ModelProto, inputs: Mapping[str, Any], numbers: Numbers, ios: int) -> None:
        mil = coremltools("converters.mil.mil")
        self.builder, self._types = mil.Builder, mil.types
        self.floating = numbers.floating
        self._graph, self._numbers, self._ios = model.graph, numbers, ios
        self._opset = next(item.version for item in model.opset_import if not item.domain)
        self._constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self._variables: dict[str, Any] = dict(inputs)
        self._converted: dict[tuple[str, str], Any] = {}
        self._matrices: dict[tuple[str, bool, str], Any] = {}

    def write(self) -> list[Any]:
        """Write every node; the outputs, by their names."""
        for node in self._graph.node:
            self.floating = "fp32" if node.name in self._numbers.fp32_nodes else self._numbers.floating
            if node.op_type == "Shape":
                shape = self._variables[node.input[0]].shape
                self._constants[node.output[0]] = np.array(_part(shape, node), np.int64)
            elif all(name in self._constants for name in node.input if name):
                self._fold(node)
            else:
                self._emit(node)
        self.floating = self._numbers.floating
        return [
            self.builder.identity(x=self.tensor(item.name), name=item.name) for item in self._graph.output
        ]

    def tensor(self, name: str) -> Any:
        """See `Writer`."""
        if name in self._constants:
            value = self._constants[name]
            return value.astype(FLOATS[self.floating] if value.dtype.kind == "f" else np.int32)
        variable = self._variables[name]
        if not self.is_float(variable) or variable.dtype == self._type():
            return variable
        key = (name, self.floating)
        if key not in self._converted:
            self._converted[key] = self.builder.cast(x=variable, dtype=self.floating)
        return self._converted[key]

    def is_float(self, variable: Any) -> bool:
        """See `Writer`."""
        return bool(self._types.is_float(variable.dtype))

    def known(self, name: str) -> Array:
        """See `Writer`."""
        if name not in self._constants:
            raise NotImplementedError(f"{name} is not constant")
        return self._constants[name]

    def product(self, name: str) -> Any:
        """See `Writer`."""
        variable = self.tensor(name)
        if name not in self._numbers.scales:
            return variable
        key = (name, f"int8 {self.floating}")
        if key not in self._converted:
            scale = FLOATS[self.floating](self._numbers.scales[name])
            integers = self.builder.quantize(input=variable, scale=scale, output_dtype="int8")
            self._converted[key] = self.builder.dequantize(input=integers, scale=scale)
        return self._converted[key]

    def matrix(self, name: str, *, transposed: bool) -> Any:
        """See `Writer`."""
        value = self._constants.get(name)
        if value is None or value.ndim != 2 or value.dtype != np.float32:
            return None
        key = (name, transposed, self.floating)
        if key not in self._matrices:
            matrix = np.ascontiguousarray(value.T if transposed else value)
            kind = np.dtype(FLOATS[self.floating])
            self._matrices[key] = store(self.builder, matrix, kind, self._numbers.weights, ios=self._ios)
        return self._matrices[key]

    def _type(self) -> Any:
        return self._types.fp16 if self.floating == "fp16" else self._types.fp32

    def _emit(self, node: onnx.NodeProto) -> None:
        emitter = EMITTERS.get(node.op_type)
        if emitter is None or node.domain:
            raise ExportError(
                f"{self._graph.name}: {node.op_type} has no Core ML form here: "
                "add a function for it to vljepa_export/coreml/emitters.py"
            )
        try:
            made = emitter(self, node, f"{self._graph.name}_{node.output[0]}")
        except NotImplementedError as error:
            raise ExportError(
                f"{self._graph.name}: {node.name}: not written for Core ML yet: {error}"
            ) from error
        self._variables.update(zip(node.output, made if isinstance(made, (list, tuple)) else [made]))

    def _fold(self, node: onnx.NodeProto) -> None:
        """Work out a node that depends on constants and shapes alone."""
        names = [name for name in dict.fromkeys(node.input) if name]
        feeds = [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name in names
            for value in [self._constants[name]]
        ]
        graph = onnx.helper.make_graph(
            [node], "fold", feeds, [onnx.ValueInfoProto(name=n) for n in node.output]
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", self._opset)], ir_version=IR_VERSION
        )
        values = ReferenceEvaluator(model).run(None, {name: self._constants[name] for name in names})
        self._constants.update(zip(node.output, map(np.asarray, values)))


def _part(shape: tuple[int, ...], node: onnx.NodeProto) -> tuple[int, ...]:
    """What Shape gives: all axes, or those from `start` to `end`."""
    options = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    return tuple(shape[options.get("start", 0) : options.get("end", len(shape))])
