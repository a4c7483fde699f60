"""Named precisions and what they do to a graph; adding one is one function and one line in the table.

What a precision may cost is decided in `vljepa_data.gates`, for every format alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import onnx

from vljepa_quant.errors import QuantError
from vljepa_quant.int8 import quantise_int8

__all__ = ["RECIPES", "Recipe", "recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One precision.

    Attributes:
        name: As given to `--precision`.
        label: As written in a bundle's manifest.
        summary: One line for people.
        apply: Float graph in, graph of this precision out.
    """

    name: str
    label: str
    summary: str
    apply: Callable[[onnx.ModelProto], onnx.ModelProto]


def _unchanged(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


RECIPES: Mapping[str, Recipe] = {
    item.name: item
    for item in (
        Recipe(
            name="fp32",
            label="fp32",
            summary="as trained",
            apply=_unchanged,
        ),
        # Time of int8 over fp32, ONNX Runtime 1.32, two busy Zen 4 cores, `tiny`, medians of alternate runs: x_encoder
        # (256 tokens) 0.61-0.68, predictor 0.80, y_encoder 0.66, prefill 0.72, step 0.77: faster for every graph.
        Recipe(
            name="int8",
            label="int8-dynamic",
            summary="int8 weights per channel, uint8 activations measured while running, float attention",
            apply=quantise_int8,
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
    close = get_close_matches(name, RECIPES, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(RECIPES)}"
    raise QuantError(f"there is no precision {name!r}: {hint}")
