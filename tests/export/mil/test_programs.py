"""Programs that nobody wrote: random ones made with coremltools' builder, their ONNX twins run by ONNX Runtime.

In float16 the twin rounds to float16 after every operator, so both lose the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("coremltools")
onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

pytestmark = pytest.mark.slow

RANK = 3
NUMPY = {"fp32": np.float32, "fp16": np.float16}


class Twin:
    """An ONNX graph that grows beside a MIL program."""

    def __init__(self, kind: str) -> None:
        self.kind, self.nodes, self.constants = kind, [], []

    def node(self, op: str, *inputs: Any, rounded: bool = True, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"t{len(self.nodes)}_{index}" for index in range(outputs)]
        given = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        self.nodes.append(helper.make_node(op, given, names, **attributes))
        if rounded and self.kind == "fp16":
            names = [self._rounded(name) for name in names]
        return names[0] if outputs == 1 else names

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _rounded(self, name: str) -> str:
        half, whole = f"{name}_half", f"{name}_whole"
        self.nodes.append(helper.make_node("Cast", [name], [half], to=TensorProto.FLOAT16))
        self.nodes.append(helper.make_node("Cast", [half], [whole], to=TensorProto.FLOAT))
        return whole

    def run(self, feeds: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in feeds.items()]
        graph = helper.make_graph(
            self.nodes, "twin", inputs, [onnx.ValueInfoProto(name=n) for n in outputs], self.constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options).run(
            outputs, {name: value.astype(np.float32) for name, value in feeds.items()}
        )


@dataclass(frozen=True)
class Both:
    """One tensor in both worlds."""

    mil: Any
    onnx: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mil.shape)


Step = Callable[[Any, Twin, list[Both], Any, Any], "Both | None"]


def _unary(kind: str, op: str, **attributes: Any) -> Step:
    def step(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
        x = draw(st.sampled_from(pool))
        return Both(getattr(m, kind)(x=x.mil), twin.node(op, x.onnx, **attributes))

    return step


def _binary(kind: str, op: str) -> Step:
    def step(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
        x = draw(st.sampled_from(pool))
        y = draw(st.sampled_from([each for each in pool if each.shape == x.shape]))
        return Both(getattr(m, kind)(x=x.mil, y=y.mil), twin.node(op, x.onnx, y.onnx))

    return step


def _softmax(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x, axis = draw(st.sampled_from(pool)), draw(st.integers(-1, RANK - 1))
    return Both(m.softmax(x=x.mil, axis=axis), twin.node("Softmax", x.onnx, axis=axis))


def _reduce(kind: str, op: str) -> Step:
    def step(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
        x, axis = draw(st.sampled_from(pool)), draw(st.integers(0, RANK - 1))
        made = getattr(m, kind)(x=x.mil, axes=[axis], keep_dims=True)
        return Both(made, twin.node(op, x.onnx, np.array([axis], np.int64), keepdims=1))

    return step


def _layer_norm(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x = draw(st.sampled_from(pool))
    gamma, beta = (kinds(x.shape[-1]) for _ in range(2))
    made = m.layer_norm(x=x.mil, axes=[-1], gamma=gamma, beta=beta, epsilon=gamma.dtype.type(0.125))
    wide = (gamma.astype(np.float32), beta.astype(np.float32))
    return Both(made, twin.node("LayerNormalization", x.onnx, *wide, axis=-1, epsilon=0.125))


def _linear(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x = draw(st.sampled_from(pool))
    weight, bias = kinds(draw(st.integers(1, 4)), x.shape[-1]), None
    product = twin.node("MatMul", x.onnx, weight.T.astype(np.float32), rounded=False)
    if draw(st.booleans()):
        bias = kinds(len(weight))
        product = twin.node("Add", product, bias.astype(np.float32), rounded=False)
    return Both(m.linear(x=x.mil, weight=weight, bias=bias), twin.node("Identity", product))


def _matmul(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x = draw(st.sampled_from(pool))
    turned = twin.node("Transpose", x.onnx, perm=[0, 2, 1], rounded=False)
    return Both(m.matmul(x=x.mil, y=x.mil, transpose_y=True), twin.node("MatMul", x.onnx, turned))


def _transpose(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x, perm = draw(st.sampled_from(pool)), draw(st.permutations(range(RANK)))
    return Both(m.transpose(x=x.mil, perm=perm), twin.node("Transpose", x.onnx, perm=perm))


def _reshape(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x = draw(st.sampled_from(pool))
    shape = draw(st.sampled_from([[-1, 1, x.shape[2]], [0, -1, 1], [1, x.shape[0], -1], [0, 0, -1]]))
    return Both(m.reshape(x=x.mil, shape=shape), twin.node("Reshape", x.onnx, np.array(shape, np.int64)))


def _concat(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both | None:
    x, axis = draw(st.sampled_from(pool)), draw(st.integers(0, RANK - 1))
    y = draw(st.sampled_from([each for each in pool if each.shape == x.shape]))
    if x.shape[axis] > 8:
        return None
    return Both(m.concat(values=[x.mil, y.mil], axis=axis), twin.node("Concat", x.onnx, y.onnx, axis=axis))


def _split(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both | None:
    x, axis = draw(st.sampled_from(pool)), draw(st.integers(0, RANK - 1))
    if x.shape[axis] < 2:
        return None
    first = draw(st.integers(1, x.shape[axis] - 1))
    sizes = [first, x.shape[axis] - first]
    made = m.split(x=x.mil, split_sizes=sizes, axis=axis)
    names = twin.node("Split", x.onnx, np.array(sizes, np.int64), axis=axis, outputs=2)
    chosen = draw(st.integers(0, 1))
    return Both(made[chosen], names[chosen])


def _slice(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x = draw(st.sampled_from(pool))
    begin = [draw(st.integers(0, size - 1)) for size in x.shape]
    end = [draw(st.integers(first + 1, size)) for first, size in zip(begin, x.shape)]
    arrays = (np.array(each, np.int64) for each in (begin, end))
    return Both(m.slice_by_index(x=x.mil, begin=begin, end=end), twin.node("Slice", x.onnx, *arrays))


def _gather(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x, axis = draw(st.sampled_from(pool)), draw(st.integers(0, RANK - 1))
    ids = draw(st.lists(st.integers(0, x.shape[axis] - 1), min_size=1, max_size=4))
    made = m.gather(x=x.mil, indices=np.array(ids, np.int32), axis=axis)
    return Both(made, twin.node("Gather", x.onnx, np.array(ids, np.int64), axis=axis))


def _tile(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both | None:
    x, axis = draw(st.sampled_from(pool)), draw(st.integers(0, RANK - 1))
    if x.shape[axis] > 6:
        return None
    reps = [2 if index == axis else 1 for index in range(RANK)]
    return Both(m.tile(x=x.mil, reps=reps), twin.node("Tile", x.onnx, np.array(reps, np.int64)))


def _select(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    x = draw(st.sampled_from(pool))
    y = draw(st.sampled_from([each for each in pool if each.shape == x.shape]))
    larger = twin.node("Greater", x.onnx, y.onnx, rounded=False)
    return Both(
        m.select(cond=m.greater(x=x.mil, y=y.mil), a=y.mil, b=x.mil),
        twin.node("Where", larger, y.onnx, x.onnx),
    )


def _quantised(m: Any, twin: Twin, pool: list[Both], draw: Any, kinds: Any) -> Both:
    """A step of 2^-7, whose multiples are float16 too: a value on a boundary lies there in both worlds."""
    x, step = draw(st.sampled_from(pool)), np.float32(2.0**-5)
    scale = kinds(1)[0].dtype.type(step)
    integers = m.quantize(input=x.mil, scale=scale, output_dtype="int8")
    whole = twin.node("QuantizeLinear", x.onnx, step, np.int8(0), rounded=False)
    return Both(
        m.dequantize(input=integers, scale=scale), twin.node("DequantizeLinear", whole, step, np.int8(0))
    )


STEPS: dict[str, Step] = {
    "add": _binary("add", "Add"), "sub": _binary("sub", "Sub"), "mul": _binary("mul", "Mul"),
    "maximum": _binary("maximum", "Max"), "minimum": _binary("minimum", "Min"), "abs": _unary("abs", "Abs"),
    "sigmoid": _unary("sigmoid", "Sigmoid"), "tanh": _unary("tanh", "Tanh"), "relu": _unary("relu", "Relu"),
    "sin": _unary("sin", "Sin"), "cos": _unary("cos", "Cos"), "gelu": _unary("gelu", "Gelu"),
    "softmax": _softmax, "layer_norm": _layer_norm, "linear": _linear, "matmul": _matmul,
    "mean": _reduce("reduce_mean", "ReduceMean"), "sum": _reduce("reduce_sum", "ReduceSum"),
    "max": _reduce("reduce_max", "ReduceMax"), "norm": _reduce("reduce_l2_norm", "ReduceL2"),
    "transpose": _transpose, "reshape": _reshape, "concat": _concat, "split": _split, "slice": _slice,
    "gather": _gather, "tile": _tile, "select": _select, "quantised": _quantised,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "optimise"), [("fp32", False), ("fp32", True), ("fp16", False)])
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_random_programs_equal_their_onnx_twins(
    mil_program: Any, data: Any, kind: str, optimise: bool
) -> None:
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.integers(1, 4)) for _ in range(RANK))
    feeds = {name: rng.uniform(-1, 1, shape).astype(NUMPY[kind]) for name in ("a", "b")}
    steps = draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=3, max_size=12))
    twin, outputs = Twin(kind), []

    def build(m: Any, inputs: Any) -> dict[str, Any]:
        pool = [Both(inputs[name], name) for name in feeds]
        for name in steps:
            made = STEPS[name](
                m, twin, pool, draw, lambda *size: rng.uniform(-1, 1, size).astype(NUMPY[kind])
            )
            if made is not None and np.prod(made.shape) <= 512:
                pool.append(made)
        outputs.extend(each.onnx for each in pool[len(feeds) :])
        return {f"out_{index}": each.mil for index, each in enumerate(pool[len(feeds) :])}

    program = mil_program(dict.fromkeys(feeds, (shape, kind)), build, optimise=optimise)
    ours = list(program.run(feeds).values())
    theirs = twin.run(feeds, outputs)
    for name, got, wanted in zip(outputs, ours, theirs, strict=True):
        # float16: a last bit that two float32 sums round apart may grow on its way through up to 12 operations
        tolerance = 2e-5 if kind == "fp32" else 1e-2
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * scale, err_msg=f"{name} of {steps}")
