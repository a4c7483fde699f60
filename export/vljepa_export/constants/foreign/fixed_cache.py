"""The decoder's step on a cache of fixed length beside the float one, whose cache grows.

What the float graph works out from the cache's length, the program looks up in tables, a row per length: each row has
to be what the float graph gives for that length. What lies past the length is hidden before the softmax, and only the
new position comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_export.constants.foreign.compare import compare
from vljepa_export.constants.foreign.effects import RESHAPING, SAME, bare
from vljepa_export.constants.foreign.graph import NeutralGraph, Node
from vljepa_export.constants.foreign.orders import Order
from vljepa_export.constants.foreign.stored import Stored
from vljepa_export.constants.foreign.walk import WORKED_OUT, Held, Walk

__all__ = ["FixedCacheWalk"]

HIDES = -9.9e3  # added to a score, at most: nothing is left of it after the softmax


@dataclass(kw_only=True)
class FixedCacheWalk(Walk):
    """See `Walk`.

    Attributes:
        lengths: Name of the input that says how much of the cache is real.
        at: The float graph after so many positions.
    """

    lengths: str = "length"
    at: Callable[[int], NeutralGraph]

    def _output(self, wanted: str, got: str) -> Held:
        """The last position of a cache stands for all of it: the others are the program's own input."""
        last = bare(self.got, got)
        cut = self.got.node(last, "Slice")
        before = self.got.shapes.get(cut.inputs[0]) if cut is not None else None
        if cut is None or before is None or before != self.wanted.shapes.get(wanted):
            return wanted, got, ()
        axis = len(before) - 2
        whole = [(at, 0, size, 1) for at, size in enumerate(before)]
        whole[axis] = (axis, before[axis] - 1, before[axis], 1)
        return wanted, cut.inputs[0] if cut.options["cuts"] == tuple(whole) else got, ()

    def _constants(self, wanted: str, got: str, order: Order) -> None:
        table = self._looked_up(got)
        if table is None or order or wanted not in self.wanted.worked_out:
            super()._constants(wanted, got, order)
            return
        rows = self.got.constants[table]
        for length in range(rows.shape[0]):
            value = self.at(length).constants[wanted].values
            row = Stored(values=rows.values[length].reshape(value.shape))
            found = compare(value, row, slack=WORKED_OUT)
            if found.fault:
                self._fault(wanted, f"{found.fault} at length {length} ({table})")
                break  # one names the table
        self.ledger.note(wanted, rows.values)

    def _special(
        self, wanted: str, got: str, float_node: Node, node: Node, order: Order
    ) -> Sequence[Held] | None:
        if node.kind == "Add" and float_node.kind != "Add":
            for one, other in (node.inputs, node.inputs[::-1]):
                table = self._looked_up(one)
                if table is not None:
                    self._check_hidden(wanted, table)
                    return [(wanted, other, order)]
        return super()._special(wanted, got, float_node, node, order)

    def _looked_up(self, got: str) -> str | None:
        """The constant of which a value is the row at the cache's length."""
        while (node := self.got.node(got, *RESHAPING, *SAME)) is not None:
            got = node.inputs[0]
        node = self.got.node(got, "Gather")
        if node is None or node.inputs[0] not in self.got.constants or node.options["axis"] != 0:
            return None
        index = node.inputs[1]
        while (inner := self.got.node(index, *RESHAPING, *SAME)) is not None:
            index = inner.inputs[0]
        return node.inputs[0] if index == self.lengths else None

    def _check_hidden(self, wanted: str, table: str) -> None:
        """A row hides the columns from its number to the last but one, and no others."""
        values = self.got.constants[table].dense()
        rows, columns = values.shape
        hides = np.triu(np.ones((rows, columns), bool))
        hides[:, -1] = False
        if rows != columns or not (values[hides] <= HIDES).all() or values[~hides].any():
            self._fault(
                wanted, f"expected a row of {table} to hide what lies past its length and nothing else"
            )
