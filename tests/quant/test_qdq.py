"""Symmetric Q/DQ in every precision, against ONNX's reference evaluator, and the calibrator."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from vljepa_quant import QuantError, precisions_of  # noqa: E402
from vljepa_quant.calibration import Magnitudes, calibrate  # noqa: E402
from vljepa_quant.half import to_half  # noqa: E402
from vljepa_quant.qdq import quantise_matrix, quantise_qdq, quantised_inputs  # noqa: E402

ROWS = {name: row for name, row in precisions_of("tensorrt").items() if row.method}
RNG = np.random.default_rng(0)
W1 = RNG.standard_normal((64, 128)).astype(np.float32)
W2 = RNG.standard_normal((64, 128)).astype(np.float32)
BIAS = RNG.standard_normal(64).astype(np.float32)
X = RNG.standard_normal((16, 64)).astype(np.float32)
# Error over signal of two layers: steps of 8 bits, a mantissa of 3 bits, steps of 4 bits.
TOLERANCE = {"int8": 0.02, "fp8": 0.06, "int4": 0.2}


def mlp(*, pixels: bool = False, table: bool = False):
    """MatMul, Gelu, Gemm with a bias."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        helper.make_node("Gelu", ["h"], ["g"]),
        helper.make_node("Gemm", ["g", "w2", "b"], ["y"], transB=1),
    ]
    given = [("x", TensorProto.FLOAT, ["B", 64])]
    outputs = [("y", TensorProto.FLOAT, ["B", 64])]
    if pixels:
        nodes.insert(0, helper.make_node("Cast", ["p"], ["x"], to=TensorProto.FLOAT))
        given = [("p", TensorProto.UINT8, ["B", 64])]
    if table:
        nodes.append(helper.make_node("Gather", ["w1", "ids"], ["e"]))
        given.append(("ids", TensorProto.INT32, ["B"]))
        outputs.append(("e", TensorProto.FLOAT, ["B", 128]))
    infos = [[helper.make_tensor_value_info(*spec) for spec in side] for side in (given, outputs)]
    constants = {"w1": W1, "w2": W2, "b": BIAS}
    graph = helper.make_graph(
        nodes, "g", *infos, initializer=[numpy_helper.from_array(v, k) for k, v in constants.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def kinds_of(model) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", ROWS)
def test_values_stay_near(name: str, half: bool) -> None:
    model, row = mlp(), ROWS[name]
    scales = (
        calibrate(model, quantised_inputs(model), [{"x": X}], row.weights.dtype) if row.calibrated else {}
    )
    small = quantise_qdq(model, row, scales)
    small = to_half(small) if half else small
    onnx.checker.check_model(small, full_check=True)
    assert list(small.graph.input) == list(model.graph.input)
    assert list(small.graph.output) == list(model.graph.output)
    want, got = (ReferenceEvaluator(each).run(None, {"x": X})[0] for each in (model, small))
    assert np.linalg.norm(got - want) / np.linalg.norm(want) < TOLERANCE[name]


@pytest.mark.parametrize("name", ROWS)
def test_weights_are_stored_small_and_symmetric(name: str) -> None:
    small = quantise_qdq(mlp(), ROWS[name], dict.fromkeys(("x", "g"), 0.05))
    weights = [
        item
        for item in small.graph.initializer
        if numpy_helper.to_array(item).size > 1000 and item.data_type != TensorProto.FLOAT
    ]
    assert len(weights) == 2
    bits = {"int8": 8, "fp8": 8, "int4": 4}[name]
    assert all(8 * len(item.raw_data) == bits * W1.size for item in weights)
    zeros = [numpy_helper.to_array(item) for item in small.graph.initializer if item.name.endswith("_zero")]
    assert all(not np.any(zero.astype(np.float32)) for zero in zeros)


def test_no_pair_stands_between_a_product_and_its_gelu() -> None:
    small = quantise_qdq(mlp(), ROWS["int8"], dict.fromkeys(("x", "g"), 0.05))
    readers = {node.input[0]: node.op_type for node in small.graph.node}
    assert readers["h"] == "Gelu"
    assert readers["g"] == "QuantizeLinear"
    assert kinds_of(small).count("QuantizeLinear") == 2
    assert "Gemm" not in kinds_of(small)


def test_an_input_without_a_step_stays_float_with_a_small_weight() -> None:
    small = quantise_qdq(mlp(), ROWS["int8"], {"x": 0.05})
    assert kinds_of(small).count("QuantizeLinear") == 1
    assert kinds_of(small).count("DequantizeLinear") == 3


@pytest.mark.parametrize(("options", "products"), [({"pixels": True}, 1), ({"table": True}, 1)])
def test_pixels_and_token_tables_stay_float(options: dict[str, bool], products: int) -> None:
    model = mlp(**options)
    assert quantised_inputs(model) == ("g",)
    small = quantise_qdq(model, ROWS["int8"], {"g": 0.05})
    assert kinds_of(small).count("QuantizeLinear") == products


def test_what_a_block_does_not_divide_is_left() -> None:
    model = mlp()
    odd = W1[:, :100]
    for item in model.graph.initializer:
        if item.name in ("w1", "w2"):
            item.CopyFrom(numpy_helper.from_array(odd, item.name))
    small = quantise_qdq(model, ROWS["int4"])  # w1 has 64 rows, w2 turned has 100
    assert kinds_of(small).count("DequantizeLinear") == 1


def test_steps_are_exact_in_float16() -> None:
    for row in ROWS.values():
        stored, steps = quantise_matrix(W1, row.weights)
        assert np.array_equal(steps, steps.astype(np.float16).astype(np.float32))
        assert stored.shape == W1.shape
    assert np.all(quantise_matrix(np.zeros_like(W1), ROWS["int8"].weights)[1] > 0)


@pytest.mark.parametrize(("scales", "message"), [({"x": 0.0}, "x: expected a step above 0")])
def test_a_step_of_zero_is_refused(scales: dict[str, float], message: str) -> None:
    with pytest.raises(QuantError, match=message):
        quantise_qdq(mlp(), ROWS["int8"], scales)


def test_nothing_to_quantise_is_refused() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 4]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "empty", infos[:1], infos[1:]))
    with pytest.raises(QuantError, match="empty: no linear layer fits int8"):
        quantise_qdq(model, ROWS["int8"])


def test_the_clipping_point_beats_the_largest_value() -> None:
    """Against a plain search over the values themselves."""
    values = np.append(RNG.standard_normal(100_000), 40.0).astype(np.float32)

    def error(point: float) -> float:
        step = point / 127
        return float(np.square(np.clip(np.rint(values / step), -127, 127) * step - values).sum())

    seen = Magnitudes()
    seen.add(values)
    point = seen.clipping_point(127)
    best = min(np.linspace(1, 40, 400), key=error)
    assert point < 35
    assert error(point) <= 1.05 * error(best)


def test_magnitudes_grow_with_what_they_see() -> None:
    seen = Magnitudes()
    for scale in (1.0, 8.0, 0.1):
        seen.add(RNG.standard_normal(1000) * scale)
    assert seen.counts is not None
    assert seen.counts.sum() == 3000
    assert seen.share_below(seen.top) == 1.0
    assert seen.share_below(0.0) == 0.0


def test_an_activation_that_would_vanish_gets_no_step() -> None:
    """One value in a thousand is 1,000 times larger, as after SwiGLU."""
    x = X.copy()
    x[0, 0] = 4000.0
    model = mlp()
    assert "x" not in calibrate(model, ["x", "g"], [{"x": x}], "int8")
    assert "x" in calibrate(model, ["x", "g"], [{"x": x}], "float8_e4m3fn")


@pytest.mark.parametrize(
    ("samples", "message"),
    [([], "at least one calibration input"), ([{"x": np.full((1, 64), np.nan, np.float32)}], "finite")],
)
def test_useless_samples_are_refused(samples: list[dict[str, np.ndarray]], message: str) -> None:
    with pytest.raises(QuantError, match=message):
        calibrate(mlp(), ["x"], samples, "int8")
