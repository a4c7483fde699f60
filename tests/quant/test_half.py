"""float16 with pinned operators, against ONNX's reference evaluator."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from vljepa_quant import QuantError  # noqa: E402
from vljepa_quant.half import to_half  # noqa: E402

RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((8, 8)).astype(np.float32)
SCALE, BIAS = np.full(8, 2.0, np.float32), np.full(8, -1.0, np.float32)


def build(nodes, inputs, outputs, **constants):
    infos = [[helper.make_tensor_value_info(*spec) for spec in side] for side in (inputs, outputs)]
    initialisers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", *infos, initializer=initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def block(*, pixels: bool = False):
    """Linear layer, residual, norm and softmax: one of each kind."""
    first = [helper.make_node("Cast", ["p"], ["x"], to=TensorProto.FLOAT)] if pixels else []
    given = ("p", TensorProto.UINT8, ["B", 8]) if pixels else ("x", TensorProto.FLOAT, ["B", 8])
    return build(
        [
            *first,
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Add", ["h", "b"], ["r"]),
            helper.make_node("LayerNormalization", ["r", "s", "b"], ["n"]),
            helper.make_node("MatMul", ["n", "w"], ["m"]),
            helper.make_node("Softmax", ["m"], ["a"], axis=-1),
            helper.make_node("MatMul", ["a", "w"], ["y"]),
        ],
        [given],
        [("y", TensorProto.FLOAT, ["B", 8])],
        w=WEIGHT,
        s=SCALE,
        b=BIAS,
    )


def types(model) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    found = {item.name: item.data_type for item in inferred.initializer}
    return found | {
        info.name: info.type.tensor_type.elem_type
        for info in (*inferred.input, *inferred.value_info, *inferred.output)
    }


def test_products_are_half_and_pinned_operators_are_not() -> None:
    half = to_half(block())
    onnx.checker.check_model(half, full_check=True)
    kinds = types(half)
    for node in half.graph.node:
        if node.op_type == "MatMul":
            assert {kinds[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT16}
        if node.op_type in ("LayerNormalization", "Softmax"):
            assert {kinds[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT}


@pytest.mark.parametrize("pixels", [False, True], ids=["float", "pixels"])
def test_inputs_outputs_and_values_stay(pixels: bool) -> None:
    model = block(pixels=pixels)
    half = to_half(model)
    assert list(half.graph.input) == list(model.graph.input)
    assert list(half.graph.output) == list(model.graph.output)
    feeds = {"p": RNG.integers(0, 256, (3, 8), np.uint8)} if pixels else {"x": RNG.standard_normal((3, 8))}
    feeds = {name: value if pixels else value.astype(np.float32) for name, value in feeds.items()}
    want, got = (ReferenceEvaluator(each).run(None, feeds)[0] for each in (model, half))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=0.02)


def test_pixels_are_cast_once() -> None:
    kinds = [node.op_type for node in to_half(block(pixels=True)).graph.node]
    assert kinds[:2] == ["Cast", "MatMul"]


def test_a_weight_beyond_float16_is_refused() -> None:
    model = build(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, ["B", 8])],
        [("y", TensorProto.FLOAT, ["B", 8])],
        w=WEIGHT * 1e6,
    )
    with pytest.raises(QuantError, match=r"w: .* does not fit into float16"):
        to_half(model)


def test_an_output_that_is_also_read_inside_keeps_its_name() -> None:
    model = build(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("MatMul", ["y", "w"], ["z"])],
        [("x", TensorProto.FLOAT, ["B", 8])],
        [("y", TensorProto.FLOAT, ["B", 8]), ("z", TensorProto.FLOAT, ["B", 8])],
        w=WEIGHT,
    )
    x = RNG.standard_normal((2, 8)).astype(np.float32)
    half = to_half(model)
    onnx.checker.check_model(half, full_check=True)
    for want, got in zip(*(ReferenceEvaluator(each).run(None, {"x": x}) for each in (model, half))):
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.05)
