"""Rows of TensorRT's explicit quantisation: a pair around what a product takes, a matrix that is restored before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from vljepa_export.constants.elements import Compared, Float32, same_bits
from vljepa_export.constants.linear import linear_rows, matrix, stands_for
from vljepa_export.constants.patterns import Found, Match

__all__ = ["ROWS"]

LARGEST: Mapping[str, float] = {"int8": 127.0, "float8_e4m3fn": 448.0, "int4": 7.0}
FRACTION_BITS: Mapping[str, int] = {"float8_e4m3fn": 3}
TYPES: Mapping[str, str] = {"int4": "int8"}  # as NumPy has it once two of a byte are apart

PAIR = "q = QuantizeLinear (x, step, zero) near = DequantizeLinear (q, back, zero) "
COLUMNS = "restored = DequantizeLinear <axis = 1> (stored, steps) "
BLOCKS = "restored = DequantizeLinear <axis = 0, block_size: int = @block> (stored, steps) "


def _step(tops: Float32, *, largest: float) -> Float32:
    """Steps that float16 holds exactly, never 0."""
    rounded = (tops / np.float32(largest)).astype(np.float16)
    return np.maximum(rounded, np.finfo(np.float16).smallest_subnormal).astype(np.float32)


def _restored(match: Match) -> Iterator[Found]:
    """A step for each output, or for each block of inputs of one."""
    weights = match.precision.weights
    wanted, codes, steps = matrix(match), match.written["stored"], match.written["steps"]
    block = match.attributes.get("block", 0)
    if codes.dtype.name != TYPES.get(weights.dtype, weights.dtype) or block != weights.block:
        meant, got = (
            f"{weights.dtype} in blocks of {weights.block}",
            f"{codes.dtype.name} in blocks of {block}",
        )
        yield "stored", Compared(values=codes.size, fault=f"expected {meant}, got {got}")
        return
    if codes.shape != wanted.shape:
        yield (
            "stored",
            Compared(values=codes.size, fault=f"expected the shape {wanted.shape}, got {codes.shape}"),
        )
        return
    if block:
        shape = (-1, weights.block, wanted.shape[1])
        wanted, codes, steps = wanted.reshape(shape), codes.reshape(shape), steps[:, None]
    else:
        steps = steps[None]
    yield from stands_for(
        wanted,
        codes,
        steps,
        axis=1 if block else 0,
        step_of=partial(_step, largest=LARGEST[weights.dtype]),
        **({"fraction_bits": FRACTION_BITS[weights.dtype]} if weights.dtype in FRACTION_BITS else {}),
    )


def _both(match: Match) -> Iterator[Found]:
    """The matrix, and that the pair around the activation is one: its step comes from samples, not from floats."""
    yield from _restored(match)
    step, back, zero = (match.written[name] for name in ("step", "back", "zero"))
    fits = step.shape == () and np.isfinite(step) and step > 0 and step.astype(np.float16) == step
    yield (
        "step",
        Compared(values=step.size, fault="" if fits else f"expected a step above 0 in float16, got {step}"),
    )
    yield "back", same_bits(step.astype(np.float32), back.astype(np.float32))
    none = zero.shape == () and zero.astype(np.float32) == 0
    yield "zero", Compared(values=zero.size, fault="" if none else f"expected a zero point of 0, got {zero}")


ROWS = tuple(
    row
    for weight in (COLUMNS, BLOCKS)
    for pair, x, rule in (
        (PAIR, "near", _both),
        ("", "x", _restored),
    )  # without a pair, `x` could be any node
    for row in linear_rows(f"{pair}{weight}{{out}} = MatMul ({x}, restored)", rule)
)
