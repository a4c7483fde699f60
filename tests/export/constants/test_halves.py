"""Gate and up of a large text block are two products in int8, judged beside the one they are in the float graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from vljepa_export.constants.methods import rows_of
from vljepa_export.constants.onnx_graph import OnnxGraph
from vljepa_export.constants.walk import walk_together
from vljepa_quant import int8, precisions_of

INT8 = precisions_of("onnx")["int8"]
X = np.random.default_rng(0).standard_normal((1, 5, 12)).astype(np.float32)
GATED = """
<ir_version: 10, opset_import: ["": 20]>
gated (float[B, N, 12] x) => (float[B, N, 8] y) {
    both = MatMul (x, w)
    gate, up = Split <axis = AXIS, num_outputs = 2> (both)
    near = Sigmoid (gate)
    y = Mul (near, up)
}"""


def gated(axis: int = 2) -> onnx.ModelProto:
    model = onnx.parser.parse_model(GATED.replace("AXIS", str(axis)))
    weight = np.random.default_rng(1).standard_normal((12, 16)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


def faults(written: onnx.ModelProto, meant: onnx.ModelProto | None = None) -> tuple[str, ...]:
    rows = rows_of(INT8)
    assert rows is not None
    contents = [model.SerializeToString() for model in (meant or gated(), written)]
    graphs = [
        OnnxGraph("gated.onnx", lambda file, content=content: memoryview(content)) for content in contents
    ]
    return walk_together("gated", *graphs, rows, INT8).faults


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    monkeypatch.setattr(int8, "WIDE", 12 * 16)
    return INT8.apply(gated())


def test_only_large_matrices_are_cut(halves: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for model, products in ((halves, 2), (INT8.apply(gated()), 1)):
        kinds = [node.op_type for node in model.graph.node]
        assert kinds.count("MatMulInteger") == products
        assert kinds.count("DynamicQuantizeLinear") == 1  # both halves read one activation
        assert kinds.count("Split") == 2 - products
        (wanted,), (found,) = (ReferenceEvaluator(each).run(None, {"x": X}) for each in (gated(), model))
        np.testing.assert_allclose(found, wanted, atol=0.1)


def test_halves_are_what_was_meant(halves: onnx.ModelProto) -> None:
    assert faults(halves) == ()


def test_exchanged_halves_are_named(halves: onnx.ModelProto) -> None:
    products = [node for node in halves.graph.node if node.op_type == "MatMulInteger"]
    first, second = (node.input[1] for node in products)
    products[0].input[1], products[1].input[1] = second, first
    assert any("w.0.int8" in fault for fault in faults(halves))


def test_a_cut_along_another_axis_is_named(halves: onnx.ModelProto) -> None:
    assert any("expected the last axis to be cut" in fault for fault in faults(halves, gated(axis=1)))
