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
from vljepa_quant.calibration import calibrate
from vljepa_quant.graph_editor import GraphEditor, save_bytes
from vljepa_quant.half import PINNED, to_half
from vljepa_quant.qdq import FORMS, quantise_qdq, quantised_inputs
from vljepa_runtime.contract import BATCH, CACHED, LENGTH, TOKENS, Y_ENCODER, GraphContract, free_axes
from vljepa_runtime.engines.trt.recipe import BuildRecipe, Profile, Range

if TYPE_CHECKING:
    import onnx

__all__ = [
    "PRECISIONS",
    "TypedGraph",
    "build_recipe",
    "graph_bytes",
    "token_budgets_of",
    "type_graph",
]

PRECISIONS = ("fp32", "fp16", *FORMS)

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
        notes: What stayed in a wider type, and why.
        label: The precision for the manifest.
        execution: What is computed in where nothing is quantised.
    """

    model: onnx.ModelProto
    notes: tuple[str, ...] = ()
    label: str
    execution: str = "f16"


def type_graph(source: onnx.ModelProto | Path, precision: str, samples: Sequence[Feeds]) -> TypedGraph:
    """Write a precision into a float32 graph.

    Args:
        source: The float32 graph, or its file with the weights beside it.
        precision: fp32, or fp16, or fp16 with int8, fp8 or int4 linear layers.
        samples: Inputs to calibrate activations on.

    Raises:
        ExportError: there is no such precision.
        QuantError: the graph cannot be written in it.
    """
    if precision not in PRECISIONS:
        raise ExportError(f"expected precision {' | '.join(PRECISIONS)}, got {precision!r}")
    editor = GraphEditor.open(source) if isinstance(source, Path) else GraphEditor(source)
    if precision == "fp32":
        return TypedGraph(model=editor.finish(), label="fp32", execution="f32")
    pinned = f"in fp32 by design: {', '.join(_present(editor.model, PINNED))}"
    if precision == "fp16":
        return TypedGraph(model=to_half(editor), notes=(pinned,), label="fp16")
    form = FORMS[precision]
    inputs = quantised_inputs(editor)
    scales = calibrate(source, inputs, samples, form) if form.activations else {}
    kept = [name for name in inputs if form.activations and name not in scales]
    wide = f"{precision} weights but fp16 inputs, which {precision} would mostly turn to 0: {len(kept)}"
    notes = (pinned, wide) if kept else (pinned,)
    label = f"{precision}-static" if form.activations else f"{precision}-weights"
    return TypedGraph(model=to_half(quantise_qdq(editor, form, scales)), notes=notes, label=label)


def build_recipe(
    contract: GraphContract, precision: str, budgets: Sequence[int], *, ranged: bool, **settings: Any
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
    pinned = tuple(sorted(PINNED)) if precision != "fp32" else ()
    return BuildRecipe(precision=precision, profiles=profiles, pinned=pinned, **settings)


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
            f"{name} has {size / 1e9:.1f} GB of weights in {typed.label}; expected less than 2 GB, which is all that "
            "one ONNX file holds: choose fp16, int8, fp8 or int4"
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
