"""A float bundle of many tokens has fused attention; formats that have none are judged beside it all the same."""

from __future__ import annotations

import onnx
import pytest

from vljepa_export.constants.methods import rows_of
from vljepa_export.constants.onnx_graph import OnnxGraph
from vljepa_export.constants.walk import walk_together
from vljepa_quant import precisions_of

FP32 = precisions_of("tensorrt")["fp32"]
HEAD = """
<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
heads (float[B, N, 3, 8] q, float[B, N, 3, 8] k, float[B, N, 3, 8] v) => (float[B, N, 3, 8] y)
<int64[3] flat = {0, 0, 24}, int64[4] apart = {0, 0, 3, 8}, float scale = {0.25}>
"""
FUSED = """{
    a = Reshape (q, flat) b = Reshape (k, flat) c = Reshape (v, flat)
    mixed = com.microsoft.MultiHeadAttention <num_heads = 3, scale = 0.25> (a, b, c)
    y = Reshape (mixed, apart)
}"""
PLAIN = """{
    a = Transpose <perm = [0, 2, 1, 3]> (q)
    b = Transpose <perm = [0, 2, 1, 3]> (k)
    c = Transpose <perm = [0, 2, 1, 3]> (v)
    scaled = Mul (a, scale)
    turned = Transpose <perm = [0, 1, 3, 2]> (b)
    scores = MatMul (scaled, turned)
    weights = Softmax <axis = -1> (scores)
    mixed = MatMul (weights, c)
    y = Transpose <perm = [0, 2, 1, 3]> (mixed)
}"""


PADDED_HEAD = """
<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
heads (float[B, N, 4, 8] q, float[B, N, 2, 8] k, float[B, N, 2, 8] v, float[B, 1, 1, N] bias)
=> (float[B, N, 4, 8] y)
<float one = {1}, int64[8] ends = {0, 0, 0, 0, 0, 0, 0, 1}, int64[4] column = {0, -1, 1, 1}, float inverse = {4},
 int64[4] each = {1, 1, 2, 1}, int64[3] long = {0, 0, 36}, int64[3] flat = {0, 0, 32},
 int64[5] long_groups = {0, 0, 2, 1, 9}, int64[5] groups = {0, 0, 2, 1, 8}, int64[5] repeats = {1, 1, 1, 2, 1},
 int64[4] apart = {0, 0, 4, 8}, int64[4] stacked = {0, 2, -1, 8}, int64[4] unstacked = {0, 4, -1, 8},
 float scale = {0.25}>
"""
PADDED = """{
    longer_q = Pad (q, ends, one) a = Reshape (longer_q, long)
    rows = Reshape (bias, column) unscaled = Mul (rows, inverse) biases = Expand (unscaled, each)
    longer_k = Concat <axis = -1> (k, biases)
    b1 = Reshape (longer_k, long_groups) b2 = Expand (b1, repeats) b = Reshape (b2, long)
    c1 = Reshape (v, groups) c2 = Expand (c1, repeats) c = Reshape (c2, flat)
    mixed = com.microsoft.MultiHeadAttention <num_heads = 4, scale = 0.25> (a, b, c)
    y = Reshape (mixed, apart)
}"""
STACKED = """{
    a = Transpose <perm = [0, 2, 1, 3]> (q)
    b = Transpose <perm = [0, 2, 1, 3]> (k)
    c = Transpose <perm = [0, 2, 1, 3]> (v)
    below = Reshape (a, stacked)
    scaled = Mul (below, scale)
    turned = Transpose <perm = [0, 1, 3, 2]> (b)
    scores = MatMul (scaled, turned)
    padded = Add (scores, bias)
    weights = Softmax <axis = -1> (padded)
    mixed = MatMul (weights, c)
    beside = Reshape (mixed, unstacked)
    y = Transpose <perm = [0, 2, 1, 3]> (beside)
}"""


def faults(written: str, meant: str = HEAD + FUSED) -> tuple[str, ...]:
    rows = rows_of(FP32)
    assert rows is not None
    graphs = []
    for text in (meant, written):
        content = onnx.parser.parse_model(text).SerializeToString()
        graphs.append(OnnxGraph("heads.onnx", lambda file, content=content: memoryview(content)))
    return walk_together("heads", *graphs, rows, FP32).faults


@pytest.mark.parametrize("written", [HEAD + PLAIN, HEAD + FUSED], ids=["plain", "fused"])
def test_both_forms_are_what_was_meant(written: str) -> None:
    assert faults(written) == ()


@pytest.mark.parametrize(
    ("what", "by", "told"),
    [
        ("scale = {0.25}", "scale = {0.5}", "scale: expected 0.25, got 0.5"),
        ("<axis = -1>", "<axis = 2>", "Softmax:weights: unexpected axis"),
        ("Mul (a, scale)", "Mul (b, scale)", "expected input q of the float graph"),
        ("(weights, c)", "(weights, b)", "expected input v of the float graph"),
    ],
)
def test_what_is_wrong_in_it_is_named(what: str, by: str, told: str) -> None:
    assert any(told in fault for fault in faults((HEAD + PLAIN).replace(what, by)))


@pytest.mark.parametrize("written", [STACKED, PADDED], ids=["plain", "fused"])
def test_padding_in_the_keys_is_what_was_meant(written: str) -> None:
    assert faults(PADDED_HEAD + written, PADDED_HEAD + PADDED) == ()


@pytest.mark.parametrize(
    ("what", "by", "told"),
    [
        ("scale = {0.25}", "scale = {0.5}", "scale: expected 0.25, got 0.5"),
        ("(scores, bias)", "(scores, scores)", "expected input bias of the float graph"),
        ("stacked = {0, 2, -1, 8}", "stacked = {0, 4, -1, 8}", "stacked: expected 2 at (1,), got 4"),
    ],
)
def test_what_is_wrong_in_plain_operators_is_named(what: str, by: str, told: str) -> None:
    found = faults((PADDED_HEAD + STACKED).replace(what, by), PADDED_HEAD + PADDED)
    assert any(told in fault for fault in found), found


def test_a_scale_that_the_keys_do_not_undo_is_named() -> None:
    wrong = PADDED_HEAD.replace("inverse = {4}", "inverse = {2}")
    assert any("inverse: expected 4" in fault for fault in faults(wrong + STACKED, wrong + PADDED))
