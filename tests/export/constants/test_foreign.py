"""OpenVINO and Core ML files beside the float graph: what was exported is kept, and one planted fault is named."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from planted_files import Files, IrFiles, PackageFiles

pytest.importorskip("torch")

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.onnx_graph import OnnxGraph, reader
from vljepa_export.constants.proving import prove_graph
from vljepa_export.formats import FORMATS, load_target
from vljepa_export.targets.protocol import Array, Converted, TracedGraph
from vljepa_quant import precisions_of
from vljepa_runtime.contract import GraphContract, TensorSpec

# Pixels, a table that is read twice, both norms, a gate, heads that are turned and turned back, a length.
FLOATS = """
<ir_version: 10, opset_import: ["": 20]>
network (uint8[B, N, 48] patches, int32[B, L] ids) => (float[B, 96] embedding)
<int64[1] last = {-1}, int64[1] middle = {1}, int64[4] apart = {0, 0, 4, 16}, int64[3] together = {0, 0, 64},
 float two = {2.0}, float tiny = {1e-5}, float scale = {0.25}, float one = {1.0}, int64 zero = {0}, int64 step = {1}>
{
    bright = Cast <to = 1> (patches)
    patch = MatMul (bright, patch_weight)
    pixels = Add (patch, patch_bias)
    state = LayerNormalization <axis = -1, epsilon = 1e-5> (pixels, gamma, beta)
    words = Gather (table, ids)
    x = Concat <axis = 1> (state, words)
    square = Pow (x, two)
    mean = ReduceMean <keepdims = 1> (square, last)
    safe = Add (mean, tiny)
    root = Sqrt (safe)
    unit = Div (x, root)
    scaled = Mul (unit, norm)
    flat = MatMul (scaled, query_weight)
    heads = Reshape (flat, apart)
    turned = Transpose <perm = [0, 2, 1, 3]> (heads)
    query = Mul (turned, scale)
    other = MatMul (scaled, key_weight)
    others = Reshape (other, apart)
    key = Transpose <perm = [0, 2, 1, 3]> (others)
    across = Transpose <perm = [0, 1, 3, 2]> (key)
    scores = MatMul (query, across)
    near = Softmax <axis = -1> (scores)
    seen = MatMul (near, key)
    back = Transpose <perm = [0, 2, 1, 3]> (seen)
    flatter = Reshape (back, together)
    up = MatMul (flatter, up_weight)
    left, right = Split <axis = 2, num_outputs = 2> (up)
    gate = Sigmoid (left)
    open = Mul (left, gate)
    gated = Mul (open, right)
    smooth = Gelu (gated)
    count = Shape <start = 1, end = 2> (x)
    number = Squeeze (count)
    places = Range (zero, number, step)
    real = Cast <to = 1> (places)
    line = Unsqueeze (real, last)
    angles = Mul (line, frequencies)
    wave = Cos (angles)
    moved = Add (smooth, wave)
    sum = ReduceSum <keepdims = 0> (moved, middle)
    largest = Clip (sum, one)
    ratio = Div (sum, largest)
    embedding = Gemm <transB = 1> (ratio, table, head_bias)
}
"""
SHAPES = {
    "patch_weight": (48, 64), "patch_bias": (64,), "gamma": (64,), "beta": (64,), "norm": (64,), "table": (96, 64),
    "query_weight": (64, 64), "key_weight": (64, 64), "up_weight": (64, 128), "frequencies": (64,), "head_bias": (96,),
}  # fmt: skip
FLOATING, INTEGERS = ("fp32", "fp16", "bf16"), ("int8", "int8-weights", "int8-block32", "w8a8")
TOOLS = {"openvino": "nncf", "coreml": "coremltools"}
CONTRACT = GraphContract(
    name="network",
    inputs=(
        TensorSpec(name="patches", dtype="uint8", shape=("B", "N", 48)),
        TensorSpec(name="ids", dtype="int32", shape=("B", "L")),
    ),
    outputs=(TensorSpec(name="embedding", dtype="float32", shape=("B", 96)),),
)
CASES = [
    pytest.param(format, name, id=f"{format}-{name}")
    for format, tool in TOOLS.items()
    for name in precisions_of(format)
    if find_spec(tool) is not None
]
every_case = pytest.mark.parametrize(("format", "precision"), CASES)
Make = Callable[[str, str], Converted]
Prove = Callable[[str, str, dict[str, bytes] | None], ConstantsProof]


def model() -> onnx.ModelProto:
    random = np.random.default_rng(0)
    made = onnx.parser.parse_model(FLOATS)
    for name, shape in SHAPES.items():
        value = random.standard_t(5, shape).astype(np.float32) * 0.1
        value += float(name in ("gamma", "norm", "head_bias"))
        made.graph.initializer.append(numpy_helper.from_array(value, name))
    return made


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> TracedGraph:
    path = tmp_path_factory.mktemp("floats") / "network.onnx"
    onnx.save(model(), path)
    return TracedGraph(contract=CONTRACT, path=path, network=lambda: pytest.fail("not asked for"))


@pytest.fixture(scope="module")
def make(traced: TracedGraph, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`make(format, precision)`: the float graph, converted once."""
    random = np.random.default_rng(1)
    samples = [
        {
            "patches": random.integers(0, 256, (1, 8, 48), dtype=np.uint8),
            "ids": random.integers(0, 96, (1, 32), dtype=np.int32),
        }
        for _ in range(2)
    ]

    @cache
    def converted(format: str, precision: str) -> Converted:
        target, row = load_target(FORMATS[format]), precisions_of(format)[precision]
        folder = tmp_path_factory.mktemp(f"{format}-{precision}")
        return target.convert(traced, row, samples=samples, budgets=(), folder=folder)

    return converted


@pytest.fixture(scope="module")
def prove(make: Make, traced: TracedGraph) -> Prove:
    """`prove(format, precision, files)`: the files beside the float graph; None for those of the converter."""

    def proof(format: str, precision: str, files: dict[str, bytes] | None) -> ConstantsProof:
        made = make(format, precision)
        read = reader(made.files) if files is None else lambda name: memoryview(files[name])
        label = made.precision.label
        return prove_graph(
            "network", OnnxGraph.open(traced.path), made.spec, read, target=format, label=label
        )

    return proof


@every_case
def test_what_was_exported_is_what_was_meant(format: str, precision: str, prove: Prove) -> None:
    proof = prove(format, precision, None)
    assert proof.kept, proof
    assert proof.compared >= len(SHAPES) - (format == "coreml")  # the waves are worked out there
    assert (proof.quantised > 0) is (precision not in FLOATING)
    assert proof.worst_steps < 0.6


def codes(files: Files) -> list[Array]:
    """Matrices of the queries and the keys, in whatever they are stored; indices of 6 and 4 bits are bytes."""
    wide = {(64, 64), (64, 48), (64, 32)}
    return files.arrays(lambda array: array.shape in (wide if array.dtype == np.uint8 else {(64, 64)}))


def scales(files: Files) -> list[Array]:
    """What a step of them is worth, and palettes of theirs; that of the patches' matrix may come first."""
    shapes = {(1, 64), (64, 1), (64, 2), (4, 1, 64, 1), (8, 1, 16, 1)}
    return files.arrays(lambda array: array.dtype.kind == "f" and array.shape in shapes)


def other_element(files: Files) -> None:
    matrix = codes(files)[0]
    if matrix.dtype == np.uint8:
        matrix[3, 5] ^= 2
    elif matrix.dtype == np.int8:
        matrix[3, 5] += 2 if matrix[3, 5] < 0 else -2
    else:
        matrix[3, 5] *= 1.02


def other_rows(files: Files) -> None:
    matrix = codes(files)[0]
    matrix[[3, 40]] = matrix[[40, 3]]


def other_matrix(files: Files) -> None:
    """With its scales."""
    files.exchange(*codes(files))
    if worth := scales(files):
        files.exchange(*worth[-2:])


def a_code_more(files: Files) -> None:
    matrix = codes(files)[0]
    matrix[...] = np.minimum(matrix, 126) + 1


def other_scale(files: Files) -> None:
    """Or another entry of a palette."""
    scales(files)[-1].reshape(-1)[2] *= 1.02


def other_bias(files: Files) -> None:
    (bias,) = files.arrays(lambda array: array.shape in ((96,), (1, 96)) and bool(array.any()))
    bias *= 1.05


def other_smoothing(files: Files) -> None:
    files.arrays(lambda array: array.shape == (1, 1, 64), "smooth_quant")[0].reshape(-1)[7] *= 1.05


def other_activation(files: Files) -> None:
    files.activation()


def other_epsilon(files: Files) -> None:
    files.epsilon(1e-3)


MATRICES = ("query_weight", "key_weight")
QUANTISED = (*INTEGERS, "palette6", "palette4")
FAULTS = (  # what is planted, into which precisions, and what is named
    (other_element, (*FLOATING, *QUANTISED), MATRICES),
    (other_rows, (*FLOATING, *QUANTISED), MATRICES),
    (other_matrix, (*FLOATING, *QUANTISED), MATRICES),
    (a_code_more, INTEGERS, MATRICES),
    (other_scale, QUANTISED, MATRICES),
    (other_bias, (*FLOATING, *QUANTISED), ("head_bias",)),
    (other_smoothing, ("int8",), ("up_weight", *MATRICES)),
    (other_activation, ("int8", "w8a8"), ("fq_", "dequantize")),
    (other_epsilon, (*FLOATING, *QUANTISED), ("epsilon",)),
)
PLANTED = [
    pytest.param(*case.values, fault, named, id=f"{case.id}-{fault.__name__}")
    for case in CASES
    for fault, precisions, named in FAULTS
    if case.values[1] in precisions
    and not (fault in (other_smoothing, other_activation) and case.id == "coreml-int8")
]


@pytest.mark.parametrize(("format", "precision", "fault", "named"), PLANTED)
def test_one_fault_is_found_and_named(
    format: str,
    precision: str,
    fault: Callable[[Files], None],
    named: tuple[str, ...],
    make: Make,
    prove: Prove,
) -> None:
    made = make(format, precision)
    files: Files = IrFiles(made.files) if format == "openvino" else PackageFiles(made.files)
    fault(files)
    proof = prove(format, precision, files.files())
    assert proof.faults, proof
    assert all(any(name in told for name in named) for told in proof.faults), proof.faults
    assert not proof.unjudged
