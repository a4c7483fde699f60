"""Linear layers in the forms that float graphs have them, and their matrix beside what stands for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from vljepa_export.constants.elements import Compared, Float32, Stored, same_bits, within_half_a_step
from vljepa_export.constants.onnx_graph import Array
from vljepa_export.constants.patterns import Found, Match, Row, Rule

__all__ = ["linear_rows", "matrix", "stands_for"]

PRODUCTS = ("MatMul ({x}, w)", "Gemm <transB: int = @turned> ({x}, w)")


def linear_rows(written: str, rule: Rule, *, before: str = "", x: str = "x") -> tuple[Row, ...]:
    """A row for each form of a layer, without a bias and with one.

    Args:
        written: What makes `{out}` of `x` in the place of the product with the constant `w`.
        rule: Compares `w` with what `written` has in its place.
        before: Nodes of the float graph before the product that `written` replaces too.
        x: What the product takes then.
    """
    plain = [
        Row(floats=f"{before} y = {form.format(x=x)}", written=written.format(out="y"), rule=rule)
        for form in PRODUCTS
    ]
    biased = Row(
        floats=f"{before} y = Gemm <transB: int = @turned> ({x}, w, bias)",
        written=f"{written.format(out='product')} y = Add (product, bias)",
        rule=rule,
    )
    return (*plain, biased)


def matrix(match: Match) -> Float32:
    """`w` as (inputs, outputs)."""
    weight = match.floats["w"]
    return weight.T if match.attributes.get("turned", 0) else weight


def stands_for(
    wanted: Float32,
    codes: Array,
    steps: Array,
    *,
    axis: int,
    step_of: Callable[[Float32], Float32],
    **form: int,
) -> Iterator[Found]:
    """Compare a matrix with `stored` and `steps`.

    Args:
        wanted: The floats.
        codes: `stored`, of the same axes.
        steps: `steps`, with a size of 1 along `axis`.
        axis: Along which a step is shared.
        step_of: What a method makes of the largest magnitude that shares a step.
        **form: See `Stored`.
    """
    shared = tuple(1 if index == axis else size for index, size in enumerate(wanted.shape))
    for name, got, shape in (("stored", codes, wanted.shape), ("steps", steps, shared)):
        if got.shape != shape:
            yield name, Compared(values=got.size, fault=f"expected the shape {shape}, got {got.shape}")
            return
    stored = Stored(codes=codes, steps=steps.astype(np.float32), axis=axis, **form)
    compared, tops = within_half_a_step(wanted, stored)
    yield "steps", same_bits(step_of(tops), steps)
    yield "stored", compared
