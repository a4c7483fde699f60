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


def faults(written: str) -> tuple[str, ...]:
    rows = rows_of(FP32)
    assert rows is not None
    graphs = []
    for text in (HEAD + FUSED, written):
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
