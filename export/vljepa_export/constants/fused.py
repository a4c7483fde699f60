"""Rows of the fused operators that ONNX Runtime has for GPUs: norms, gates, products cut in two, and attention."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from vljepa_export.constants.attention import FUSED
from vljepa_export.constants.elements import Compared, same_bits
from vljepa_export.constants.patterns import Found, Match, Row

__all__ = ["ROWS"]

ROOT = (
    "two = Constant <value = float {2}> () last = Constant <value = int64[1] {-1}> () "
    "squares = Pow (x, two) mean = ReduceMean (squares, last) safe = Add (mean, epsilon) root = Sqrt (safe) "
    "unit = Div (x, root)"
)
# A norm: what the float graph has, its operator, what it takes besides its input.
RMS = (f"{ROOT} y = Mul (unit, scale)", "SimplifiedLayerNormalization", "scale")
LAYER = (
    "y = LayerNormalization <axis = -1, epsilon: float = @step> (x, scale, bias)",
    "LayerNormalization",
    "scale, bias",
)


def _epsilon(match: Match) -> Iterator[Found]:
    """A constant became an attribute; a scale for each head stands behind the norm, which has ones then."""
    if "epsilon" in match.floats:
        yield "epsilon", same_bits(match.floats["epsilon"], np.array(match.attributes["step"], np.float32))
    if "ones" in match.written:
        ones = match.written["ones"]
        yield "ones", same_bits(np.ones(match.floats["scale"].shape[-1], np.float32), ones)


def _half(match: Match, *, which: int) -> Iterator[Found]:
    """Columns of a product that is cut in two."""
    wanted = np.split(match.floats["w"], 2, axis=1)[which]
    last = match.attributes["axis"] in (-1, 2)
    yield (
        "half",
        same_bits(wanted, match.written["half"]) if last else Compared(values=0, fault="cut elsewhere"),
    )


def _nothing(match: Match) -> Iterator[Found]:
    """What one side alone has is compared where it is used."""
    yield from ()


def _norms() -> Iterator[Row]:
    epsilon = "epsilon: float = @step"
    yield Row(
        floats=RMS[0],
        written=f"y = SimplifiedLayerNormalization <axis = -1, {epsilon}, stash_type = 1> (x, scale)",
        rule=_epsilon,
        quantised=False,
    )
    yield Row(
        floats=RMS[0],
        written=f"unit = SimplifiedLayerNormalization <axis = -1, {epsilon}, stash_type = 1> (x, ones) "
        "y = Mul (unit, scale)",
        rule=_epsilon,
        quantised=False,
    )
    for floats, kind, rest in (RMS, LAYER):
        for new, more in (("new = Add (product, added)", ", added"), ("", "")):
            node = f"com.microsoft.Skip{kind} <{epsilon}> ({'product' if new else 'new'}, skip, {rest}{more})"
            yield Row(
                floats=f"{new} x = Add (skip, new) {floats}",
                written=f"y = {node}",
                rule=_epsilon,
                quantised=False,
            )
            yield Row(
                floats=f"{new} y = Add (skip, new)",
                written=f"normed, mean, deviation, y = {node}",
                rule=_nothing,
                quantised=False,
            )


ROWS = (
    *_norms(),
    Row(
        floats="near = Sigmoid (x) y = Mul (x, near)",
        written="y = com.microsoft.QuickGelu <alpha = 1.0> (x)",
        rule=_nothing,
        quantised=False,
    ),
    Row(
        floats="biased = Add (x, bias) y = Gelu (biased)",
        written="y = com.microsoft.BiasGelu (x, bias)",
        rule=_nothing,
        quantised=False,
    ),
    *(
        Row(
            floats=f"product = MatMul (x, w) {outputs} = Split <axis: int = @axis, num_outputs = 2> (product)",
            written="y = MatMul (x, half)",
            rule=partial(_half, which=which),
            quantised=False,
        )
        for which, outputs in enumerate(("y, other", "other, y"))
    ),
    *FUSED,
)
