"""Every operation of the interpreter against torch, in float32 and float16, read back from a package on disk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("coremltools")

import torch.nn.functional as F  # noqa: E402

from vljepa_export.mil.operations import OPERATIONS  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4)).astype(np.float32)
Y = RNG.standard_normal((2, 3, 4)).astype(np.float32)
WEIGHT = RNG.standard_normal((5, 4)).astype(np.float32)
BIAS = RNG.standard_normal(5).astype(np.float32)
GAMMA, BETA = RNG.standard_normal((2, 4)).astype(np.float32)
TABLE = RNG.standard_normal((6, 4)).astype(np.float32)
STEP = 1025 / 1024 / 16  # a float16, and no value lies halfway between two steps
IDS = np.array([[0, 5, 2], [3, 3, 1]], np.int32)
TYPES = {"fp32": (np.float32, torch.float32), "fp16": (np.float16, torch.float16)}

# id -> (with the builder `m`, with torch). `c` makes a constant of the program's type.
CASES: dict[str, tuple[Any, Any]] = {
    "add": (lambda m, x, y, c: m.add(x=x, y=y), lambda x, y, c: x + y),
    "add-broadcast": (lambda m, x, y, c: m.add(x=x, y=c(GAMMA)), lambda x, y, c: x + c(GAMMA)),
    "sub": (lambda m, x, y, c: m.sub(x=x, y=y), lambda x, y, c: x - y),
    "mul": (lambda m, x, y, c: m.mul(x=x, y=y), lambda x, y, c: x * y),
    "real_div": (lambda m, x, y, c: m.real_div(x=x, y=y), lambda x, y, c: x / y),
    "maximum": (lambda m, x, y, c: m.maximum(x=x, y=y), lambda x, y, c: torch.maximum(x, y)),
    "minimum": (lambda m, x, y, c: m.minimum(x=x, y=y), lambda x, y, c: torch.minimum(x, y)),
    "pow": (lambda m, x, y, c: m.pow(x=m.abs(x=x), y=y), lambda x, y, c: x.abs() ** y),
    "abs": (lambda m, x, y, c: m.abs(x=x), lambda x, y, c: x.abs()),
    "square": (lambda m, x, y, c: m.square(x=x), lambda x, y, c: x.square()),
    "sqrt": (lambda m, x, y, c: m.sqrt(x=m.abs(x=x)), lambda x, y, c: x.abs().sqrt()),
    "rsqrt": (
        lambda m, x, y, c: m.rsqrt(x=m.square(x=x), epsilon=c(0.5)),
        lambda x, y, c: (x.square().float() + 0.5).rsqrt(),
    ),
    "inverse": (
        lambda m, x, y, c: m.inverse(x=m.square(x=x), epsilon=c(0.5)),
        lambda x, y, c: 1 / (x.square().float() + 0.5),
    ),
    "log": (
        lambda m, x, y, c: m.log(x=m.square(x=x), epsilon=c(0.5)),
        lambda x, y, c: (x.square().float() + 0.5).log(),
    ),
    "exp": (lambda m, x, y, c: m.exp(x=x), lambda x, y, c: x.exp()),
    "sin": (lambda m, x, y, c: m.sin(x=x), lambda x, y, c: x.sin()),
    "cos": (lambda m, x, y, c: m.cos(x=x), lambda x, y, c: x.cos()),
    "tanh": (lambda m, x, y, c: m.tanh(x=x), lambda x, y, c: x.tanh()),
    "relu": (lambda m, x, y, c: m.relu(x=x), lambda x, y, c: x.relu()),
    "sigmoid": (lambda m, x, y, c: m.sigmoid(x=x), lambda x, y, c: x.sigmoid()),
    "silu": (lambda m, x, y, c: m.silu(x=x), lambda x, y, c: F.silu(x)),
    "gelu": (lambda m, x, y, c: m.gelu(x=x, mode="EXACT"), lambda x, y, c: F.gelu(x)),
    "gelu-tanh": (
        lambda m, x, y, c: m.gelu(x=x, mode="TANH_APPROXIMATION"),
        lambda x, y, c: F.gelu(x, approximate="tanh"),
    ),
    "gelu-sigmoid": (
        lambda m, x, y, c: m.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
        lambda x, y, c: x.float() * (1.702 * x.float()).sigmoid(),
    ),
    "clip": (lambda m, x, y, c: m.clip(x=x, alpha=c(-0.5), beta=c(0.5)), lambda x, y, c: x.clamp(-0.5, 0.5)),
    "identity": (lambda m, x, y, c: m.identity(x=x), lambda x, y, c: x),
    "select": (
        lambda m, x, y, c: m.select(cond=m.greater(x=x, y=y), a=x, b=y),
        lambda x, y, c: torch.where(x > y, x, y),
    ),
    "greater_equal": (
        lambda m, x, y, c: _number(m, m.greater_equal(x=x, y=y)),
        lambda x, y, c: (x >= y).int(),
    ),
    "less": (lambda m, x, y, c: _number(m, m.less(x=x, y=y)), lambda x, y, c: (x < y).int()),
    "less_equal": (lambda m, x, y, c: _number(m, m.less_equal(x=x, y=x)), lambda x, y, c: (x <= x).int()),
    "equal": (
        lambda m, x, y, c: _number(m, m.equal(x=x, y=m.maximum(x=x, y=y))),
        lambda x, y, c: (x == torch.maximum(x, y)).int(),
    ),
    "not_equal": (
        lambda m, x, y, c: _number(m, m.not_equal(x=x, y=m.maximum(x=x, y=y))),
        lambda x, y, c: (x != torch.maximum(x, y)).int(),
    ),
    "logical_and": (
        lambda m, x, y, c: _number(m, m.logical_and(**_both(m, x, y))),
        lambda x, y, c: ((x > 0) & (y > 0)).int(),
    ),
    "logical_or": (
        lambda m, x, y, c: _number(m, m.logical_or(**_both(m, x, y))),
        lambda x, y, c: ((x > 0) | (y > 0)).int(),
    ),
    "logical_not": (
        lambda m, x, y, c: _number(m, m.logical_not(x=m.greater(x=x, y=y))),
        lambda x, y, c: (~(x > y)).int(),
    ),
    "cast": (lambda m, x, y, c: m.cast(x=m.mul(x=x, y=c(3.0)), dtype="int32"), lambda x, y, c: (x * 3).int()),
    "matmul": (lambda m, x, y, c: m.matmul(x=x, y=y, transpose_y=True), lambda x, y, c: x @ y.mT),
    "matmul-transposed": (lambda m, x, y, c: m.matmul(x=x, y=y, transpose_x=True), lambda x, y, c: x.mT @ y),
    "linear": (
        lambda m, x, y, c: m.linear(x=x, weight=c(WEIGHT), bias=c(BIAS)),
        lambda x, y, c: F.linear(x, c(WEIGHT), c(BIAS)),
    ),
    "softmax": (lambda m, x, y, c: m.softmax(x=x, axis=-1), lambda x, y, c: x.softmax(-1)),
    "softmax-middle": (lambda m, x, y, c: m.softmax(x=x, axis=1), lambda x, y, c: x.softmax(1)),
    "layer_norm": (
        lambda m, x, y, c: m.layer_norm(x=x, axes=[-1], gamma=c(GAMMA), beta=c(BETA), epsilon=c(1e-3)),
        lambda x, y, c: F.layer_norm(x, (4,), c(GAMMA), c(BETA), 1e-3),
    ),
    "layer_norm-plain": (
        lambda m, x, y, c: m.layer_norm(x=x, axes=[1, 2], epsilon=c(1e-3)),
        lambda x, y, c: F.layer_norm(x, (3, 4), eps=1e-3),
    ),
    "reduce_sum": (lambda m, x, y, c: m.reduce_sum(x=x, axes=[1], keep_dims=False), lambda x, y, c: x.sum(1)),
    "reduce_mean": (
        lambda m, x, y, c: m.reduce_mean(x=x, axes=[-1], keep_dims=True),
        lambda x, y, c: x.mean(-1, keepdim=True),
    ),
    "reduce_max": (
        lambda m, x, y, c: m.reduce_max(x=x, axes=[0, 2], keep_dims=False),
        lambda x, y, c: x.amax((0, 2)),
    ),
    "reduce_min": (
        lambda m, x, y, c: m.reduce_min(x=x, axes=[2], keep_dims=True),
        lambda x, y, c: x.amin(2, keepdim=True),
    ),
    "reduce_l2_norm": (
        lambda m, x, y, c: m.reduce_l2_norm(x=x, axes=[-1], keep_dims=True),
        lambda x, y, c: x.norm(dim=-1, keepdim=True),
    ),
    "reduce_sum_square": (
        lambda m, x, y, c: m.reduce_sum_square(x=x, axes=[-1], keep_dims=False),
        lambda x, y, c: x.float().square().sum(-1),
    ),
    "reshape": (lambda m, x, y, c: m.reshape(x=x, shape=[0, 2, -1]), lambda x, y, c: x.reshape(2, 2, 6)),
    "transpose": (lambda m, x, y, c: m.transpose(x=x, perm=[2, 0, 1]), lambda x, y, c: x.permute(2, 0, 1)),
    "expand_dims": (lambda m, x, y, c: m.expand_dims(x=x, axes=[0, -1]), lambda x, y, c: x[None, ..., None]),
    "squeeze": (lambda m, x, y, c: m.squeeze(x=m.expand_dims(x=x, axes=[1]), axes=[1]), lambda x, y, c: x),
    "concat": (
        lambda m, x, y, c: m.concat(values=[x, y, x], axis=1),
        lambda x, y, c: torch.cat((x, y, x), 1),
    ),
    "stack": (lambda m, x, y, c: m.stack(values=[x, y], axis=2), lambda x, y, c: torch.stack((x, y), 2)),
    "split": (
        lambda m, x, y, c: m.split(x=x, split_sizes=[1, 3], axis=2)[1],
        lambda x, y, c: x.split([1, 3], 2)[1],
    ),
    "split-even": (
        lambda m, x, y, c: m.split(x=x, num_splits=2, axis=-1)[0],
        lambda x, y, c: x.chunk(2, -1)[0],
    ),
    "tile": (lambda m, x, y, c: m.tile(x=x, reps=[1, 2, 3]), lambda x, y, c: x.repeat(1, 2, 3)),
    "slice_by_index": (
        lambda m, x, y, c: m.slice_by_index(x=x, begin=[0, 1, 3], end=[2, 3, 0], stride=[1, 1, -2]),
        lambda x, y, c: x[0:2, 1:3][:, :, [3, 1]],
    ),
    "slice_by_index-masks": (
        lambda m, x, y, c: m.slice_by_index(
            x=x,
            begin=[1, 1, 1],
            end=[2, 1, 3],
            begin_mask=[False, False, True],
            end_mask=[False, True, False],
            squeeze_mask=[True, False, False],
        ),
        lambda x, y, c: x[1, 1:, :3],
    ),
    "gather": (
        lambda m, x, y, c: m.gather(x=c(TABLE), indices=IDS, axis=0),
        lambda x, y, c: c(TABLE)[torch.from_numpy(IDS).long()],
    ),
    "gather-middle": (
        lambda m, x, y, c: m.gather(x=x, indices=np.array([2, 0], np.int32), axis=1),
        lambda x, y, c: x[:, [2, 0]],
    ),
    "quantize": (
        lambda m, x, y, c: m.cast(x=m.quantize(input=x, scale=c(STEP), output_dtype="int8"), dtype="int32"),
        lambda x, y, c: (
            (torch.fake_quantize_per_tensor_affine(x.float(), STEP, 0, -128, 127) / STEP).round().int()
        ),
    ),
    "dequantize": (
        lambda m, x, y, c: m.dequantize(
            input=m.quantize(input=x, scale=c(STEP), zero_point=np.uint8(9), output_dtype="uint8"),
            scale=c(STEP),
            zero_point=np.uint8(9),
        ),
        lambda x, y, c: torch.fake_quantize_per_tensor_affine(x.float(), STEP, 9, 0, 255),
    ),
    "quantize-axis": (
        lambda m, x, y, c: m.dequantize(
            input=m.quantize(input=x, scale=c([0.5, 0.25, 0.125]), axis=1, output_dtype="int8"),
            scale=c([0.5, 0.25, 0.125]),
            axis=1,
        ),
        lambda x, y, c: torch.fake_quantize_per_channel_affine(
            x.float(), torch.tensor([0.5, 0.25, 0.125]), torch.zeros(3), 1, -128, 127
        ),
    ),
}


def _number(m: Any, truth: Any) -> Any:
    return m.cast(x=truth, dtype="int32")


def _both(m: Any, x: Any, y: Any) -> dict[str, Any]:
    zero = m.mul(x=x, y=m.sub(x=x, y=x))
    return {"x": m.greater(x=x, y=zero), "y": m.greater(x=y, y=zero)}


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def results(request: pytest.FixtureRequest, mil_program: Any) -> tuple[str, dict[str, np.ndarray]]:
    """All cases in one program, one output each."""
    kind = request.param
    numpy_type = TYPES[kind][0]

    def build(m: Any, inputs: Any) -> dict[str, Any]:
        constant = lambda value: np.asarray(value, numpy_type)[()]  # noqa: E731
        return {
            name.replace("-", "_") + "_out": make(m, inputs["x"], inputs["y"], constant)
            for name, (make, _) in CASES.items()
        }

    program = mil_program({"x": (X.shape, kind), "y": (Y.shape, kind)}, build)
    return kind, program.run({"x": X.astype(numpy_type), "y": Y.astype(numpy_type)})


@pytest.mark.parametrize("name", CASES)
def test_operation_equals_torch(name: str, results: tuple[str, dict[str, np.ndarray]]) -> None:
    kind, computed = results
    numpy_type, torch_type = TYPES[kind]
    got = computed[name.replace("-", "_") + "_out"]
    x, y = (torch.from_numpy(each).to(torch_type) for each in (X, Y))
    constant = lambda value: torch.as_tensor(np.asarray(value)).to(torch_type)  # noqa: E731
    wanted = CASES[name][1](x, y, constant)
    if wanted.is_floating_point():
        assert got.dtype == numpy_type
        # One unit in the last place: torch rounds float16 results of float32 work too, but adds in another order.
        tolerance = 2.0**-10 if kind == "fp16" else 1e-5
        wanted = wanted.to(torch_type).float().numpy()
        np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=tolerance, atol=1e-6)
    else:
        np.testing.assert_array_equal(got, wanted.numpy())


def test_no_operation_is_untested() -> None:
    elsewhere = {
        name for name in OPERATIONS if name.startswith("constexpr_")
    }  # tests/export/coreml/test_compression.py
    covered = {name.partition("-")[0] for name in CASES} | {"greater"} | elsewhere
    assert set(OPERATIONS) == covered
