"""bfloat16 for ONNX Runtime on GPUs: fused operators, for networks whose outliers float16 does not hold.

ONNX Runtime's CPU provider has hardly any kernel for it, so a graph is measured by a twin: the same operators in
float32 with every result rounded to bfloat16, which is what a kernel does that sums in float32.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from vljepa_quant.fusion import PINNED, fuse
from vljepa_quant.graph_editor import GraphEditor
from vljepa_quant.half import narrowed, tensor_types

__all__ = ["edit", "edit_twin"]


def edit(editor: GraphEditor) -> None:
    """Fuse an opened float graph and turn it to bfloat16."""
    fuse(editor, TensorProto.BFLOAT16)
    narrowed(editor, TensorProto.BFLOAT16, pinned=PINNED)


def edit_twin(editor: GraphEditor) -> None:
    """What `edit` makes, in float32 with rounded constants and results."""
    edit(editor)
    types = tensor_types(editor)
    for name, value in editor.constants.items():
        if types[name] == TensorProto.BFLOAT16:
            editor.constants[name] = value.astype(np.float32)
    nodes = []
    for node in editor.nodes:
        nodes.append(node)
        for index, name in enumerate(node.output):
            if types.get(name) == TensorProto.BFLOAT16:
                exact, rounded = editor.fresh(f"{name}_exact"), editor.fresh(f"{name}_rounded")
                node.output[index], node.name = exact, f"{node.op_type}:{exact}"
                nodes.append(editor.make("Cast", (exact,), rounded, to=TensorProto.BFLOAT16))
                nodes.append(editor.make("Cast", (rounded,), name, to=TensorProto.FLOAT))
    editor.nodes = nodes
