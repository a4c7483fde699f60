"""The decoder's step on a cache of fixed length beside the float one, whose cache grows: its tables, what it hides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from planted_files import Files, PackageFiles

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("coremltools")

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.onnx_graph import OnnxGraph, reader
from vljepa_export.constants.proving import prove_graph
from vljepa_export.graphs import graph_definition
from vljepa_export.targets.coreml import convert
from vljepa_export.targets.protocol import Converted, TracedGraph
from vljepa_export.walk import trace
from vljepa_model.checkpoint import load_checkpoint
from vljepa_quant import WeightsFile, precisions_of
from vljepa_runtime.contract import STEP

Step = tuple[TracedGraph, Converted]


@pytest.fixture(scope="module")
def step(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Step:
    model = load_checkpoint(small_checkpoint).model
    folder, definition = (
        tmp_path_factory.mktemp("step"),
        graph_definition(STEP, model.y_decoder, model.config),
    )
    with WeightsFile(folder / "step.weights") as weights:
        traced = trace(definition, weights, lambda: model.y_decoder)
    made = convert(traced, precisions_of("coreml")["fp32"], samples=[], folder=folder)
    return traced, made


def prove(step: Step, files: dict[str, bytes] | None = None) -> ConstantsProof:
    traced, made = step
    read = reader(made.files) if files is None else lambda name: memoryview(files[name])
    floats = OnnxGraph.open(traced.path)
    return prove_graph(STEP, floats, made.spec, read, target="coreml", label=made.precision.label)


def test_its_rows_are_what_the_float_graph_gives_for_each_length(step: Step) -> None:
    proof = prove(step)
    assert proof.kept, proof
    assert proof.compared > 8


def turned(files: Files) -> None:
    files.arrays(lambda array: array.shape == (64, 1, 8))[0][17, 0, 1] *= 1.001


def exchanged(files: Files) -> None:
    files.exchange(*files.arrays(lambda array: array.shape == (64, 1, 8)))


def shown(files: Files) -> None:
    files.arrays(lambda array: array.shape == (64, 64))[0][30, 30] = 0


def hidden(files: Files) -> None:
    files.arrays(lambda array: array.shape == (64, 64))[0][30, 29] = -1e4


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (turned, "at length 17"),
        (exchanged, "at length"),
        (shown, "hide what lies past its length"),
        (hidden, "hide what lies past its length"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_row_is_found(plant: Callable[[Files], None], told: str, step: Step) -> None:
    files = PackageFiles(step[1].files)
    plant(files)
    faults = prove(step, files.files()).faults
    assert faults
    assert all(told in fault for fault in faults), faults
