"""int4 blocks: the packing against a plain twin, and ONNX Runtime's kernel against the unpacked weights."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vljepa_quant import QuantError, precisions_of
from vljepa_quant.int4 import BLOCK, quantise_blocks


def unpack(packed: np.ndarray, scales: np.ndarray, columns: int) -> np.ndarray:
    """Plain twin: byte by byte."""
    count, blocks, _ = packed.shape
    out = np.zeros((count, blocks * BLOCK), np.float32)
    for row in range(count):
        for block in range(blocks):
            for i, byte in enumerate(packed[row, block]):
                scale = scales.reshape(count, blocks)[row, block]
                out[row, block * BLOCK + 2 * i] = (int(byte) % 16 - 8) * scale
                out[row, block * BLOCK + 2 * i + 1] = (int(byte) // 16 - 8) * scale
    return out[:, :columns]


@pytest.mark.parametrize("columns", [32, 64, 50], ids=["one-block", "two-blocks", "a-part-of-one"])
def test_each_weight_is_within_half_a_step(columns: int) -> None:
    weight = np.random.default_rng(0).normal(size=(5, columns)).astype(np.float32)
    weight[1] = 0
    packed, scales = quantise_blocks(weight)
    back = unpack(packed, scales, columns)
    steps = np.repeat(scales.reshape(5, -1), BLOCK, axis=1)[:, :columns]
    assert (np.abs(back - weight) <= steps * 0.5001).all()
    assert not back[1].any()


def graph(weight: np.ndarray, table: np.ndarray) -> onnx.ModelProto:
    """Rows of a table, times a matrix."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"], name="g"),
        helper.make_node("MatMul", ["x", "weight"], ["y"], name="m"),
    ]
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ("B", "L"))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("B", "L", weight.shape[1]))],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_the_kernel_multiplies_with_the_unpacked_weights() -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(96, 24)).astype(np.float32)
    table = rng.normal(size=(10, 96)).astype(np.float32)
    small = precisions_of("onnx")["int4"].apply(graph(weight, table))
    kinds = {node.op_type for node in small.graph.node}
    assert "MatMulNBits" in kinds
    assert "MatMul" not in kinds
    ids = np.array([[1, 5, 9]])
    session = onnxruntime.InferenceSession(small.SerializeToString(), providers=["CPUExecutionProvider"])
    got = session.run(None, {"ids": ids})[0]
    expected = table[ids] @ unpack(*quantise_blocks(weight.T), 96).T
    cosine = (got * expected).sum(-1) / np.linalg.norm(got, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert cosine.min() > 0.9995  # the kernel rounds activations, and the table is int8
    assert sum(item.ByteSize() for item in small.graph.initializer) < 0.3 * (weight.nbytes + table.nbytes)


def test_nothing_to_quantise() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph([node], "empty", value[:1], value[1:]))
    with pytest.raises(QuantError, match="empty: no constant matrix to quantise"):
        precisions_of("onnx")["int4"].apply(model)
