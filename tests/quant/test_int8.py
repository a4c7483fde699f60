from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from vljepa_quant import QuantError, precisions_of  # noqa: E402
from vljepa_quant.graph_editor import save_bytes  # noqa: E402
from vljepa_quant.int8 import quantise_rows  # noqa: E402

INT8 = precisions_of("onnx")["int8"]
RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((16, 8)).astype(np.float32)
TABLE = RNG.standard_normal((40, 16)).astype(np.float32)
BIAS = RNG.standard_normal(8).astype(np.float32)


def build(nodes, inputs, outputs, constants):
    infos = [[helper.make_tensor_value_info(*spec) for spec in side] for side in (inputs, outputs)]
    initialisers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", *infos, initializer=initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def linear(**constants):
    return build(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, ["B", 16])],
        [("y", TensorProto.FLOAT, ["B", 8])],
        {"w": MATRIX, **constants},
    )


def run(model, **feeds):
    return ReferenceEvaluator(model).run(None, feeds)[0]


def test_rows_are_within_half_a_step() -> None:
    rows, scales = quantise_rows(TABLE)
    assert rows.dtype == np.int8
    assert np.abs(rows).max() == 127
    assert np.all(np.abs(rows * scales[:, None] - TABLE) <= scales[:, None] / 2 + 1e-6)


def test_a_row_of_zeros_stays_zero() -> None:
    rows, scales = quantise_rows(np.zeros((2, 3), np.float32))
    assert not rows.any()
    assert np.all(scales == 1)


def test_matmul_becomes_uint8_times_int8() -> None:
    small = INT8.apply(linear())
    onnx.checker.check_model(small, full_check=True)
    assert [n.op_type for n in small.graph.node][:2] == ["DynamicQuantizeLinear", "MatMulInteger"]
    x = RNG.standard_normal((5, 16)).astype(np.float32)
    assert np.abs(run(small, x=x) - x @ MATRIX).max() < 0.15


@pytest.mark.parametrize("turned", [0, 1], ids=["plain", "transposed"])
def test_gemm_keeps_its_bias(turned: int) -> None:
    weight = np.ascontiguousarray(MATRIX.T) if turned else MATRIX
    model = build(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=turned)],
        [("x", TensorProto.FLOAT, ["B", 16])],
        [("y", TensorProto.FLOAT, ["B", 8])],
        {"w": weight, "b": BIAS},
    )
    x = RNG.standard_normal((5, 16)).astype(np.float32)
    assert np.abs(run(INT8.apply(model), x=x) - (x @ MATRIX + BIAS)).max() < 0.15


def test_pixels_need_no_quantising() -> None:
    model = build(
        [
            helper.make_node("Cast", ["p"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
        ],
        [("p", TensorProto.UINT8, ["B", 16])],
        [("y", TensorProto.FLOAT, ["B", 8])],
        {"w": MATRIX},
    )
    small = INT8.apply(model)
    assert "DynamicQuantizeLinear" not in {n.op_type for n in small.graph.node}
    p = RNG.integers(0, 256, (3, 16), dtype=np.uint8)
    rows, scales = quantise_rows(MATRIX.T)
    np.testing.assert_allclose(run(small, p=p), p.astype(np.float32) @ (rows * scales[:, None]).T, rtol=1e-5)


@pytest.mark.parametrize("tied", [False, True], ids=["table", "tied"])
def test_table_is_int8_per_row_and_stored_once(tied: bool) -> None:
    nodes = [helper.make_node("Gather", ["t", "ids"], ["e"], axis=0)]
    outputs = [("e", TensorProto.FLOAT, ["B", "L", 16])]
    inputs = [("ids", TensorProto.INT32, ["B", "L"])]
    if tied:
        nodes.append(helper.make_node("Gemm", ["x", "t"], ["y"], transB=1))
        inputs.append(("x", TensorProto.FLOAT, ["B", 16]))
        outputs.append(("y", TensorProto.FLOAT, ["B", 40]))
    small = INT8.apply(build(nodes, inputs, outputs, {"t": TABLE}))
    onnx.checker.check_model(small, full_check=True)
    ids = np.array([[0, 39, 7], [5, 5, 1]], np.int32)
    feeds = {"ids": ids, "x": np.ones((2, 16), np.float32)} if tied else {"ids": ids}
    rows, scales = quantise_rows(TABLE)
    np.testing.assert_allclose(run(small, **feeds), (rows * scales[:, None])[ids], rtol=1e-6)
    assert sum(item.data_type == TensorProto.INT8 for item in small.graph.initializer) == 1
    assert TABLE.size < sum(len(item.raw_data) for item in small.graph.initializer) < TABLE.nbytes / 2


def test_nothing_to_quantise_is_refused() -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "empty", value[:1], value[1:])
    with pytest.raises(QuantError, match="empty: no constant matrix"):
        INT8.apply(helper.make_model(graph))


def test_one_activation_read_twice_is_quantised_once() -> None:
    model = build(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("MatMul", ["x", "v"], ["z"])],
        [("x", TensorProto.FLOAT, ["B", 16])],
        [("y", TensorProto.FLOAT, ["B", 8]), ("z", TensorProto.FLOAT, ["B", 8])],
        {"w": MATRIX, "v": MATRIX * 2 + 1},
    )
    kinds = [n.op_type for n in INT8.apply(model).graph.node]
    assert kinds.count("DynamicQuantizeLinear") == 1
    assert kinds.count("MatMulInteger") == 2


def test_a_huge_token_does_not_set_the_step_of_gated_others() -> None:
    """Rows 1,000 times apart, as SwiGLU gives them: each is as near as it would be alone, and zeros stay zeros."""
    gated = build(
        [helper.make_node("Mul", ["a", "b"], ["x"]), helper.make_node("MatMul", ["x", "w"], ["y"])],
        [(name, TensorProto.FLOAT, ["B", 16]) for name in ("a", "b")],
        [("y", TensorProto.FLOAT, ["B", 8])],
        {"w": MATRIX},
    )
    small = INT8.apply(gated)
    onnx.checker.check_model(small, full_check=True)
    x = RNG.standard_normal((4, 16)).astype(np.float32)
    x[1] *= 1000
    x[3] = 0
    got = run(small, a=x, b=np.ones_like(x))
    alone = np.concatenate([run(small, a=row[None], b=np.ones_like(row[None])) for row in x])
    error = np.abs(got - x @ MATRIX).max(axis=1)
    assert np.all(error[[0, 2]] < 0.15)
    assert error[1] < 150
    assert not got[3].any()
    assert np.all(error <= 1.5 * np.abs(alone - x @ MATRIX).max(axis=1) + 0.05)


def test_bytes_are_deterministic() -> None:
    assert save_bytes(INT8.apply(linear())) == save_bytes(INT8.apply(linear()))


def test_float_graphs_are_handed_on() -> None:
    model = linear()
    assert precisions_of("onnx")["fp32"].apply(model) is model
