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
HIDDEN = {  # what makes the bias, what counts lengths instead, and where the node gets them
    "": ("", "", ""),
    "padding": (
        (
            "one = Constant <value = float {1}> () axes = Constant <value = int64[2] {1, 2}> () rest = Sub (one, mask) "
            "low_scores = Mul (rest, hidden) bias = Unsqueeze (low_scores, axes)"
        ),
        (
            "row_axis = Constant <value = int64[1] {1}> () seen = Cast <to = 9> (mask) ones_of = Cast <to = 6> (seen) "
            "lengths = ReduceSum <keepdims = 0> (ones_of, row_axis)"
        ),
        ", , lengths",
    ),
    "pairs": ("", "", ", , , bias"),
}
ADDED = "biased = Add (scores, bias)"
SCORES = (
    f"scaled = Mul ({{q}}, scale) columns = Transpose {TURNED} ({{k}}) scores = MatMul (scaled, columns) {{hidden}} "
    "weights = Softmax <axis = -1> ({biased}) mixed = MatMul (weights, {v})"
)
FIRST = " ".join(f"{name}t = Transpose {HEADS_FIRST} ({name})" for name in "qkv")
REPEATED = " ".join(
    f"{name}u = Unsqueeze ({name}t, repeat_axis) {name}e = Expand ({name}u, repeats) {name}r = Reshape ({name}e, long)"
    for name in "kv"
)
LONGER = (  # a bias of padding as one dimension more of queries and keys
    "one_more = Constant <value = float {1}> () longer_q = Pad (q, one_at_the_end, one_more) "
    "turned_bias = Reshape (bias, column_shape) unscaled = Mul (turned_bias, inverse) "
    "column = Expand (unscaled, column_repeats) longer_k = Concat <axis = -1> (k, column)"
)


def _flat(name: str, source: str, *, shape: str, group_shape: str) -> str:
    """Heads side by side; those of groups are repeated first."""
    if not group_shape:
        return f"flat_{name} = Reshape ({source}, {shape})"
    return (
        f"{name}_apart = Reshape ({source}, {group_shape}) {name}_wide = Expand ({name}_apart, group_repeats) "
        f"flat_{name} = Reshape ({name}_wide, {shape})"
    )


def _one_node(*, grouped: bool, hidden: str) -> str:
    longer, long = ("longer_", "long_shape") if hidden else ("", "flat_shape")
    long_groups, groups = (f"{'long_' if hidden else ''}group_shape", "group_shape") if grouped else ("", "")
    return (
        f"{hidden and LONGER} flat_q = Reshape ({longer}q, {long}) "
        f"{_flat('k', f'{longer}k', shape=long, group_shape=long_groups)} "
        f"{_flat('v', 'v', shape='flat_shape', group_shape=groups)} mixed = {MHA} (flat_q, flat_k, flat_v)"
    )


ONE_NODE = {  # by whether keys and values are of groups, and what is hidden
    (grouped, hidden): _one_node(grouped=grouped, hidden=hidden)
    for grouped in (False, True)
    for hidden in ("", "padding")
}
END = f"back = Transpose {HEADS_FIRST} ({{mixed}})"
HEADS = {  # keys and values of a group of heads: each for one, for stacked queries, repeated
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
    for bias, norm, rotation, (hiding, attended, grouped) in product(
        BIAS.values(), NORM.values(), ROTATION.values(), _attended()
    ):
        raw, norm_floats, both, norm_written = norm
        mask, lengths, inputs = HIDDEN[hiding]
        ended = f"{mask} {attended} y = Reshape (back, flat_shape)"
        floats = (bias[0], CUT, norm_floats, rotation[0], ROTATED.format(raw=raw), ended)
        keys, values = ("key_flat", "values_flat") if grouped else ("wk", "value")
        written = (
            bias[1], norm_written, rotation[1].replace("{both}", both),
            "wq, wk = Split <axis = 2> (turned, flat_parts)", SPREAD if grouped else "", lengths,
            f"y = {MHA} (wq, {keys}, {values}{inputs})",
        )  # fmt: skip
        yield Row(floats=" ".join(floats), written=" ".join(written), rule=_same_heads, quantised=False)


def _attended() -> Iterator[tuple[str, str, bool]]:
    """What is hidden, nodes that make `back` of `q`, `k` and `v`, whether keys and values are of groups of heads."""
    for hiding, heads in product(HIDDEN, HEADS):
        yield hiding, _plain(heads, hiding), heads != "single"
    for (grouped, hidden), one in ONE_NODE.items():
        yield hidden, f"{one} back = Reshape (mixed, apart_shape)", grouped


def _plain(heads: str, hiding: str) -> str:
    """From queries, keys and values to the heads `back` where they were, in plain operators."""
    before, (q, k, v), after = HEADS[heads]
    added, biased = (ADDED, "biased") if hiding else ("", "scores")
    return f"{before} {SCORES.format(q=q, k=k, v=v, hidden=added, biased=biased)} {after}"


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
    yield from _undone_scale(match)
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
        "halves_axis": (3,), "repeat_axis": (2,), "long_shape": (0, 0, heads * (width + 1)),
        "long_group_shape": (0, 0, groups, 1, width + 1), "column_shape": (0, -1, 1, 1),
        "column_repeats": (1, 1, groups, 1), "one_at_the_end": (0, 0, 0, 0, 0, 0, 0, 1),
    }  # fmt: skip


def _same_sizes(match: Match) -> Iterator[Found]:
    """Every size and the scale, which follow from how many heads there are of which width."""
    heads, width = int(str(match.attributes["heads"])), int(match.floats["apart_shape"][-1])
    groups = int(match.floats["group_shape"][2]) if "group_shape" in match.floats else heads
    meant = _sizes(heads, groups, width)
    for side in (match.floats, match.written):
        for name in side.keys() & meant.keys():
            yield name, same_bits(np.array(meant[name], np.int64), side[name])
    scale = np.array(match.attributes["scale"], np.float32)
    yield "scale", same_bits(scale, match.written["scale"])
    yield from _undone_scale(match)


def _undone_scale(match: Match) -> Iterator[Found]:
    """What a bias in the keys is multiplied by, since its score will be scaled."""
    if "inverse" in match.floats:
        inverse = np.asarray(1 / np.array(match.attributes["scale"], np.float32), np.float32)
        yield "inverse", same_bits(inverse, match.floats["inverse"])


FUSED = tuple(_fused())
"""One node for all of it."""
TAKEN_APART = tuple(
    Row(
        floats=f"{one} y = Reshape (mixed, apart_shape)",
        written=_plain(heads, hidden).replace("back = ", "y = "),
        rule=_same_sizes,
        quantised=False,
    )
    for (grouped, hidden), one in ONE_NODE.items()
    for heads in (("stacked", "repeated") if grouped else ("single",))
)
"""Where the float bundle has fused attention over many tokens, and a format has none."""
