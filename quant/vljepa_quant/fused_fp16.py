"""float16 for ONNX Runtime on GPUs: fused operators, and float32 only where angles and sums over tokens need it."""

from __future__ import annotations

from onnx import TensorProto

from vljepa_quant.fusion import PINNED, fuse
from vljepa_quant.graph_editor import GraphEditor
from vljepa_quant.half import narrowed

__all__ = ["edit"]


def edit(editor: GraphEditor) -> None:
    """Fuse an opened float graph and turn it to float16.

    Raises:
        QuantError: a constant does not fit into float16.
    """
    fuse(editor, TensorProto.FLOAT16)
    narrowed(editor, TensorProto.FLOAT16, pinned=PINNED)
