"""Two graphs in one vocabulary walked from their outputs at once: each value of the float graph has to be made in the
artefact by the same operation, of the same values, with the same constants.

What an artefact may do besides: narrow floats, quantise an activation on its way, smooth it by factors that its weights
undo, move an order of axes past an operation, and leave out what changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.foreign.effects import (
    QUANTISED,
    RESHAPING,
    SAME,
    bare,
    glance,
    neutral_operands,
    quantisation_fault,
    without_effect,
)
from vljepa_export.constants.foreign.graph import ELEMENTWISE, SWAPS, NeutralGraph, Node
from vljepa_export.constants.foreign.ledger import Ledger
from vljepa_export.constants.foreign.orders import Order, composed, inverse, keeps, swapped
from vljepa_export.constants.foreign.stored import Array, Stored

__all__ = ["WORKED_OUT", "Held", "Walk"]

Held = tuple[
    str, str, Order
]  # a value of the float graph, one of the artefact, and the order of the axes of that

WORKED_OUT = 2.0**-20  # of the largest: sines and powers that were worked out by two libraries


@dataclass(kw_only=True)
class Walk:
    """One walk over two graphs.

    Attributes:
        name: Of the graph in the contract.
        wanted: The float graph.
        got: The artefact.
        ledger: What was found.
    """

    name: str
    wanted: NeutralGraph
    got: NeutralGraph
    ledger: Ledger = field(default_factory=Ledger)
    _seen: set[Held] = field(default_factory=set)

    def run(self, *, note: str = "") -> ConstantsProof:
        """Walk from every output; `note` is what cannot be seen so."""
        for name, value in self.wanted.outputs.items():
            if name in self.got.outputs:
                self._hold_all(self._output(value, self.got.outputs[name]))
            else:
                self._fault(name, "there is no such output")
        return self.ledger.proof(self.name, note)

    def _output(self, wanted: str, got: str) -> Held:
        """What to begin with."""
        return wanted, got, ()

    def _hold_all(self, first: Held) -> None:
        stack = [first]
        while stack:
            held = self._seen_through(*stack.pop())
            if held not in self._seen:
                self._seen.add(held)
                stack += self._step(*held)

    def _fault(self, wanted: str, text: str) -> None:
        self.ledger.fault(f"{self.wanted.told(wanted)}: {text}")

    def _seen_through(self, wanted: str, got: str, order: Order) -> Held:
        """The same two values behind what changes none."""
        while True:
            if (node := self.got.node(got, *SAME, *QUANTISED, "Transpose")) is not None:
                if node.kind == "Transpose":
                    order = composed(order, inverse(node.options["perm"]))
                got = self._unquantised(node)
            elif (node := self.wanted.node(wanted, *SAME, "Transpose")) is not None:
                if node.kind == "Transpose":
                    order = composed(node.options["perm"], order)
                wanted = node.inputs[0]
            elif (inner := without_effect(self.got, got)) is not None:
                got = inner
            elif (inner := without_effect(self.wanted, wanted)) is not None:
                if (found := neutral_operands(self.wanted, wanted)) is not None:
                    self.ledger.note(found[0], self.wanted.constants[found[0]].values)
                wanted = inner
            else:
                return wanted, got, order

    def _unquantised(self, node: Node) -> str:
        """What a node was given; that of one that quantises, before it was."""
        if node.kind not in QUANTISED:
            return node.inputs[0]
        value, fault = quantisation_fault(self.got, node)
        if fault:
            self.ledger.fault(fault)
        return value

    def _step(self, wanted: str, got: str, order: Order) -> Sequence[Held]:
        """What has to be held next, for these two to be the same."""
        if wanted in self.wanted.constants or got in self.got.constants:
            self._constants(wanted, got, order)
            return ()
        meant, made = self.wanted.maker(wanted), self.got.maker(got)
        if meant is None or made is None or made[0].kind == "Input":
            same = meant is None and made is not None and made[0].options.get("name") == wanted
            if not same or order:
                self._fault(wanted, f"expected {_what(self.wanted, wanted)}, got {_what(self.got, got)}")
            return ()
        (float_node, float_index), (node, index) = meant, made
        special = self._special(wanted, got, float_node, node, order)
        if special is not None:
            return special
        if (float_node.kind, float_index) != (node.kind, index):
            self._fault(wanted, f"expected {_what(self.wanted, wanted)}, got {_what(self.got, got)}")
            return ()
        if float_node.kind == "MatMul":
            return self._product(wanted, float_node, node, order)
        return self._operands(wanted, float_node, node, order)

    def _operands(self, wanted: str, float_node: Node, node: Node, order: Order) -> Sequence[Held]:
        """The same operation: its options, and what it reads."""
        if order and node.kind not in ELEMENTWISE:
            self._fault(wanted, f"its axes are in the order {order}, which {node.kind} does not follow")
            return ()
        if len(float_node.inputs) != len(node.inputs):
            self._fault(wanted, f"expected {len(float_node.inputs)} operands, got {len(node.inputs)}")
            return ()
        self._options(wanted, float_node, node)
        mine, theirs = float_node.inputs, node.inputs
        if float_node.kind in SWAPS:  # which does not care about the order of its operands
            looks = [glance(self.wanted, name) for name in mine], [glance(self.got, name) for name in theirs]
            if looks[0] != looks[1] and looks[0] == looks[1][::-1]:
                theirs = theirs[::-1]
        return [(one, other, self._order_of(one, order)) for one, other in zip(mine, theirs)]

    def _order_of(self, wanted: str, order: Order) -> Order:
        """The order of an operand: one number has none."""
        constant = self.wanted.constants.get(wanted)
        return () if constant is not None and constant.values.size == 1 else order

    def _options(self, wanted: str, float_node: Node, node: Node) -> None:
        mine, theirs = _settled(float_node, self.wanted), _settled(node, self.got)
        for name in sorted({*mine, *theirs}):
            if mine.get(name) != theirs.get(name):
                self._fault(wanted, f"expected {name} {mine.get(name)}, got {theirs.get(name)}")

    def _special(
        self, wanted: str, got: str, float_node: Node, node: Node, order: Order
    ) -> Sequence[Held] | None:
        """What one value is in another form; None where it is not."""
        if float_node.kind in RESHAPING and node.kind in RESHAPING and wanted in self.wanted.shapes:
            return self._reshaped(wanted, got, order)
        if float_node.kind == "Neg" and node.kind == "Mul":
            factor = self.got.constants.get(node.inputs[1])
            if factor is not None and factor.shape == () and factor.values == -1:
                return [(float_node.inputs[0], node.inputs[0], order)]
        if float_node.kind == node.kind == "Gather" and self._same_places(wanted, float_node, node):
            return [(float_node.inputs[0], node.inputs[0], ())]
        if float_node.kind == "Expand" and node.kind == "Tile":
            if order or self.wanted.shapes.get(wanted) != self.got.shapes.get(got):
                self._fault(wanted, "it is spread to another shape")
            return [(float_node.inputs[0], node.inputs[0], ())]
        return None

    def _same_places(self, wanted: str, float_node: Node, node: Node) -> bool:
        """Whether both pick the same constant places, counted from one end or the other."""
        shape = self.wanted.shapes.get(float_node.inputs[0])
        mine = self.wanted.constants.get(float_node.inputs[1])
        theirs = self.got.constants.get(bare(self.got, node.inputs[1]))
        if shape is None or mine is None or theirs is None:
            return False
        self._options(wanted, float_node, node)
        size = shape[float_node.options["axis"]]
        places = [each.values.astype(np.int64).reshape(-1) % size for each in (mine, theirs)]
        return bool(np.array_equal(*places))

    def _reshaped(self, wanted: str, got: str, order: Order) -> Sequence[Held]:
        """A chain of reshapes is the order of its elements and the shape it ends in, whatever lies between."""
        shapes = self.wanted.shapes[wanted], self.got.shapes.get(got, ())
        if order and not keeps(order, shapes[1]):
            self._fault(wanted, f"its axes are in the order {order} after a reshape")
            return ()
        if not order and shapes[0] != shapes[1]:
            self._fault(wanted, f"expected the shape {shapes[0]}, got {shapes[1]}")
            return ()
        while (node := self.wanted.node(wanted, *RESHAPING, *SAME)) is not None:
            wanted = node.inputs[0]
        while (node := self.got.node(got, *RESHAPING, *SAME)) is not None:
            got = node.inputs[0]
        constant = wanted in self.wanted.constants or got in self.got.constants
        if not constant and self.wanted.shapes.get(wanted) != self.got.shapes.get(got):
            shapes = self.wanted.shapes.get(wanted, ()), self.got.shapes.get(got, ())
            self._fault(wanted, f"expected the shape {shapes[0]} before it is reshaped, got {shapes[1]}")
            return ()
        return [(wanted, got, ())]

    def _product(self, wanted: str, float_node: Node, node: Node, order: Order) -> Sequence[Held]:
        """A product with constants: its factor, turned and smoothed as it may be. Else both of its factors."""
        (first, second), (left, right) = float_node.inputs, node.inputs
        if order:
            self._fault(wanted, f"the axes of a product are in the order {order}")
            return ()
        turns = [float_node.options[side] != node.options[side] for side in ("ta", "tb")]
        weight = bare(self.wanted, second)
        if weight not in self.wanted.constants:
            ranks = [len(self.got.shapes.get(name, ())) for name in (left, right)]
            return [
                (first, left, swapped(turns[0], ranks[0])),
                (second, right, swapped(turns[1], ranks[1])),
            ]
        if turns[0]:
            self._fault(wanted, "its first factor is turned")
        activation, gain = self._unsmoothed(left)
        stored = self.got.constants.get(bare(self.got, right))
        if stored is None:
            self._fault(wanted, f"expected the constant {weight}, got {_what(self.got, right)}")
        else:
            if gain is not None:
                stored = replace(stored, gain=gain[None, :] if node.options["tb"] else gain[:, None])
            self._hold(weight, swapped(turns[1], 2), bare(self.got, right), stored)
        return [(first, activation, ())]

    def _unsmoothed(self, value: str) -> tuple[str, Array | None]:
        """An activation before it was smoothed, and the factors."""
        while (node := self.got.node(value, *SAME, *QUANTISED, "Smooth")) is not None:
            value = self._unquantised(node)
            if node.kind == "Smooth":
                return value, self.got.constants[node.inputs[1]].values.reshape(-1)
        return value, None

    def _constants(self, wanted: str, got: str, order: Order) -> None:
        stored = self.got.constants.get(got)
        if wanted not in self.wanted.constants or stored is None:
            self._fault(wanted, f"expected {_what(self.wanted, wanted)}, got {_what(self.got, got)}")
        else:
            self._hold(wanted, order, got, stored)

    def _hold(self, name: str, order: Order, got: str, stored: Stored) -> None:
        """Compare one constant with one; `stored` has its axes in another order."""
        slack = WORKED_OUT if name in self.wanted.worked_out else 0.0
        meant = self.wanted.constants[name].values
        self.ledger.compare(name, meant, stored, order=order, slack=slack, called=self.got.told(got))


def _what(graph: NeutralGraph, value: str) -> str:
    """A value for people: what makes it, and what it is called."""
    if value in graph.constants:
        return f"the constant {graph.told(value)}"
    made = graph.maker(value)
    if made is None or made[0].kind == "Input":
        return f"the input {made[0].options['name'] if made else value}"
    node, index = made
    which = f"output {index} of " if len(node.outputs) > 1 else ""
    return f"{which}{'an' if node.kind[0] in 'AEIOU' else 'a'} {node.kind} ({graph.told(value)})"


def _settled(node: Node, graph: NeutralGraph) -> Mapping[str, object]:
    """Options that mean the same written the same way, where the shape tells."""
    options = dict(node.options)
    rank = len(graph.shapes.get(node.inputs[0], ())) if node.inputs else 0
    if rank:
        for name in ("axis", "axes"):
            value = options.get(name)
            if isinstance(value, int):
                options[name] = value % rank
            elif isinstance(value, tuple):
                options[name] = tuple(sorted(item % rank for item in value))
    return options
