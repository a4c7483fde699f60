"""Which tensors of an ONNX graph hold whole numbers, as far as an engine that divides them must be feared.

A processor stops the whole process when it divides whole numbers by 0; ONNX Runtime asks before since 1.24.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vljepa_runtime.graphs.onnx_file import FLOATS, Constant, Node

__all__ = ["whole_outputs"]

Whole = Sequence[bool]
_COMPARING = "And Equal Greater GreaterOrEqual IsNaN Less LessOrEqual Not Or Xor"
_COUNTING = "ArgMax ArgMin MatMulInteger QuantizeLinear Shape"


def _filled(node: Node, inputs: Whole) -> Whole:
    value = node.attributes.get("value")
    return (isinstance(value, Constant) and value.whole,)


def _constant(node: Node, inputs: Whole) -> Whole:
    ((name, value),) = node.attributes.items()
    return (value.whole if isinstance(value, Constant) else name != "value_float",)


RULES: Mapping[str, Callable[[Node, Whole], Whole]] = {
    **{kind: lambda node, inputs: (True,) for kind in f"{_COMPARING} {_COUNTING}".split()},
    "Cast": lambda node, inputs: (node.attributes["to"] not in FLOATS,),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DequantizeLinear": lambda node, inputs: (False,),
    "DynamicQuantizeLinear": lambda node, inputs: (True, False, True),
    "Where": lambda node, inputs: (inputs[1],),
}


def whole_outputs(node: Node, inputs: Whole) -> Whole:
    """Per output, whether it holds whole numbers.

    Args:
        node: One whose shapes follow.
        inputs: The same of its inputs; False where one is left out.
    """
    if node.kind in RULES:
        return RULES[node.kind](node, inputs)
    return (inputs[0],) * len(node.outputs)
