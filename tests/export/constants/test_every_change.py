"""Whatever changes in what was written is found, a bit of a constant, an attribute, a wire; what was meant is not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.methods import rows_of, widths_of
from vljepa_export.constants.onnx_graph import OnnxGraph
from vljepa_export.constants.walk import walk_together
from vljepa_quant import GraphEditor, Precision, precisions_of
from vljepa_quant.half import to_half
from vljepa_quant.qdq import quantise_qdq, quantised_inputs

# Pixels, a tied table, norms of both kinds, a gate, a bias, attention of grouped heads: all that methods know.
FLOATS = """
<ir_version: 10, opset_import: ["": 20]>
network (uint8[N, 8] pixels, int64[N, L] ids, float[N, L] mask, float[L, 1] places)
    => (float[N, L, 96] logits, float[N, L, 64] state)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] last = {-1}, int64[1] before = {-2}, int64[2] middle = {1, 2},
 float two = {2}, float unity = {1}, float tiny = {1e-5}, float hidden = {-10000}, float scale = {0.125},
 int64[4] parts_shape = {0, 0, 4, 32}, int64[2] parts = {3, 1}, int64[2] heads = {2, 1},
 int64[4] stacked = {0, 1, -1, 32}, int64[4] apart = {0, 2, -1, 32}, int64[3] flat = {0, 0, 64}>
{
    bright = Cast <to = 1> (pixels)
    patch = Gemm <transB = 1> (bright, patch_weight, patch_bias)
    spread = Unsqueeze (patch, one)
    words = Gather (table, ids)
    x = Add (spread, words)
    squares = Pow (x, two)
    mean = ReduceMean <keepdims = 1> (squares, last)
    safe = Add (mean, tiny)
    root = Sqrt (safe)
    unit = Div (x, root)
    normed = Mul (unit, gamma)
    product = MatMul (normed, qkv_weight)
    biased = Add (product, qkv_bias)
    view = Reshape (biased, parts_shape)
    raw, value = Split <axis = 2> (view, parts)
    row = Mul (places, frequencies)
    angles = Unsqueeze (row, zero)
    early, late = Split <axis = 2, num_outputs = 2> (angles)
    low = Sin (early)
    negative = Neg (low)
    high = Sin (late)
    sine = Concat <axis = -1> (negative, high)
    cosine = Cos (angles)
    cos = Unsqueeze (cosine, before)
    sin = Unsqueeze (sine, before)
    a, c = Split <axis = 3, num_outputs = 2> (raw)
    straight = Mul (raw, cos)
    swapped = Concat <axis = -1> (c, a)
    crossed = Mul (swapped, sin)
    turned = Add (straight, crossed)
    q, k = Split <axis = 2> (turned, heads)
    qt = Transpose <perm = [0, 2, 1, 3]> (q)
    kt = Transpose <perm = [0, 2, 1, 3]> (k)
    vt = Transpose <perm = [0, 2, 1, 3]> (value)
    stack = Reshape (qt, stacked)
    scaled = Mul (stack, scale)
    columns = Transpose <perm = [0, 1, 3, 2]> (kt)
    scores = MatMul (scaled, columns)
    padding = Sub (unity, mask)
    low_scores = Mul (padding, hidden)
    bias = Unsqueeze (low_scores, middle)
    hidden_scores = Add (scores, bias)
    near = Softmax <axis = -1> (hidden_scores)
    mixed = MatMul (near, vt)
    unstacked = Reshape (mixed, apart)
    back = Transpose <perm = [0, 2, 1, 3]> (unstacked)
    seen = Reshape (back, flat)
    proj = MatMul (seen, proj_weight)
    proj_biased = Add (proj, proj_bias)
    sum = Add (x, proj_biased)
    state = LayerNormalization <axis = -1, epsilon = 1e-6> (sum, gamma, beta)
    both = MatMul (state, gate_up_weight)
    gate, up = Split <axis = 2, num_outputs = 2> (both)
    soft = Sigmoid (gate)
    open = Mul (gate, soft)
    gated = Mul (open, up)
    down = MatMul (gated, down_weight)
    down_biased = Add (down, down_bias)
    bent = Gelu (down_biased)
    end = Add (sum, bent)
    logits = Gemm <transB = 1> (end, table)
}
"""
SHAPES = {
    "patch_weight": (64, 8), "patch_bias": (64,), "gamma": (64,), "beta": (64,), "table": (96, 64),
    "qkv_weight": (64, 128), "qkv_bias": (128,), "proj_weight": (64, 64), "proj_bias": (64,),
    "gate_up_weight": (64, 256), "down_weight": (128, 64), "down_bias": (64,),
}  # fmt: skip
SAMPLED = {f"{x}.step{width}" for x in ("normed", "seen", "state", "gated", "end") for width in ("", ".half")}
"""Steps of activations come from samples; what is wrong in one shows where outputs are repeated."""
CASES = [
    pytest.param(format, name, id=f"{format}-{name}")
    for format in ("onnx", "tensorrt")
    for name, row in precisions_of(format).items()
    if rows_of(row) is not None
]
every_case = pytest.mark.parametrize(("format", "name"), CASES)


@cache
def floats() -> onnx.ModelProto:
    model = onnx.parser.parse_model(FLOATS)
    random = np.random.default_rng(5)
    model.graph.initializer.extend(
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in SHAPES.items()
    )
    frequencies = np.tile(0.1 ** np.linspace(0, 4, 16, dtype=np.float32), 2)
    model.graph.initializer.append(numpy_helper.from_array(frequencies, "frequencies"))
    return model


@cache
def written(format: str, name: str) -> tuple[onnx.ModelProto, Precision]:
    precision = precisions_of(format)[name]
    if format == "onnx":
        return precision.apply(floats()), precision
    editor = GraphEditor(floats())
    steps = {x: 0.01 + index / 100 for index, x in enumerate(quantised_inputs(editor))}
    typed = (
        quantise_qdq(editor, precision, steps if precision.calibrated else {}) if precision.method else editor
    )
    return (to_half(typed) if precision.execution == "f16" else editor.finish()), precision


def opened(model: onnx.ModelProto, *, widths: frozenset[int] = frozenset()) -> OnnxGraph:
    return OnnxGraph("network.onnx", lambda file: memoryview(model.SerializeToString()), widths=widths)


def judged(model: onnx.ModelProto, precision: Precision) -> ConstantsProof:
    rows = rows_of(precision)
    assert rows is not None
    return walk_together(
        "network", opened(floats()), opened(model, widths=widths_of(precision)), rows, precision
    )


def changed(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


@every_case
def test_what_was_meant_has_no_fault(format: str, name: str) -> None:
    model, precision = written(format, name)
    proof = judged(model, precision)
    assert proof.faults == ()
    assert proof.compared == len(model.graph.initializer)
    assert (proof.quantised > 0) == (precision.method in ("int8", "int4", "qdq"))
    assert proof.worst_steps <= 0.5001


@every_case
@given(data=st.data())
@settings(derandomize=True, max_examples=40, deadline=None)
def test_one_bit_of_any_constant_is_found(format: str, name: str, data: st.DataObject) -> None:
    model, precision = written(format, name)
    copy = changed(model)
    tensor = data.draw(st.sampled_from([item for item in copy.graph.initializer if item.name not in SAMPLED]))
    raw = bytearray(numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    assume(tensor.data_type != onnx.TensorProto.FLOAT8E4M3FN or raw[at] not in (0x00, 0x80))  # both are zero
    tensor.ClearField("int64_data"), tensor.ClearField("float_data")
    tensor.raw_data = bytes(raw)
    assert any(tensor.name in fault for fault in judged(copy, precision).faults)


def attributes(model: onnx.ModelProto) -> Iterator[tuple[int, int]]:
    for index, node in enumerate(model.graph.node):
        yield from ((index, place) for place in range(len(node.attribute)))


def other_value(attribute: onnx.AttributeProto) -> float | int | list[int]:
    value = helper.get_attribute_value(attribute)
    if attribute.name == "to":
        return int(onnx.TensorProto.DOUBLE)
    if isinstance(value, list):
        return value[::-1]
    return value + 1 if isinstance(value, int) else value * 100


@every_case
def test_any_attribute_is_found(format: str, name: str) -> None:
    model, precision = written(format, name)
    for index, place in attributes(model):
        copy = changed(model)
        node = copy.graph.node[index]
        attribute = node.attribute[place]
        attribute.CopyFrom(helper.make_attribute(attribute.name, other_value(attribute)))
        faults = judged(copy, precision).faults
        told = any(word in fault for fault in faults for word in (node.name, *node.input, *node.output))
        # A type is told where it ends, what is inside of a fused operator by what that makes.
        assert told or (faults and (attribute.name == "to" or "fused" in precision.method)), (node, faults)


@every_case
def test_any_wire_is_found(format: str, name: str) -> None:
    model, precision = written(format, name)
    graph = opened(model, widths=widths_of(precision))
    random = np.random.default_rng(0)
    tensors = [*graph.inputs, *(out for node in model.graph.node for out in node.output)]
    constants = [item.name for item in model.graph.initializer]
    for index, node in enumerate(model.graph.node):
        for place, tensor in enumerate(node.input):
            if graph.is_constant(tensor):
                others = [one for one in constants if not np.array_equal(*map(graph.constant, (one, tensor)))]
            else:
                others = [one for one in tensors if graph.seen_through(one) != graph.seen_through(tensor)]
            copy = changed(model)
            copy.graph.node[index].input[place] = other = others[random.integers(len(others))]
            assert judged(copy, precision).faults, (node, tensor, other)
