"""Rows of attention: as ONNX Runtime's one operator with what leads to it, or that operator taken apart again.

Only what has no cache is fused: from the product that queries, keys and values are cut from, over their rotation, to
the heads side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from vljepa_export.constants.elements import Compared, same_bits
from vljepa_export.constants.patterns import Found, Match, Row

__all__ = ["FUSED", "TAKEN_APART"]

HIDING = -1000.0  # added to a score, nothing is left of it
HEADS_FIRST, TURNED = "<perm = [0, 2, 1, 3]>", "<perm = [0, 1, 3, 2]>"
MHA = "com.microsoft.MultiHeadAttention <num_heads: int = @heads, scale: float = @scale>"

# A pair each: what the float graph has, what is written.
BIAS = {
    "": ("product = MatMul (x, w)", "both = MatMul (x, w_turning) value = MatMul (x, w_values)"),
    "biased": (
        "unbiased = MatMul (x, w) product = Add (unbiased, b)",
        (
            "left = MatMul (x, w_turning) both = Add (left, b_turning) "
            "right = MatMul (x, w_values) value = Add (right, b_values)"
        ),
    ),
}
CUT = "view = Reshape (product, parts_shape) raw, v = Split <axis = 2> (view, parts)"
NORM = {
    "": ("raw", "", "both", ""),
    "normed": (
        "turning",
        (
            "two = Constant <value = float {2}> () last = Constant <value = int64[1] {-1}> () squares = Pow (raw, two) "
            "mean = ReduceMean (squares, last) safe = Add (mean, epsilon) root = Sqrt (safe) unit = Div (raw, root) "
            "turning = Mul (unit, head_scale)"
        ),
        "normed",
        (
            "heads_apart = Reshape (both, heads_shape) "
            "units = SimplifiedLayerNormalization <axis = -1, epsilon: float = @step, stash_type = 1> "
            "(heads_apart, ones) "
            "scaled = Mul (units, head_scale) normed = Reshape (scaled, wide_shape)"
        ),
    ),
}
ROTATED = (
    "a, c = Split <axis = 3, num_outputs = 2> ({raw}) straight = Mul ({raw}, cos) swapped = Concat <axis = -1> (c, a) "
    "crossed = Mul (swapped, sin) turned = Add (straight, crossed) q, k = Split <axis = 2> (turned, heads_parts)"
)
ANGLES = (
    "zero = Constant <value = int64[1] {0}> () row = Mul (positions, frequencies) angles = Unsqueeze (row, zero) "
    "early, late = Split <axis = 2, num_outputs = 2> (angles)"
)
ROTATION = {
    "halves": (
        "",
        (
            "spread_cos = Expand (cos, spread) cosines = Reshape (spread_cos, wide_shape) "
            "spread_sin = Expand (sin, spread) sines = Reshape (spread_sin, wide_shape) "
            "apart = Reshape ({both}, halves_shape) "
            "flipped = Slice (apart, backwards, to_start, halves_axis, backwards) "
            "flat_flipped = Reshape (flipped, wide_shape) straight = Mul ({both}, cosines) "
            "crossed = Mul (flat_flipped, sines) turned = Add (straight, crossed)"
        ),
    ),
    "one": (
        (
            f"{ANGLES} before = Constant <value = int64[1] {{-2}}> () low = Sin (early) negative = Neg (low) "
            "high = Sin (late) sine = Concat <axis = -1> (negative, high) cosine = Cos (angles) "
            "cos = Unsqueeze (cosine, before) sin = Unsqueeze (sine, before)"
        ),
        (
            f"{ANGLES} c = Cos (late) cosines = Reshape (c, half_shape) s = Sin (late) sines = Reshape (s, half_shape) "
            "turned = com.microsoft.RotaryEmbedding <num_heads: int = @turning, rotary_embedding_dim: int = @width, "
            "interleaved = 0> ({both}, zero, cosines, sines)"
        ),
    ),
}
HIDDEN = {
    "": ("", "scores", "", ""),
    "padding": (
        (
            "one = Constant <value = float {1}> () axes = Constant <value = int64[2] {1, 2}> () rest = Sub (one, mask) "
            "low_scores = Mul (rest, hidden) bias = Unsqueeze (low_scores, axes) biased = Add (scores, bias)"
        ),
        "biased",
        (
            "row_axis = Constant <value = int64[1] {1}> () seen = Cast <to = 9> (mask) ones_of = Cast <to = 6> (seen) "
            "lengths = ReduceSum <keepdims = 0> (ones_of, row_axis)"
        ),
        ", , lengths",
    ),
    "pairs": ("biased = Add (scores, bias)", "biased", "", ", , , bias"),
}
SCORES = (
    f"scaled = Mul ({{q}}, scale) columns = Transpose {TURNED} ({{k}}) scores = MatMul (scaled, columns) {{hidden}} "
    "weights = Softmax <axis = -1> ({biased}) mixed = MatMul (weights, {v})"
)
FIRST = " ".join(f"{name}t = Transpose {HEADS_FIRST} ({name})" for name in "qkv")
REPEATED = " ".join(
    f"{name}u = Unsqueeze ({name}t, repeat_axis) {name}e = Expand ({name}u, repeats) {name}r = Reshape ({name}e, long)"
    for name in "kv"
)
END = f"back = Transpose {HEADS_FIRST} ({{mixed}}) y = Reshape (back, flat_shape)"
ONE_NODE = (
    "flat_q = Reshape (q, flat_shape) flat_k = Reshape (k, flat_shape) flat_v = Reshape (v, flat_shape) "
    f"mixed = {MHA} (flat_q, flat_k, flat_v)"
)
HEADS = {  # keys and values of a group of heads: each for one, for stacked queries, repeated; one node already
    "single": (FIRST, ("qt", "kt", "vt"), END.format(mixed="mixed")),
    "stacked": (
        f"{FIRST} stack = Reshape (qt, stacked)",
        ("stack", "kt", "vt"),
        "unstacked = Reshape (mixed, heads_stacked) " + END.format(mixed="unstacked"),
    ),
    "repeated": (f"{FIRST} {REPEATED}", ("qt", "kr", "vr"), END.format(mixed="mixed")),
}
SPREAD = " ".join(
    f"{name}_apart = Reshape ({tensor}, group_shape) {name}_wide = Expand ({name}_apart, group_repeats) "
    f"{name}_flat = Reshape ({name}_wide, flat_shape)"
    for name, tensor in (("key", "wk"), ("values", "value"))
)


def _fused() -> Iterator[Row]:
    for bias, norm, rotation, hidden, heads in product(
        BIAS.values(), NORM.values(), ROTATION.values(), HIDDEN.values(), (*HEADS, "node")
    ):
        if heads == "node" and hidden[0]:
            continue  # the exporter makes one node of what hides nothing
        raw, norm_floats, both, norm_written = norm
        mask, biased, lengths, inputs = hidden
        if heads == "node":
            attended = (
                f"{ONE_NODE} heads_apart = Reshape (mixed, apart_shape) y = Reshape (heads_apart, flat_shape)"
            )
        else:
            before, (q, k, v), end = HEADS[heads]
            attended = f"{before} {SCORES.format(q=q, k=k, v=v, hidden=mask, biased=biased)} {end}"
        floats = (bias[0], CUT, norm_floats, rotation[0], ROTATED.format(raw=raw), attended)
        for grouped in {"single": (False,), "node": (False,)}.get(heads, (True,)):
            keys, values = ("key_flat", "values_flat") if grouped else ("wk", "value")
            written = (
                bias[1], norm_written, rotation[1].replace("{both}", both),
                "wq, wk = Split <axis = 2> (turned, flat_parts)", SPREAD if grouped else "", lengths,
                f"y = {MHA} (wq, {keys}, {values}{inputs})",
            )  # fmt: skip
            yield Row(floats=" ".join(floats), written=" ".join(written), rule=_same_heads, quantised=False)


def _same_heads(match: Match) -> Iterator[Found]:
    """Pieces of the product, and every size, which follow from how many heads there are of which width."""
    heads, groups = (int(size) for size in match.floats["heads_parts"])
    width = int(match.floats["parts_shape"][-1])
    cut = (heads + groups) * width
    for name, whole in (("w", "w"), ("b", "b")):
        if whole in match.floats:
            value = match.floats[whole]
            yield f"{name}_turning", same_bits(value[..., :cut], match.written[f"{name}_turning"])
            yield f"{name}_values", same_bits(value[..., cut:], match.written[f"{name}_values"])
    meant = _sizes(heads, groups, width)
    for side in (match.floats, match.written):
        for name in side.keys() & meant.keys():
            yield name, same_bits(np.array(meant[name], np.int64), side[name])
    yield from _numbers(match, {"heads": heads, "turning": heads + groups, "width": width})


def _numbers(match: Match, meant: Mapping[str, int]) -> Iterator[Found]:
    """What is an attribute on one side."""
    for name in meant.keys() & match.attributes.keys():
        if match.attributes[name] != meant[name]:
            fault = f"expected {name} = {meant[name]} in the attention, got {match.attributes[name]}"
            yield "y", Compared(values=0, fault=fault)
    if "scale" in match.floats:
        yield "scale", same_bits(match.floats["scale"], np.array(match.attributes["scale"], np.float32))
    if "epsilon" in match.floats:
        yield "epsilon", same_bits(match.floats["epsilon"], np.array(match.attributes["step"], np.float32))
    if "ones" in match.written:
        yield "ones", same_bits(np.ones(meant["width"], np.float32), match.written["ones"])
    if "hidden" in match.floats and not np.all(match.floats["hidden"] <= HIDING):
        yield "hidden", Compared(values=1, fault=f"expected at most {HIDING} for what a length hides")
    if "frequencies" in match.floats:
        early, late = np.split(match.floats["frequencies"], 2)
        yield "frequencies", same_bits(early, late)


def _sizes(heads: int, groups: int, width: int) -> Mapping[str, Sequence[int]]:
    turning, flat = heads + groups, heads * width
    return {
        "parts_shape": (0, 0, turning + groups, width), "parts": (turning, groups), "spread": (1, 1, turning, 1),
        "wide_shape": (0, 0, turning * width), "halves_shape": (0, 0, turning, 2, width // 2),
        "half_shape": (-1, width // 2), "heads_shape": (0, 0, turning, width), "flat_parts": (flat, groups * width),
        "group_shape": (0, 0, groups, 1, width), "group_repeats": (1, 1, 1, heads // groups, 1),
        "flat_shape": (0, 0, flat), "stacked": (0, groups, -1, width), "heads_stacked": (0, heads, -1, width),
        "apart_shape": (0, 0, heads, width), "backwards": (-1,), "to_start": (np.iinfo(np.int64).min,),
        "halves_axis": (3,), "repeat_axis": (2,),
    }  # fmt: skip


def _same_scale(match: Match) -> Iterator[Found]:
    """Of the scores."""
    yield "scale", same_bits(np.array(match.attributes["scale"], np.float32), match.written["scale"])


FUSED = tuple(_fused())
"""One node for all of it."""
TAKEN_APART = (
    Row(
        floats=f"{ONE_NODE} y = Reshape (mixed, apart_shape)",
        written=f"{FIRST} {SCORES.format(q='qt', k='kt', v='vt', hidden='', biased='scores')} "
        f"y = Transpose {HEADS_FIRST} (mixed)",
        rule=_same_scale,
        quantised=False,
    ),
)
"""Where the float bundle has fused attention over many tokens, and a format has none."""
