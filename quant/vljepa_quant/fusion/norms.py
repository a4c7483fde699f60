"""Norms as one node, together with the residual sum and the bias in front of them.

Kernels for float16 and bfloat16 sum in float32 inside (on CUDA where the session says
`enable_skip_layer_norm_strict_mode`), so no cast is needed around them.
"""

from __future__ import annotations

import numpy as np
import onnx

from vljepa_quant.fusion.matching import MICROSOFT, constant_side, made_by, only_reader
from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["fuse_residuals", "fuse_rms_norms"]

LAYER_NORM, RMS_NORM = "LayerNormalization", "SimplifiedLayerNormalization"
SKIP = {LAYER_NORM: "SkipLayerNormalization", RMS_NORM: "SkipSimplifiedLayerNormalization"}


def fuse_rms_norms(editor: GraphEditor) -> None:
    """Pow, ReduceMean, Add, Sqrt, Div and Mul as SimplifiedLayerNormalization, which ONNX Runtime has beside ONNX's."""
    for divide in editor.of_type("Div"):
        found, scaled = _root(editor, divide), only_reader(editor, divide.output[0], "Mul")
        side = constant_side(editor, scaled) if scaled is not None else None
        if found is None or scaled is None or side is None:
            continue
        x, epsilon = found
        scale, out = side[1], scaled.output[0]
        apart = scale.ndim > 1  # one scale a head: the norm has none of its own
        weight = np.ones(scale.shape[-1], np.float32) if apart else scale
        normed = editor.fresh(f"{out}_normed") if apart else out
        names = [name for name in scaled.input if name in editor.constants]
        nodes = [
            editor.make(
                RMS_NORM, (x, editor.constant("ones", weight) if apart else names[0]), normed,
                axis=-1, epsilon=epsilon, stash_type=1,
            )
        ]  # fmt: skip
        if apart:
            nodes.append(editor.make("Mul", (normed, names[0]), out))
        editor.replace(scaled, nodes)


def _root(editor: GraphEditor, divide: onnx.NodeProto) -> tuple[str, float] | None:
    """`x` and epsilon of `x / sqrt(mean(x ** 2) + epsilon)`."""
    x, root = divide.input
    safe = made_by(editor, root, "Sqrt")
    added = made_by(editor, safe.input[0], "Add") if safe is not None else None
    side = constant_side(editor, added) if added is not None else None
    mean = made_by(editor, side[0], "ReduceMean") if side is not None else None
    square = made_by(editor, mean.input[0], "Pow") if mean is not None else None
    if side is None or square is None or square.input[0] != x:
        return None
    return x, float(side[1])


def fuse_residuals(editor: GraphEditor) -> None:
    """The sum before a norm, and the bias of the product that is added, as one node with it."""
    for norm in editor.of_type(*SKIP):
        added = made_by(editor, norm.input[0], "Add")
        if added is None or any(name in editor.constants for name in added.input):
            continue
        skip, new = added.input
        bias = ""
        biased = made_by(editor, new, "Add")
        side = constant_side(editor, biased) if biased is not None else None
        if biased is not None and side is not None and side[1].ndim == 1 and only_reader(editor, new, "Add"):
            bias = next(name for name in biased.input if name in editor.constants)
            new = side[0]
        total = added.output[0]
        read = len(editor.consumers(total)) > 1 or total in editor.outputs
        outputs = [norm.output[0], "", "", total] if read else [norm.output[0]]
        inputs = [new, skip, *norm.input[1:], bias] if bias else [new, skip, *norm.input[1:]]
        epsilon = attributes(norm)["epsilon"]
        fused = editor.make(SKIP[norm.op_type], inputs, outputs, domain=MICROSOFT, epsilon=epsilon)
        editor.replace(added, [fused])
        editor.replace(norm, [])
