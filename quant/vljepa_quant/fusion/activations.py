"""Gates and activations: no copy of what a product gives only to cut it, and one node for a bias and its activation."""

from __future__ import annotations

import numpy as np

from vljepa_quant.fusion.matching import MICROSOFT, constant_side, made_by, only_reader
from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["fuse_activations", "split_products"]


def split_products(editor: GraphEditor, *, least: int = 0) -> None:
    """A product whose columns are cut in two, as of gate and up, as two products.

    Args:
        editor: The graph.
        least: Elements of a matrix from which on it is worth it.
    """
    for split in editor.of_type("Split"):
        product = made_by(editor, split.input[0], "MatMul")
        weight = editor.constants.get(product.input[1]) if product is not None else None
        if product is None or weight is None or weight.ndim != 2 or weight.size < least:
            continue
        halves = attributes(split).get("num_outputs") == len(split.output) == 2 and len(split.input) == 1
        if not halves or attributes(split).get("axis") not in (-1, 2) or weight.shape[1] % 2:
            continue
        if only_reader(editor, product.output[0], "Split") is None:
            continue
        x, name = product.input
        parts = [
            editor.make("MatMul", (x, editor.constant(f"{name}.{place}", part)), out)
            for place, (part, out) in enumerate(zip(np.split(weight, 2, axis=1), split.output))
        ]
        editor.replace(product, parts)
        editor.replace(split, [])


def fuse_activations(editor: GraphEditor) -> None:
    """`x * sigmoid(x)` as QuickGelu, and the bias before an exact Gelu as BiasGelu."""
    for sigmoid in editor.of_type("Sigmoid"):
        gate = sigmoid.input[0]
        silu = only_reader(editor, sigmoid.output[0], "Mul")
        if silu is not None and gate in silu.input:
            fused = editor.make("QuickGelu", (gate,), silu.output[0], domain=MICROSOFT, alpha=1.0)
            editor.replace(silu, [fused])
    for gelu in editor.of_type("Gelu"):
        added = made_by(editor, gelu.input[0], "Add")
        side = constant_side(editor, added) if added is not None else None
        if (
            added is None
            or side is None
            or side[1].ndim != 1
            or attributes(gelu).get("approximate") == b"tanh"
        ):
            continue
        if only_reader(editor, added.output[0], "Gelu") is not None:
            bias = next(name for name in added.input if name in editor.constants)
            fused = editor.make("BiasGelu", (side[0], bias), gelu.output[0], domain=MICROSOFT)
            editor.replace(gelu, [fused])
