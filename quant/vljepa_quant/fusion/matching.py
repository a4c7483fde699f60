"""What passes ask of a graph: chains of operators, constants, who else reads a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["MICROSOFT", "constant_side", "followed", "made_by", "only_reader", "transposed"]

MICROSOFT = "com.microsoft"
Array = npt.NDArray[Any]


def made_by(editor: GraphEditor, tensor: str, *kinds: str) -> onnx.NodeProto | None:
    """The node that makes `tensor`, if it is of one of these operators."""
    node = editor.producer(tensor)
    return node if node is not None and node.op_type in kinds else None


def followed(editor: GraphEditor, tensor: str, kinds: Sequence[str]) -> str | None:
    """What the first input of a chain of these operators, the last one first, is made of."""
    for kind in kinds:
        node = made_by(editor, tensor, kind)
        if node is None:
            return None
        tensor = node.input[0]
    return tensor


def transposed(editor: GraphEditor, tensor: str, order: Sequence[int]) -> str | None:
    """What a transposition in this order made into `tensor`."""
    node = made_by(editor, tensor, "Transpose")
    return str(node.input[0]) if node is not None and list(attributes(node)["perm"]) == list(order) else None


def only_reader(editor: GraphEditor, tensor: str, *kinds: str) -> onnx.NodeProto | None:
    """The one node that reads `tensor`, if it is of one of these operators and `tensor` is no output."""
    readers = editor.consumers(tensor)
    single = len(readers) == 1 and tensor not in editor.outputs and readers[0].op_type in kinds
    return readers[0] if single else None


def constant_side(editor: GraphEditor, node: onnx.NodeProto) -> tuple[str, Array] | None:
    """The other input and the constant of a node of two inputs, one of which is a float constant."""
    for mine, other in (tuple(node.input), tuple(node.input)[::-1]) if len(node.input) == 2 else ():
        value = editor.constants.get(other)
        if value is not None and value.dtype == np.float32 and mine not in editor.constants:
            return mine, value
    return None
