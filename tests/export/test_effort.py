"""A checkpoint of gigabytes: torch's model, nothing left over, and a fall-back that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import vljepa_runtime as vj
from vljepa_evaluation.gates import GraphParity, Reference, check_gates, compare_outputs, misses
from vljepa_export import ExportReport, effort, export_bundle, ladder, walk
from vljepa_export.effort import GRAPH_BY_GRAPH, LARGE, WHOLE, effort_for, is_large
from vljepa_export.formats import FORMATS, Format
from vljepa_model.checkpoint import load_checkpoint
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, Certified
from vljepa_runtime.engines import open_engine
from vljepa_runtime.preprocessing.patches import fit_frames, patchify
from vljepa_runtime.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

PRECISION = {"y_encoder": "int8", "y_decoder_prefill": "int8", "y_decoder_step": "int8"}  # the rest is fp32


@pytest.fixture(scope="module", autouse=True)
def _every_checkpoint_is_large() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effort, "LARGE", 0)
        yield


@pytest.fixture(scope="module")
def report(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    target = tmp_path_factory.mktemp("streamed") / "streamed.vljepa"
    return export_bundle(small_checkpoint, target, precision=PRECISION)


@pytest.fixture(scope="module")
def openvino_report(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    pytest.importorskip("nncf")
    target = tmp_path_factory.mktemp("streamed") / "openvino.vljepa"
    return export_bundle(small_checkpoint, target, format="openvino", precision="int8")


def test_the_bundle_is_the_torch_model(report: ExportReport, small_checkpoint: Path) -> None:
    ours, checkpoint = (
        vj.load(report.path, engine="onnxruntime:cpu", threads=1),
        load_checkpoint(small_checkpoint),
    )
    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    patches, positions = patchify(fit_frames(frames, checkpoint.preprocess))
    ids, mask = Tokenizer.from_file(checkpoint.tokenizer_file).encode(["What is the action shown?"])
    with torch.no_grad():
        visual = checkpoint.model.x_encoder(
            torch.from_numpy(patches[None]), torch.from_numpy(positions[None])
        )
        expected = checkpoint.model.predictor(visual, torch.from_numpy(ids), torch.from_numpy(mask))[
            0
        ].numpy()
    got = ours.embed(frames, "What is the action shown?")
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert isinstance(ours.decode(got, max_tokens=3), str)
    assert ours.bundle.manifest.precision["y_decoder_step"] == "int8-dynamic"
    assert ours.bundle.manifest.precision["x_encoder"] == "fp32"


def test_weights_lie_beside_the_graphs_and_nothing_else_is_left(report: ExportReport) -> None:
    bundle = Bundle.open(report.path)
    assert report.path.is_dir()
    assert bundle.graph("y_decoder_step").external == bundle.graph("y_decoder_prefill").external
    assert {item.name for item in report.path.iterdir()} == {*bundle.manifest.files, "bundle.json"}
    assert [item.name for item in report.path.parent.iterdir()] == ["streamed.vljepa"]
    assert report.peak_rss_mb >= report.graphs[0].peak_rss_mb > 100
    assert report.shared_bytes == bundle.manifest.files["y_decoder.weights"].size


@pytest.mark.parametrize(
    ("precision", "tried"),
    [("int8", ("int8",)), ("int4", ("int4", "int8")), ({"x_encoder": "int8"}, ())],
    ids=["falls-back", "falls-back-twice", "named-stays-a-miss"],
)
def test_a_graph_outside_its_gates(
    precision: Any,
    tried: tuple[str, ...],
    small_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[GraphParity] = []

    def spoiled(*arguments: Any) -> GraphParity:
        found = walk_compare(*arguments)
        measured.append(found)
        outside = {"mean_cosine": 1.0, "p1_cosine": 1.0, "worst_cosine": 0.5, "psnr_db": 100.0}
        return found if len(measured) == 1 else replace(found, **outside)  # the first is the float graph

    walk_compare = ladder.compare
    monkeypatch.setattr(ladder, "compare", spoiled)
    monkeypatch.setattr(walk, "graphs_of", lambda config: ("x_encoder",))
    report = export_bundle(small_checkpoint, tmp_path / "b", precision=precision)
    (graph,) = report.graphs
    misses = {
        name: f"expected a worst cosine of at least {limits_for(name).worst_cosine}, got 0.5"
        for name in ("int8", "int4")
    }
    if not tried:
        assert (graph.precision, graph.misses) == ("int8-dynamic", (misses["int8"],))
        assert report.certified is Bundle.open(report.path).manifest.certified is Certified.NO
    else:
        assert (graph.precision, graph.misses) == ("fp32", ())
        assert graph.note == "kept in fp32: " + ", ".join(f"as {name} {misses[name]}" for name in tried)
        assert report.certified is Certified.NOT_JUDGED


def test_the_bundle_can_be_verified(report: ExportReport) -> None:
    """It carries what torch gave, graph by graph."""
    bundle = Bundle.open(report.path)
    results = check_gates(bundle, open_engine("onnxruntime:cpu"), Reference.of(bundle), limits=limits_for)
    assert results.passed, results
    assert all(graph.parity for graph in results.graphs)
    assert results.agreement is None


def test_openvino_graphs_are_quantised_from_disk_to_disk(openvino_report: ExportReport) -> None:
    bundle = Bundle.open(openvino_report.path)
    assert bundle.manifest.target == "openvino"
    assert bundle.manifest.calibration is not None
    assert bundle.manifest.calibration.samples == GRAPH_BY_GRAPH.calibration_clips < WHOLE.calibration_clips
    assert "int8-static" in bundle.manifest.precision.values()
    assert {item.name for item in openvino_report.path.iterdir()} == {*bundle.manifest.files, "bundle.json"}
    assert not any("built, not run" in graph.note for graph in openvino_report.graphs)
    results = check_gates(bundle, open_engine("openvino:cpu"), Reference.of(bundle), limits=limits_for)
    assert results.passed, results
    for graph, told in zip(results.graphs, openvino_report.graphs):
        assert graph.parity is not None
        assert told.parity is not None
        assert graph.parity.mean_cosine == pytest.approx(told.parity.mean_cosine, abs=2e-3)


def test_tensorrt_graphs_are_typed_from_disk_to_disk(small_checkpoint: Path, tmp_path: Path) -> None:
    report = export_bundle(small_checkpoint, tmp_path / "b", format="tensorrt", precision="int8")
    bundle = Bundle.open(report.path)
    tokens = bundle.manifest.preprocess.tokens
    assert bundle.graph("x_encoder").token_budgets == (tokens, tokens // 2)
    assert "int8-static" in bundle.manifest.precision.values()
    for name, samples in Reference.of(bundle).samples.items():
        session = onnxruntime.InferenceSession(
            bundle.read(bundle.graph(name).file), providers=["CPUExecutionProvider"]
        )
        found = [session.run(None, dict(sample.feeds)) for sample in samples]
        parity = compare_outputs([sample.outputs for sample in samples], found)
        assert not misses(limits_for(bundle.manifest.precision[name]).graph_gates(parity)), name


def test_engines_of_tensorrt_for_rtx_are_built_from_disk_to_disk(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has no wheel for this machine")
    report = export_bundle(
        small_checkpoint, tmp_path / "b", format="rtx", precision="fp16", token_budgets=(8,)
    )
    bundle = Bundle.open(report.path)
    assert bundle.graph("predictor").token_budgets == (8,)
    for graph in report.graphs:
        assert bundle.manifest.files[bundle.graph(graph.name).file].size > 100_000
        assert graph.parity is None
        assert "built, not run" in graph.note
        assert "the typed graph it was built from, in ONNX Runtime against torch: cosine mean" in graph.note


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in FORMATS.values()])
def test_the_table_says_which_formats_are_measured_end_to_end_at_any_size(
    row: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.safetensors").touch()
    assert effort_for(tmp_path, row) == (GRAPH_BY_GRAPH if row.streamed else WHOLE)
    monkeypatch.setattr(effort, "LARGE", 1)
    assert effort_for(tmp_path, row) == WHOLE


def test_only_checkpoints_of_gigabytes_are_large(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effort, "LARGE", LARGE)
    assert not is_large(small_checkpoint)
    assert not is_large(tmp_path)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(300 << 20)  # sparse: takes no space
    assert is_large(tmp_path)
