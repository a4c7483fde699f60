"""Every row of the table of precisions, in each of its formats: the shipped model's predictor keeps its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from vljepa_evaluation.gates import EIGHT_BIT, Sample, misses
from vljepa_export.footage import world_footage
from vljepa_export.formats import FORMATS, load_target
from vljepa_export.graphs import graph_definition
from vljepa_export.mil import MilProgram
from vljepa_export.parity import compare
from vljepa_export.request import prepare
from vljepa_export.samples import SampleChain
from vljepa_export.targets.protocol import TracedGraph
from vljepa_export.walk import trace
from vljepa_model.checkpoint import open_checkpoint
from vljepa_quant import PRECISIONS, Precision, Weights, limits_for, precisions, precisions_of
from vljepa_quant.weights_file import WeightsFile
from vljepa_runtime.errors import MissingExtraError

# An engine of TensorRT for RTX takes long to build, and comes from the graph that TensorRT gets (test_tensorrt.py).
CASES = [
    pytest.param(format, row, id=f"{format}-{name}")
    for format in FORMATS
    if format != "tensorrt-rtx"
    for name, row in precisions_of(format).items()
]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> tuple[TracedGraph, Sequence[Sample]]:
    """Attention, a table, a mask and a norm, with what torch gives for whole windows."""
    folder = tmp_path_factory.mktemp("predictor")
    opened = open_checkpoint(prepare("tiny", folder / "unwritten.vljepa").folder)
    chain = SampleChain(opened, world_footage(opened.preprocess, clips=2), sizes=(opened.preprocess.tokens,))
    chain.feeds(graph_definition("x_encoder", opened.x_encoder(), opened.config))
    definition = graph_definition("predictor", opened.predictor(), opened.config)
    with WeightsFile(folder / "predictor.weights") as weights:
        traced = trace(definition, weights, opened.predictor)
    return traced, chain.samples(definition)


def has_stored_what_the_row_says(program: MilProgram, precision: Precision) -> None:
    found = Counter(item.kind for item in program.functions[program.default].operations)
    assert (found["quantize"] > 0) == precision.calibrated
    assert (found["constexpr_blockwise_shift_scale"] > 0) == (precision.method == "int8")
    assert (found["constexpr_lut_to_dense"] > 0) == (precision.method == "palette")


@pytest.mark.parametrize(("format", "precision"), CASES)
def test_a_graph_in_this_precision_keeps_its_limits(
    format: str,
    precision: Precision,
    predictor: tuple[TracedGraph, Sequence[Sample]],
    tmp_path: Path,
) -> None:
    traced, samples = predictor
    try:
        target = load_target(FORMATS[format])
    except MissingExtraError as error:
        pytest.skip(str(error))
    feeds = [sample.feeds for sample in samples]
    made = target.convert(traced, precision, samples=feeds, budgets=(), folder=tmp_path)
    assert made.precision is precision
    if format == "coreml":
        has_stored_what_the_row_says(MilProgram.open(made.files[made.spec.file].parent), precision)
    parity = compare(traced.contract, samples, made.open())
    assert misses(precision.limits.graph_gates(parity)) == ()


def test_a_row_is_all_that_a_precision_of_a_known_method_needs(
    predictor: tuple[TracedGraph, Sequence[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Precision(
        name="int8-block64", formats=("tensorrt",), label="int8-block64", limits=EIGHT_BIT, milder="fp16",
        execution="f16", method="qdq", weights=Weights(dtype="int8", block=64),
    )  # fmt: skip
    monkeypatch.setattr(precisions, "PRECISIONS", (*PRECISIONS, row))
    request = prepare("tiny", tmp_path / "unwritten.vljepa", format="tensorrt", precision="int8-block64")
    assert request.precisions["predictor"] is row
    assert limits_for("int8-block64") is EIGHT_BIT
    traced, samples = predictor
    feeds = [sample.feeds for sample in samples]
    made = load_target(request.format).convert(traced, row, samples=feeds, budgets=(), folder=tmp_path)
    parity = compare(traced.contract, samples, made.open())
    assert misses(row.limits.graph_gates(parity)) == ()
