"""A float graph and what was written of it, walked together from their outputs to their inputs and constants.

Each value of the float graph has to be explained: by the same node with the same attributes over explained values, by a
row of the method, or by a constant of the same bits. So nothing that an output depends on is left out, and nothing else
can be in its place. No input is run through either graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.elements import Compared, same_bits
from vljepa_export.constants.onnx_graph import OnnxGraph, attributes_of, told
from vljepa_export.constants.patterns import Finding, Match, Row
from vljepa_quant import Precision

__all__ = ["walk_together"]

SHOWN = 20  # faults; a wire to another layer makes every constant behind it differ


def walk_together(
    name: str,
    floats: OnnxGraph,
    written: OnnxGraph,
    rows: Sequence[Row],
    precision: Precision,
    *,
    note: str = "",
) -> ConstantsProof:
    """Explain every value of a float graph by what was written.

    Args:
        name: Of the graph in the contract.
        floats: What was meant.
        written: What is judged.
        rows: What the method writes in the place of what.
        precision: As asked for.
        note: See `ConstantsProof`.
    """
    walk = _Walk(floats, written, rows, precision)
    with np.errstate(all="ignore"):  # what was written may be anything
        walk.run()
    more = f"{len(walk.faults) - SHOWN} more" if len(walk.faults) > SHOWN else ""
    return ConstantsProof(
        name=name,
        compared=len(walk.compared),
        quantised=len(walk.quantised),
        values=sum(walk.compared.values()),
        worst_steps=walk.worst,
        faults=(*walk.faults[:SHOWN], *([more] if more else [])),
        note=note,
    )


@dataclass(slots=True)
class _Walk:
    """One walk over two graphs."""

    floats: OnnxGraph
    written: OnnxGraph
    rows: Sequence[Row]
    precision: Precision
    faults: list[str] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    quantised: set[str] = field(default_factory=set)
    worst: float = 0.0
    _known: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def run(self) -> None:
        """From the outputs on."""
        self._same_ends()
        pairs = list(zip(self.floats.outputs, self.written.outputs))[::-1]
        while pairs and len(self.faults) <= SHOWN:
            mine, theirs = pairs.pop()
            mine, theirs = self.floats.seen_through(mine), self.written.seen_through(theirs)
            if (mine, theirs) not in self._known:
                self._known[mine, theirs] = True
                pairs += self._explain(mine, theirs)

    def _same_ends(self) -> None:
        mine, theirs = self.floats, self.written
        if mine.outputs != theirs.outputs:
            self.faults.append(f"expected the outputs {mine.outputs}, got {theirs.outputs}")
        for ends in ("input", "output"):
            known = {item.name: item.type for item in getattr(theirs.model.graph, ends)}
            for item in getattr(mine.model.graph, ends):
                if known.get(item.name) != item.type:
                    self.faults.append(
                        f"{item.name}: the {ends} has another type or shape than the float graph's"
                    )
        for domain, version in mine.opsets.items():
            if (got := theirs.opsets.get(domain, version)) < version:
                self.faults.append(f"expected operator set {domain or 'ai.onnx'} {version}, got {got}")

    def _explain(self, mine: str, theirs: str) -> Sequence[tuple[str, str]]:
        """What is left to explain where `theirs` stands for `mine`."""
        if self.floats.is_constant(mine) and self.written.is_constant(theirs):
            self._constant(mine, theirs)
            return ()
        if not mine and not theirs:  # an input that is left out
            return ()
        made, here = self.floats.maker(mine), self.written.maker(theirs)
        if made is None or here is None:
            if mine in self.floats.inputs and mine == theirs:
                return ()
            meant = _place(self.floats, mine)
            self.faults.append(f"{_place(self.written, theirs)}: expected {meant} of the float graph")
            return ()
        by_row = self._by_row(mine, theirs)
        return self._same_node(made, here) if by_row is None else by_row

    def _constant(self, mine: str, theirs: str) -> None:
        wanted, got = self.floats.element_type(mine), self.written.element_type(theirs)
        if wanted != got and not {wanted, got} <= self.written.widths:
            kinds = [TensorProto.DataType.Name(kind) for kind in (wanted, got)]
            self.faults.append(f"{theirs}: expected {kinds[0]} as in the float graph, got {kinds[1]}")
            return
        self._note(theirs, same_bits(self.floats.constant(mine), self.written.constant(theirs)))

    def _note(self, tensor: str, found: Compared, *, counted: bool = True) -> None:
        if counted:
            self.compared[tensor] = max(self.compared.get(tensor, 0), found.values)
        self.worst = max(self.worst, found.worst_steps)
        if found.fault:
            self.faults.append(f"{tensor}: {found.fault}")

    def _same_node(
        self, made: tuple[onnx.NodeProto, int], here: tuple[onnx.NodeProto, int]
    ) -> Sequence[tuple[str, str]]:
        (mine, at), (theirs, index) = made, here
        if (mine.op_type, mine.domain) != (theirs.op_type, theirs.domain):
            self.faults.append(
                f"{told(theirs)}: expected {told(mine)} of the float graph, or what {self._method} writes for it"
            )
            return ()
        if at != index or len(mine.input) != len(theirs.input):
            self.faults.append(
                f"{told(theirs)}: expected output {at} of {len(mine.input)} inputs, got output {index} of "
                f"{len(theirs.input)}"
            )
            return ()
        self._same_attributes(mine, theirs)
        return list(zip(mine.input, theirs.input))

    def _same_attributes(self, mine: onnx.NodeProto, theirs: onnx.NodeProto) -> None:
        wanted = attributes_of(mine, self.floats.opsets.get(mine.domain, 1))
        got = attributes_of(theirs, self.written.opsets.get(theirs.domain, 1))
        for name in sorted(wanted.keys() | got.keys()):
            if wanted.get(name) != got.get(name) and not self._is_width(mine, theirs, name):
                values = [_value(node, name) for node in (mine, theirs)]
                fault = f"{told(theirs)}: expected {name} {values[0]}, got {values[1]}"
                if fault not in self.faults:
                    self.faults.append(fault)

    def _is_width(self, mine: onnx.NodeProto, theirs: onnx.NodeProto, name: str) -> bool:
        """Whether an attribute says how wide floats are, and may say so."""
        return (
            mine.op_type == "Cast"
            and name == "to"
            and {_value(mine, name), _value(theirs, name)} <= self.written.widths
        )

    def _by_row(self, mine: str, theirs: str) -> Sequence[tuple[str, str]] | None:
        """What is left where a row explains it, or nearly does; None where none is near."""
        nearest: tuple[Finding, str] | None = None
        for row in self.rows:
            (float_piece, written_piece), (alone, _) = row.pieces, row.alone
            if not (wanted := float_piece.find(self.floats, mine)):
                continue
            if not all(self.floats.is_constant(wanted.tensors[name]) for name in alone):
                continue
            got = written_piece.find(self.written, theirs)
            if got and (left := self._matched(row, wanted, got)) is not None:
                return left
            if got.depth > 1 and (nearest is None or got.depth > nearest[0].depth):
                nearest = got, got.reason
        if nearest is None:
            return None
        self.faults.append(f"{nearest[1]}, as {self._method} writes {mine} of the float graph")
        return ()

    def _matched(self, row: Row, wanted: Finding, got: Finding) -> Sequence[tuple[str, str]] | None:
        for name in row.alone[1]:
            if not self.written.is_constant(got.tensors[name]):
                got.reason = f"{got.tensors[name]}: expected a constant"
                return None
        for name in wanted.attributes.keys() & got.attributes.keys():
            if wanted.attributes[name] != got.attributes[name]:
                mine, theirs = wanted.attributes[name], got.attributes[name]
                self.faults.append(
                    f"{_place(self.written, got.tensors['y'])}: expected {name} {mine}, got {theirs}"
                )
        for name, value in row.pieces[1].literals.items():
            self._note(got.tensors[name], Compared(values=value.size))
        self._compare(row, wanted, got)
        return [(wanted.tensors[name], got.tensors[name]) for name in row.shared]

    def _compare(self, row: Row, wanted: Finding, got: Finding) -> None:
        ours = [
            *row.alone[0],
            *(name for name in row.shared if self.floats.is_constant(wanted.tensors[name])),
        ]
        mine = {name: wanted.tensors[name] for name in ours}
        theirs = {name: got.tensors[name] for name in row.alone[1]}
        if (key := (row.written, *mine.values(), *theirs.values())) in self._known:
            return
        self._known[key] = True
        match = Match(
            floats={name: self.floats.constant(tensor) for name, tensor in mine.items()},
            written={name: self.written.constant(tensor) for name, tensor in theirs.items()},
            names={**mine, **theirs, "y": got.tensors["y"]},
            attributes={**wanted.attributes, **got.attributes},
            precision=self.precision,
        )
        try:
            for name, found in row.rule(match):
                self._note(match.names[name], found, counted=name in theirs)
                if row.quantised:
                    self.quantised.add(match.names[name])
        except (
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # shapes that no rule thought of
            self.faults.append(f"{', '.join(theirs.values())}: not what {self._method} writes ({error})")

    @property
    def _method(self) -> str:
        return self.precision.name


def _place(graph: OnnxGraph, tensor: str) -> str:
    made = graph.maker(tensor)
    if made is not None:
        return f"{tensor} ({told(made[0])})"
    return f"{'constant' if graph.is_constant(tensor) else 'input'} {tensor}"


def _value(node: onnx.NodeProto, name: str) -> object:
    return next((onnx.helper.get_attribute_value(item) for item in node.attribute if item.name == name), None)
