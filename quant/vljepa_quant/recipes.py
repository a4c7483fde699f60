"""Named precisions and what they do to a graph; adding one is one function and one line in the table.

What a precision may cost is decided in `vljepa_evaluation.gates`, for every format alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx

from vljepa_quant.errors import QuantError
from vljepa_quant.graph_editor import GraphEditor
from vljepa_quant.int4 import edit_int4
from vljepa_quant.int8 import edit_int8
from vljepa_runtime.suggestions import did_you_mean

__all__ = ["RECIPES", "Recipe", "recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One precision.

    Attributes:
        name: As given to `--precision`.
        label: As written in a bundle's manifest.
        summary: One line for people.
        edit: Turns an opened float graph into one of this precision.
    """

    name: str
    label: str
    summary: str
    edit: Callable[[GraphEditor], None]

    def apply(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Float graph in, graph of this precision out."""
        if self.edit is _unchanged:
            return model
        editor = GraphEditor(model)
        self.edit(editor)
        return editor.finish()


def _unchanged(editor: GraphEditor) -> None:
    """fp32 is what a graph is exported as."""


RECIPES: Mapping[str, Recipe] = {
    item.name: item
    for item in (
        Recipe(
            name="fp32",
            label="fp32",
            summary="as trained",
            edit=_unchanged,
        ),
        # Time of int8 over fp32, ONNX Runtime 1.32, two busy Zen 4 cores, `tiny`, medians of alternate runs: x_encoder
        # (256 tokens) 0.61-0.68, predictor 0.80, y_encoder 0.66, prefill 0.72, step 0.77: faster for every graph.
        Recipe(
            name="int8",
            label="int8-dynamic",
            summary="int8 weights per channel, uint8 activations measured while running, float attention",
            edit=edit_int8,
        ),
        # About half of int8's size, and slower: ViT-L blocks 1.4 times as fast as fp32, int8 2.5 times (two cores).
        Recipe(
            name="int4",
            label="int4-weights",
            summary="int4 weights in blocks of 32, int8 tables, float activations and attention; ONNX Runtime only",
            edit=edit_int4,
        ),
    )
}


def recipe(name: str) -> Recipe:
    """Find a recipe.

    Raises:
        QuantError: there is none of this name.
    """
    if name in RECIPES:
        return RECIPES[name]
    hint = did_you_mean(name, RECIPES) or f"choose from {', '.join(RECIPES)}"
    raise QuantError(f"there is no precision {name!r}: {hint}")
