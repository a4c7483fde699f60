"""What stands for what: a piece of a float graph, what a method writes in its place, and how their constants go.

Both pieces are in ONNX's own text. `y` is what they make. A name that nothing in a piece makes is free: where both have
it, the one has to be the other's; where one alone has it, it is a constant, for the rule of the row to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import onnx
from onnx import helper, numpy_helper

from vljepa_export.constants.elements import Compared
from vljepa_export.constants.onnx_graph import Array, OnnxGraph, attributes_of, told
from vljepa_quant import Precision

__all__ = ["Found", "Match", "Piece", "Row", "Rule"]

_HEAD = '<domain: "piece", opset_import: ["": 20, "com.microsoft": 1]> piece (x) => (y)'


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The constants of a row, found in two graphs.

    Attributes:
        floats: Those of the float graph, by their names in the row; also those that both have.
        written: Those of the written one.
        names: What each is called in its graph, and `y` in the written one.
        attributes: What the row leaves open, by its name in the row.
        precision: What was asked for.
    """

    floats: Mapping[str, Array]
    written: Mapping[str, Array]
    names: Mapping[str, str]
    attributes: Mapping[str, object]
    precision: Precision


Found = tuple[str, Compared]
Rule = Callable[[Match], Iterator[Found]]


class Piece:
    """A piece of a graph, to be found in a larger one.

    Args:
        text: Nodes in ONNX's text; `Constant` stands for a constant of that very value, `@name` for an attribute that
            is left open.
    """

    def __init__(self, text: str) -> None:
        body = onnx.parser.parse_function(f"{_HEAD} {{ {text} }}")
        self.nodes: Sequence[onnx.NodeProto] = [node for node in body.node if node.op_type != "Constant"]
        self.literals: Mapping[str, Array] = {
            node.output[0]: numpy_helper.to_array(node.attribute[0].t)
            for node in body.node
            if node.op_type == "Constant"
        }
        self.makers = {name: (node, index) for node in self.nodes for index, name in enumerate(node.output)}
        taken = dict.fromkeys(name for node in self.nodes for name in node.input if name)
        self.free = tuple(name for name in taken if name not in self.makers and name not in self.literals)

    @property
    def kind(self) -> str:
        """Operator of the node that makes `y`."""
        return self.makers["y"][0].op_type

    def find(self, graph: OnnxGraph, tensor: str) -> Finding:
        """Look for it where `y` is a tensor of a graph."""
        finding = Finding(piece=self, graph=graph)
        finding.unify("y", tensor)
        return finding


@dataclass(slots=True, kw_only=True)
class Finding:
    """One search for a piece in a graph.

    Attributes:
        piece: What is looked for.
        graph: Where.
        tensors: Of the graph, by their names in the piece.
        attributes: Those that the piece leaves open.
        reason: Why it is not there; empty where it is.
        depth: Nodes of the right operators that were found before it turned out not to be there.
    """

    piece: Piece
    graph: OnnxGraph
    tensors: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)
    reason: str = ""
    depth: int = 0
    _nodes: dict[int, onnx.NodeProto] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return not self.reason

    def unify(self, name: str, tensor: str) -> bool:
        """Take a tensor for what the piece calls `name`; an input that is left out is that and nothing else."""
        if not name or not tensor:
            return name == tensor or self._miss(f"expected {name or 'no input'}, got {tensor or 'none'}")
        tensor = self.graph.seen_through(tensor)
        if name in self.tensors:
            return self.tensors[name] == tensor or self._miss(f"{name} is {self.tensors[name]} and {tensor}")
        if name in self.piece.literals:
            return self._literal(name, tensor)
        if name in self.piece.makers and not self._made(name, tensor):
            return False
        self.tensors[name] = tensor
        return True

    def _made(self, name: str, tensor: str) -> bool:
        wanted, index = self.piece.makers[name]
        made = self.graph.maker(tensor)
        if made is None or (made[0].op_type, made[0].domain) != (wanted.op_type, wanted.domain):
            here = told(made[0]) if made else "no node"
            return self._miss(f"{tensor} is made by {here}; expected {wanted.op_type}")
        node, mine = made
        known = self._nodes.setdefault(id(wanted), node)
        if mine != index or known is not node:
            return self._miss(
                f"{tensor} is output {mine} of {told(node)}; expected output {index} of {told(known)}"
            )
        if wanted.output[0] in self.tensors:
            return True
        self.depth += 1
        if not self._same_attributes(wanted, node):
            return False
        if len(_given(wanted)) != len(_given(node)):
            return self._miss(f"{told(node)}: expected {len(_given(wanted))} inputs, got {len(_given(node))}")
        return all(self.unify(mine, theirs) for mine, theirs in zip(_given(wanted), _given(node)))

    def _same_attributes(self, wanted: onnx.NodeProto, node: onnx.NodeProto) -> bool:
        opset = self.graph.opsets.get(node.domain, 1)
        open_ones = {item.name: item.ref_attr_name for item in wanted.attribute if item.ref_attr_name}
        values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        self.attributes |= {ref: values[name] for name, ref in open_ones.items() if name in values}
        fixed = onnx.NodeProto()
        fixed.CopyFrom(wanted)
        del fixed.attribute[:]
        fixed.attribute.extend(item for item in wanted.attribute if not item.ref_attr_name)
        mine = attributes_of(fixed, opset)
        theirs = {name: value for name, value in attributes_of(node, opset).items() if name not in open_ones}
        if wrong := sorted(
            name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)
        ):
            return self._miss(
                f"{told(node)}: unexpected {', '.join(wrong)} = {[values.get(name) for name in wrong]}"
            )
        return True

    def _literal(self, name: str, tensor: str) -> bool:
        wanted = self.piece.literals[name]
        if not self.graph.is_constant(tensor):
            return self._miss(f"{tensor}: expected the constant {wanted}")
        got = self.graph.constant(tensor)
        same = (got.shape, got.dtype, got.tobytes()) == (wanted.shape, wanted.dtype, wanted.tobytes())
        self.tensors[name] = tensor
        return same or self._miss(f"{tensor}: expected {wanted} {wanted.dtype}, got {got} {got.dtype}")

    def _miss(self, reason: str) -> bool:
        self.reason = self.reason or reason
        return False


def _given(node: onnx.NodeProto) -> list[str]:
    """Inputs, without those at the end that are left out."""
    names = list(node.input)
    while names and not names[-1]:
        names.pop()
    return names


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that a method does.

    Attributes:
        floats: What stands in the float graph.
        written: What the method writes in its place.
        rule: Compares what one of the two alone has.
        quantised: Whether what is written stands for floats in a smaller type.
    """

    floats: str
    written: str
    rule: Rule
    quantised: bool = True

    @cached_property
    def pieces(self) -> tuple[Piece, Piece]:
        """Both, parsed."""
        return Piece(self.floats), Piece(self.written)

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Names that both have free."""
        mine, theirs = self.pieces
        return tuple(name for name in mine.free if name in theirs.free)

    @cached_property
    def alone(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the constants that one side alone has."""
        mine, theirs = self.pieces
        return (
            tuple(name for name in mine.free if name not in self.shared),
            tuple(name for name in theirs.free if name not in self.shared),
        )
