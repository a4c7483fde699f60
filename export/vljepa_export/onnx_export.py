"""torch module -> ONNX graph that obeys its contract; precision and parity are decided elsewhere."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from vljepa_export.errors import GraphContractError
from vljepa_export.graph_passes import IR_VERSION, OPSET, simplify
from vljepa_export.graphs import GraphDefinition
from vljepa_quant.graph_editor import GraphEditor
from vljepa_runtime.contract import BATCH, CACHED, LENGTH, TOKENS, GraphContract, TensorSpec

__all__ = ["check_contract", "export_graph", "graph_tensors", "trace_graph"]

# torch writes Attention and RMSNormalization as one node from here on, which the passes rely on.
TORCH_OPSET = 23
# Example sizes for tracing; different from each other and from every fixed axis, so that no axis is frozen by chance.
EXAMPLE_SIZES = {BATCH: 2, TOKENS: 37, LENGTH: 11, CACHED: 7}
OUTSIDE = 4096  # bytes; larger constants are handed on as arrays and never copied into the model


def export_graph(definition: GraphDefinition, *, fused_attention: bool = False) -> onnx.ModelProto:
    """Export one float graph as a model in memory; see `trace_graph`."""
    return trace_graph(definition, fused_attention=fused_attention).finish(opset=OPSET, ir_version=IR_VERSION)


def trace_graph(definition: GraphDefinition, *, fused_attention: bool = False) -> GraphEditor:
    """Export one float graph, ready to be finished or saved in `OPSET`.

    Its large constants are the module's own tensors, not copies.

    Args:
        definition: What to export; the module must be in evaluation mode, on the CPU, in float32.
        fused_attention: See `graph_passes.simplify`.

    Raises:
        GraphContractError: the result has other names, types or shapes than the definition says.
        ExportError: an operator cannot be written in the opset that is shipped.
    """
    module = definition.module.eval()
    symbols = {name: torch.export.Dim(name) for name in EXAMPLE_SIZES}
    axes = [
        {i: symbols[size] for i, size in enumerate(spec.shape) if isinstance(size, str)}
        for spec in definition.inputs
    ]
    with _quiet_torch(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(_example(spec) for spec in definition.inputs),
            dynamo=True,
            verbose=False,
            opset_version=TORCH_OPSET,
            input_names=[spec.name for spec in definition.inputs],
            # Not the final names: torch lets an output's name collide with an inner tensor of the same name.
            output_names=[f"output.{spec.name}" for spec in definition.outputs],
            dynamic_shapes=_dynamic_shapes(module, axes),
        )
    if program is None:
        raise GraphContractError(f"{definition.name}: torch gave no program")
    editor = simplify(
        GraphEditor(*_taken_apart(program)),
        _parameters(module),
        outputs=[spec.name for spec in definition.outputs],
        fused_attention=fused_attention,
    )
    editor.model.producer_name, editor.model.producer_version = "vljepa-edge", ""
    editor.model.graph.name = definition.name
    check_contract(editor.model, definition)
    return editor


def _taken_apart(program: Any) -> tuple[onnx.ModelProto, dict[str, npt.NDArray[Any]]]:
    """The model of torch's ONNXProgram with references in place of large constants, and those constants."""
    import onnx_ir

    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, value in program.model.graph.initializers.items():
        tensor = value.const_value
        if tensor.nbytes >= OUTSIDE:
            arrays[name] = tensor.numpy()
            value.const_value = onnx_ir.ExternalTensor(
                "", 0, tensor.nbytes, tensor.dtype, shape=tensor.shape, name=name
            )
    return onnx_ir.serde.serialize_model(program.model), arrays


def check_contract(model: onnx.ModelProto, contract: GraphContract) -> None:
    """Compare names first, then types, then shapes.

    Raises:
        GraphContractError: naming the first kind of difference.
    """
    for side in ("inputs", "outputs"):
        wanted: tuple[TensorSpec, ...] = getattr(contract, side)
        got = graph_tensors(model, side)
        for what in ("name", "dtype", "shape"):
            expected, found = ([getattr(spec, what) for spec in specs] for specs in (wanted, got))
            if expected != found:
                raise GraphContractError(
                    f"{contract.name}: expected {side} with {what}s {expected}, the exported graph has {found}"
                )


def graph_tensors(model: onnx.ModelProto, side: str) -> tuple[TensorSpec, ...]:
    """Names, types and axes of a graph's `inputs` or `outputs`."""
    infos = model.graph.input if side == "inputs" else model.graph.output
    return tuple(
        TensorSpec(
            name=info.name,
            dtype=np.dtype(onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)).name,
            shape=tuple(axis.dim_param or int(axis.dim_value) for axis in info.type.tensor_type.shape.dim),
        )
        for info in infos
    )


def _example(spec: TensorSpec) -> Tensor:
    return torch.ones(spec.sized(EXAMPLE_SIZES), dtype=getattr(torch, spec.dtype))


def _dynamic_shapes(module: nn.Module, axes: list[dict[int, Any]]) -> tuple[Any, ...]:
    """As torch.export wants it: a `*past` parameter takes its tensors as one nested tuple."""
    import inspect

    parameters = list(inspect.signature(module.forward).parameters.values())
    named = sum(item.kind is not inspect.Parameter.VAR_POSITIONAL for item in parameters)
    return tuple(axes) if named == len(parameters) else (*axes[:named], tuple(axes[named:]))


def _parameters(module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.detach().numpy() for name, tensor in sorted(tensors.items())}


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Without remarks about torchvision, unfolded constants and torch's own deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
