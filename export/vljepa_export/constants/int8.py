"""Rows of int8 for ONNX Runtime: products of uint8 activations and int8 columns, int8 rows of tables."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from vljepa_export.constants.elements import Compared, Float32
from vljepa_export.constants.linear import linear_rows, matrix, stands_for
from vljepa_export.constants.patterns import Found, Match, Row

__all__ = ["ROWS", "TABLES"]

LARGEST = np.float32(127)

ACTIVATION = "q, s, z = DynamicQuantizeLinear ({x}) sums = MatMulInteger (q, stored, z)"
RESULT = "wide = Cast <to = 1> (sums) both = Mul (s, steps) {out} = Mul (wide, both)"
UNIT = (
    "last = Constant <value = int64[1] {{-1}}> () smallest = Constant <value = float {{1e-12}}> () "
    "sizes = Abs (x) tops = ReduceMax (sizes, last) largest = Max (tops, smallest) unit = Div (x, largest)"
)
ROWS_OF_TABLE = (
    "last = Constant <value = int64[1] {-1}> () picked = Gather (steps, ids) apart = Unsqueeze (picked, last) "
    "wide = Cast <to = 1> (row) y = Mul (wide, apart)"
)


def _step(tops: Float32) -> Float32:
    """127 steps are the largest magnitude; zeros need none."""
    return np.where(tops > 0, tops / LARGEST, np.float32(1))


def _columns(match: Match) -> Iterator[Found]:
    """A step for each output of a layer."""
    codes, steps = match.written["stored"], match.written["steps"]
    yield from stands_for(matrix(match), codes, steps.reshape(1, -1), axis=0, step_of=_step)


def _half(match: Match, *, which: int) -> Iterator[Found]:
    """A step for each output of a product that is cut in two."""
    if match.attributes["axis"] not in (-1, 2):
        yield "stored", Compared(values=0, fault="expected the last axis to be cut")
        return
    codes, steps = match.written["stored"], match.written["steps"]
    wanted = np.split(match.floats["w"], 2, axis=1)[which]
    yield from stands_for(wanted, codes, steps.reshape(1, -1), axis=0, step_of=_step)


def _words(match: Match) -> Iterator[Found]:
    """A step for each row of a table."""
    codes, steps = match.written["stored"], match.written["steps"]
    yield from stands_for(match.floats["table"], codes, steps.reshape(-1, 1), axis=1, step_of=_step)


def _tied_words(match: Match) -> Iterator[Found]:
    """As an output matrix has them: a word is a column."""
    codes, steps = match.written["stored"], match.written["steps"]
    yield from stands_for(match.floats["table"].T, codes, steps.reshape(1, -1), axis=0, step_of=_step)


TABLES = (
    Row(floats="y = Gather (table, ids)", written=f"row = Gather (stored, ids) {ROWS_OF_TABLE}", rule=_words),
    Row(
        floats="y = Gather (table, ids)",
        written="columns = Gather <axis = 1> (stored, ids) row = Transpose <perm = [1, 2, 0]> (columns) "
        + ROWS_OF_TABLE,
        rule=_tied_words,
    ),
)
ROWS = (
    *linear_rows(f"{ACTIVATION.format(x='x')} {RESULT}", _columns),
    *linear_rows(
        f"{UNIT} {ACTIVATION.format(x='unit')} {RESULT.format(out='product')} {{out}} = Mul (product, largest)",
        _columns,
    ),
    # What is a byte already is not quantised again.
    *linear_rows(
        "sums = MatMulInteger (x, stored) wide = Cast <to = 1> (sums) {out} = Mul (wide, steps)",
        _columns,
        before="floats = Cast <to = 1> (x)",
        x="floats",
    ),
    *(
        Row(
            floats=f"product = MatMul (x, w) {outputs} = Split <axis: int = @axis, num_outputs = 2> (product)",
            written=f"{ACTIVATION.format(x='x')} {RESULT.format(out='y')}",
            rule=partial(_half, which=which),
        )
        for which, outputs in enumerate(("y, other", "other, y"))
    ),
    *TABLES,
)
