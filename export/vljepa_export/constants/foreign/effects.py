"""What changes nothing about a value, and what only narrows it: looked through on both sides of a walk."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vljepa_export.constants.foreign.graph import NeutralGraph, Node
from vljepa_export.constants.foreign.stored import Array

__all__ = [
    "QUANTISED",
    "RESHAPING",
    "SAME",
    "bare",
    "glance",
    "neutral_operands",
    "quantisation_fault",
    "without_effect",
]

SAME = ("Identity", "FromEnd")
QUANTISED = ("FakeQuantize", "Dequantise")
RESHAPING = ("Reshape", "Unsqueeze", "Squeeze")

_COPIES = ("Expand", "Tile")
_FAR = float(np.finfo(np.float32).max)
# Operations of two values that one of them does not change, and what that one looks like. A sum may spread the other
# value; several zeros or ones are a bias or a norm's weights, which have its size.
_NEUTRAL: Mapping[str, Callable[[Array], bool]] = {
    "Mul": lambda value: value.dtype.kind == "f" and value.ndim < 2 and bool((value == 1).all()),
    "Add": lambda value: value.dtype.kind == "f" and value.ndim < 2 and not value.any(),
    "Min": lambda value: value.shape == () and float(value) >= _FAR,
    "Max": lambda value: value.shape == () and float(value) <= -_FAR,
}
ON_THE_GRID = 0.01  # steps; where 0 may lie beside one


def neutral_operands(graph: NeutralGraph, value: str) -> tuple[str, str] | None:
    """The constant without an effect and the other operand, of the node that makes a value."""
    node = graph.node(value, *_NEUTRAL)
    if node is None:
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        constant = graph.constants.get(one)
        if constant is not None and not constant.is_quantised and _NEUTRAL[node.kind](constant.values):
            return one, other
    return None


def without_effect(graph: NeutralGraph, value: str) -> str | None:
    """What a factor of one, a sum with nothing, a bound out of reach or a copy of the same size gives on."""
    found = neutral_operands(graph, value)
    if found is not None:
        return found[1]
    node = graph.node(value, *_COPIES)
    if node is None:
        return None
    before, after = graph.shapes.get(node.inputs[0]), graph.shapes.get(value)
    return node.inputs[0] if before is not None and before == after else None


def bare(graph: NeutralGraph, value: str) -> str:
    """A value behind changes of its width."""
    while (node := graph.node(value, *SAME)) is not None:
        value = node.inputs[0]
    return value


def glance(graph: NeutralGraph, value: str) -> tuple[str, int]:
    """What a value is at a glance: its operation behind what changes nothing, and which output it is."""
    while True:
        node = graph.node(value, *SAME, *QUANTISED, "Quantise", "Transpose")
        inner = node.inputs[0] if node is not None else without_effect(graph, value)
        if inner is None:
            break
        value = inner
    if value in graph.constants:
        return "constant", 0
    made = graph.maker(value)
    if made is None or made[0].kind == "Input":
        return "input", 0
    return ("Reshape" if made[0].kind in RESHAPING else made[0].kind), made[1]


def quantisation_fault(graph: NeutralGraph, node: Node) -> tuple[str, str]:
    """What an activation was before it was quantised, and what is wrong about how it is given back."""
    if node.kind == "FakeQuantize":
        return node.inputs[0], _range_fault(graph, node)
    taken = graph.node(node.inputs[0], "Quantise")
    if taken is None:
        return node.inputs[
            0
        ], f"{node.outputs[0]}: expected what was quantised, got {graph.told(node.inputs[0])}"
    steps = taken.options["step"], node.options["step"]
    fault = f"{node.outputs[0]}: an activation is taken in steps {steps[0]} and given back in {steps[1]}"
    return taken.inputs[0], fault if steps[0] != steps[1] else ""


def _range_fault(graph: NeutralGraph, node: Node) -> str:
    """An activation is given back in the range that it was taken in, and 0 is one of its steps."""
    label = graph.told(node.outputs[0])
    bounds = [graph.constants[name].values for name in node.inputs[1:] if name in graph.constants]
    if len(bounds) != 4:
        return f"{label}: its range is no constant"
    low, high, low_out, high_out = (each.astype(np.float64) for each in bounds)
    if not (np.array_equal(low, low_out) and np.array_equal(high, high_out)):
        return f"{label}: an activation is taken as {low} to {high} and given back as {low_out} to {high_out}"
    if not (low < high).all():
        return f"{label}: the range {low} to {high} of an activation is empty"
    zero = -low * (node.options["levels"] - 1) / (high - low)
    if np.abs(zero - np.rint(zero)).max() > ON_THE_GRID:
        return f"{label}: 0 is no step of the range {low} to {high}"
    return ""
