"""A graph in one vocabulary, whatever format it was read from: values by name, who makes them, constants as stored.

The words are ONNX's, less what says the same twice: Gemm is MatMul and Add, LayerNormalization is Normalise, Mul and
Add, and axes, sizes and orders that are constant are options of a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vljepa_export.constants.foreign.stored import Stored

__all__ = ["ELEMENTWISE", "SWAPS", "Node", "NeutralGraph", "Unreadable"]

SWAPS = frozenset(["Add", "Mul", "Max", "Min", "And", "Or", "Equal"])
"""Of two operands in either order."""
ELEMENTWISE = SWAPS | frozenset(
    [
        "Sub",
        "Div",
        "Pow",
        "Sqrt",
        "Sin",
        "Cos",
        "Neg",
        "Sigmoid",
        "Tanh",
        "Erf",
        "Exp",
        "Log",
        "Abs",
        "Where",
        "Greater",
        "Less",
        "GreaterOrEqual",
        "LessOrEqual",
        "Not",
        "Gelu",
        "Reciprocal",
        "Softplus",
        "Cast",
    ]
)
"""What does the same to every element, however the axes are ordered."""


class Unreadable(Exception):
    """A graph holds what its reader does not know: it cannot be judged, which is no fault of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation.

    Attributes:
        kind: Its operator.
        inputs: Values that it reads; empty where an optional one is left out.
        outputs: Values that it makes.
        options: What is constant about it.
        label: What its format calls it.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""


@dataclass(slots=True, kw_only=True)
class NeutralGraph:
    """Nodes and constants by the values they give.

    Attributes:
        inputs: Names of the inputs.
        outputs: Value per name of an output.
        shapes: Of values, where they are known.
        labels: What the format calls a value, where that is not its name.
        worked_out: Constants that are not stored, but follow from those that are and from the sizes of the inputs.
    """

    inputs: set[str] = field(default_factory=set)
    outputs: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Stored] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    worked_out: set[str] = field(default_factory=set)
    _made: dict[str, tuple[Node, int]] = field(default_factory=dict)

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        label: str = "",
        **options: Any,
    ) -> None:
        """Put a node in."""
        node = Node(kind=kind, inputs=tuple(inputs), outputs=tuple(outputs), options=options, label=label)
        self._made.update({name: (node, index) for index, name in enumerate(node.outputs)})

    def maker(self, value: str) -> tuple[Node, int] | None:
        """The node that makes a value, and as which of its outputs."""
        return self._made.get(value)

    def node(self, value: str, *kinds: str) -> Node | None:
        """The node of one of these kinds that makes a value."""
        found = self._made.get(value)
        return found[0] if found is not None and found[0].kind in kinds else None

    def told(self, value: str) -> str:
        """What to call a value in a sentence."""
        if value in self.labels:
            return self.labels[value]
        found = self._made.get(value)
        return found[0].label if found is not None and found[0].label else value
