"""The graph that both TensorRT targets start from: every type written into it, and the shapes it will be asked for.

TensorRT's strongly typed networks take precision from the graph alone, so a precision is a rewrite of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_export.errors import ExportError
from vljepa_export.graph_passes import PROTOBUF_LIMIT
from vljepa_export.targets.protocol import Feeds
from vljepa_quant import Precision
from vljepa_quant.calibration import calibrate
from vljepa_quant.graph_editor import GraphEditor, save_bytes
from vljepa_quant.half import PINNED, to_half
from vljepa_quant.qdq import quantise_qdq, quantised_inputs
from vljepa_runtime.contract import BATCH, CACHED, LENGTH, TOKENS, Y_ENCODER, GraphContract, free_axes
from vljepa_runtime.engines.trt import BuildRecipe, Profile, Range

if TYPE_CHECKING:
    import onnx

__all__ = [
    "TypedGraph",
    "build_recipe",
    "graph_bytes",
    "token_budgets_of",
    "type_graph",
]

# Sizes besides the token count, (smallest, usual, largest): texts come one by one or in dozens, queries are padded to
# 32 and seldom longer, and a decoder's cache grows from its prefix by at most 48 tokens.
ROWS: Mapping[str, tuple[int, int, int]] = {Y_ENCODER: (1, 1, 16)}
FEW = (1, 1, 2)
SHORT_TEXT, LONG_TEXT = (1, 32, 32), (33, 64, 512)
ANY_TEXT = (1, 32, 512)
PAST = (1, 16, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedGraph:
    """A graph in one precision.

    Attributes:
        model: The ONNX graph.
        precision: What it is in.
        notes: What stayed in a wider type, and why.
    """

    model: onnx.ModelProto
    precision: Precision
    notes: tuple[str, ...] = ()


def type_graph(source: onnx.ModelProto | Path, precision: Precision, samples: Sequence[Feeds]) -> TypedGraph:
    """Write a precision into a float32 graph.

    Args:
        source: The float32 graph, or its file with the weights beside it.
        precision: A row of tensorrt; what computes in float16 is quantised first.
        samples: Inputs to calibrate activations on.

    Raises:
        QuantError: the graph cannot be written in it.
    """
    editor = GraphEditor.open(source) if isinstance(source, Path) else GraphEditor(source)
    if precision.execution == "f32":
        return TypedGraph(model=editor.finish(), precision=precision)
    notes = [f"in fp32 by design: {', '.join(_present(editor.model, PINNED))}"]
    graph: GraphEditor | onnx.ModelProto = editor
    if precision.method:
        inputs, name = quantised_inputs(editor), precision.name
        scales = calibrate(source, inputs, samples, precision.weights.dtype) if precision.calibrated else {}
        if precision.calibrated and (kept := set(inputs) - set(scales)):
            notes.append(f"{name} weights but fp16 inputs, which {name} would mostly turn to 0: {len(kept)}")
        graph = quantise_qdq(editor, precision, scales)
    return TypedGraph(model=to_half(graph), precision=precision, notes=tuple(notes))


def build_recipe(
    contract: GraphContract, precision: Precision, budgets: Sequence[int], *, ranged: bool, **settings: Any
) -> BuildRecipe:
    """The recipe of one graph.

    Args:
        contract: Whose symbols become ranges.
        precision: For the record.
        budgets: Token counts; empty for a graph without tokens.
        ranged: One profile over everything (TensorRT for RTX specialises kernels when it runs), instead of one for each
            token budget and query length (TensorRT chooses kernels for the usual size of a profile).
        **settings: Other fields of `BuildRecipe`.
    """
    text = (ANY_TEXT,) if ranged else (SHORT_TEXT, LONG_TEXT)
    tokens = [(n, n, n) for n in budgets]
    if ranged and tokens:
        tokens = [(min(budgets), max(budgets), max(budgets))]
    free = free_axes(contract.inputs)
    sizes = [
        {BATCH: ROWS.get(contract.name, FEW), TOKENS: n, LENGTH: length, CACHED: PAST}
        for n in (tokens if TOKENS in free else [(1, 1, 1)])
        for length in (text if LENGTH in free else [(1, 1, 1)])
    ]
    profiles = tuple(_profile(contract, each) for each in sizes)
    pinned = () if precision.execution == "f32" else tuple(sorted(PINNED))
    return BuildRecipe(precision=precision.name, profiles=profiles, pinned=pinned, **settings)


def token_budgets_of(
    contract: GraphContract, samples: Sequence[Feeds], asked: Sequence[int]
) -> tuple[int, ...]:
    """Token counts to build for: those asked for, else the largest of the samples; none for a graph without tokens."""
    for spec in contract.inputs:
        if TOKENS in spec.shape:
            axis = spec.shape.index(TOKENS)
            counts = set(asked) or {max(feeds[spec.name].shape[axis] for feeds in samples)}
            return tuple(sorted(counts, reverse=True))
    return ()


def graph_bytes(name: str, typed: TypedGraph) -> bytes:
    """The graph as one file.

    Raises:
        ExportError: it is too large for one, which is what both libraries are handed.
    """
    size = sum(len(item.raw_data) for item in typed.model.graph.initializer)
    if size >= PROTOBUF_LIMIT:
        raise ExportError(
            f"{name} has {size / 1e9:.1f} GB of weights in {typed.precision.label}; expected less than 2 GB, which is "
            "all that one ONNX file holds: choose fp16, int8, fp8 or int4"
        )
    return save_bytes(typed.model)


def _profile(contract: GraphContract, sizes: Mapping[str, tuple[int, int, int]]) -> Profile:
    least, usual, most = ({axis: three[which] for axis, three in sizes.items()} for which in range(3))
    return {
        spec.name: Range(min=spec.sized(least), opt=spec.sized(usual), max=spec.sized(most))
        for spec in contract.inputs
    }


def _present(model: onnx.ModelProto, kinds: frozenset[str]) -> list[str]:
    return sorted({node.op_type for node in model.graph.node} & kinds)
