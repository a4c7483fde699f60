"""Sums of 8-bit products that are not cut off, on every graph that ONNX Runtime can run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_runtime.engines.session_options import session_options, sums_are_cut_off
from vljepa_runtime.graphs.onnx_file import read_onnx

WIDTH = 64
PRODUCT = """
    quantised{0}, step{0}, zero{0} = DynamicQuantizeLinear ({1})
    sums{0} = MatMulInteger (quantised{0}, {2}, zero{0})
    out{0} = Cast <to = 1> (sums{0})
"""
TWICE = PRODUCT.format(1, "x", "weights") + PRODUCT.format(2, "out1", "{}") + "y = Identity (out2)"
RESTORED = "floats = DequantizeLinear <axis = 1> (weights, steps) y = MatMul (x, floats)"
GRAPHS = {
    "each layer has its own weights": (TWICE.format("others"), 127),
    "two layers share weights": (TWICE.format("weights"), 60),  # so small that no pair of products is cut off
    "weights are restored without zero points": (RESTORED, 127),
}


@pytest.mark.parametrize(("body", "largest"), GRAPHS.values(), ids=GRAPHS)
def test_sums_are_those_of_onnx(body: str, largest: int) -> None:
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from onnx.reference import ReferenceEvaluator

    if largest == 127 and sums_are_cut_off():
        pytest.skip("this ONNX Runtime cuts sums off on this processor")
    head = f'<ir_version: 10, opset_import: ["" : 21]> g (float[4, {WIDTH}] x) => (float[4, {WIDTH}] y)'
    model = onnx.parser.parse_model(f"{head} {{ {body} }}")
    draw = np.random.default_rng(0)
    for name in ("weights", "others"):
        model.graph.initializer.append(onnx.numpy_helper.from_array(integers(draw, largest), name))
    steps = draw.uniform(0.01, 0.02, WIDTH).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(steps, "steps"))
    content = model.SerializeToString()
    options = session_options(1, read_onnx(memoryview(content), {}))
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    x = draw.normal(size=(4, WIDTH)).astype(np.float32)
    expected: Any = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(
        session.run(None, {"x": x})[0], expected, rtol=0, atol=0.02 * np.abs(expected).max()
    )


def integers(draw: np.random.Generator, largest: int) -> npt.NDArray[np.int8]:
    return draw.integers(-largest, largest + 1, (WIDTH, WIDTH)).astype(np.int8)
