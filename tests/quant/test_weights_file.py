"""Graphs with their constants in a file: saved, mapped and edited without a copy in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from vljepa_quant import precisions_of
from vljepa_quant.graph_editor import GraphEditor
from vljepa_quant.weights_file import PAGE, WeightsFile
from vljepa_runtime.engines.session_options import session_options


def editor(name: str, weight: np.ndarray) -> GraphEditor:
    """`x @ weight + bias`, the weight outside the model."""
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"], name="m"),
        helper.make_node("Add", ["product", "bias"], ["y"], name="a"),
    ]
    outside = TensorProto(
        name="weight",
        dims=weight.shape,
        data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
    )
    bias = helper.make_tensor("bias", TensorProto.FLOAT, (1,), [0.5])
    made = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("B", weight.shape[0]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("B", weight.shape[1]))],
        [outside, bias],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return GraphEditor(model, {"weight": weight})


def run(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), session_options(1), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize("turned", [False, True], ids=["as-it-lies", "a-transposed-view"])
def test_round_trip(turned: bool, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(48, 32)).astype(np.float32)
    weight = np.ascontiguousarray(weight.T).T if turned else weight
    with WeightsFile(tmp_path / "g.weights") as weights:
        model = editor("g", weight).save(tmp_path / "g.onnx", weights)
    assert model.ByteSize() < 1000
    onnx.checker.check_model(str(tmp_path / "g.onnx"), full_check=True)
    x = np.random.default_rng(1).normal(size=(3, 48)).astype(np.float32)
    np.testing.assert_allclose(run(tmp_path / "g.onnx", x), x @ weight + 0.5, rtol=1e-5, atol=1e-5)
    opened = GraphEditor.open(tmp_path / "g.onnx")
    assert isinstance(opened.constants["weight"], np.memmap)
    precisions_of("onnx")["int8"].edit(opened)
    with WeightsFile(tmp_path / "small.weights") as weights:
        opened.save(tmp_path / "small.onnx", weights)
    assert (tmp_path / "small.weights").stat().st_size < weight.nbytes / 3
    np.testing.assert_allclose(run(tmp_path / "small.onnx", x), x @ weight + 0.5, atol=0.3)


def test_equal_constants_of_two_graphs_are_stored_once(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    with WeightsFile(tmp_path / "both.weights") as weights:
        models = [editor(n, weight.copy()).save(tmp_path / f"{n}.onnx", weights) for n in ("one", "two")]
    assert (tmp_path / "both.weights").stat().st_size == weight.nbytes
    places = [
        {entry.key: entry.value for item in model.graph.initializer for entry in item.external_data}
        for model in models
    ]
    assert places[0] == places[1]
    assert int(places[0]["offset"]) % PAGE == 0


def test_what_a_file_does_not_hold_stays_in_its_graph(tmp_path: Path) -> None:
    ours, theirs = np.ones((64, 64), np.float32), np.zeros((65, 65), np.float32)
    with WeightsFile(tmp_path / "g.weights", alignment=64, holds=lambda value: len(value) == 64) as weights:
        assert weights.size == 0
        inside, outside = weights.add("theirs", theirs), weights.add("ours", ours)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(inside), theirs)
    assert outside.data_location == TensorProto.EXTERNAL
    assert weights.size == (tmp_path / "g.weights").stat().st_size == ours.nbytes
