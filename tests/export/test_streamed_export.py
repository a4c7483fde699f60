"""Graph by graph onto disk: torch's model, nothing left over, and a fall-back that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vljepa_runtime as vj
from vljepa_data.gates import Reference, check, limits_for
from vljepa_export import ExportReport
from vljepa_export.request import prepare
from vljepa_export.streamed_export import export_streamed, is_large
from vljepa_model.checkpoint import load_checkpoint
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.patches import patchify
from vljepa_runtime.tokenizer import Tokenizer

PRECISION = {"y_encoder": "int8", "y_decoder_prefill": "int8", "y_decoder_step": "int8"}  # the rest is fp32


@pytest.fixture(scope="module")
def report(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    target = tmp_path_factory.mktemp("streamed") / "streamed.vljepa"
    return export_streamed(prepare(small_checkpoint, target, precision=PRECISION))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_bundle_is_the_torch_model(report: ExportReport, small_checkpoint: Path) -> None:
    ours, checkpoint = (
        vj.load(report.path, engine="onnxruntime:cpu", threads=1),
        load_checkpoint(small_checkpoint),
    )
    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    patches, positions = patchify(frames, checkpoint.preprocess)
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


@pytest.mark.slow
def test_weights_lie_beside_the_graphs_and_nothing_else_is_left(report: ExportReport) -> None:
    bundle = Bundle.open(report.path)
    assert report.path.is_dir()
    assert bundle.graph("y_decoder_step").external == bundle.graph("y_decoder_prefill").external
    assert {item.name for item in report.path.iterdir()} == {*bundle.manifest.files, "bundle.json"}
    assert [item.name for item in report.path.parent.iterdir()] == ["streamed.vljepa"]
    assert report.peak_rss_mb >= report.graphs[0].peak_rss_mb > 100
    assert report.shared_bytes == bundle.manifest.files["y_decoder.weights"].size


@pytest.mark.slow
@pytest.mark.timeout(1200)
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
    import vljepa_export.streamed_export as streamed

    found = streamed._Export._measure

    def spoiled(self: Any, item: Any, path: Path) -> Any:
        parity = found(self, item, path)
        spoiled = {"mean_cosine": 1.0, "p1_cosine": 1.0, "worst_cosine": 0.5, "psnr_db": 100.0}
        return parity if "fp32" in path.name else type(parity)(**{**vars_of(parity), **spoiled})

    monkeypatch.setattr(streamed._Export, "_measure", spoiled)
    monkeypatch.setattr(streamed, "GRAPH_NAMES", ("x_encoder",))
    report = export_streamed(prepare(small_checkpoint, tmp_path / "b", precision=precision))
    (graph,) = report.graphs
    misses = {
        name: f"expected a worst cosine of at least {limits_for(name).worst_cosine}, got 0.5"
        for name in ("int8", "int4")
    }
    if not tried:
        assert (graph.precision, graph.misses) == ("int8-dynamic", (misses["int8"],))
        assert report.certified is Bundle.open(report.path).manifest.certified is False
    else:
        assert (graph.precision, graph.misses) == ("fp32", ())
        assert graph.note == "kept in fp32: " + ", ".join(f"as {name} {misses[name]}" for name in tried)
        assert report.certified is None


@pytest.mark.slow
def test_the_bundle_can_be_verified(report: ExportReport) -> None:
    """It carries what torch gave, graph by graph."""
    bundle = Bundle.open(report.path)
    verdict = check(bundle, open_engine("onnxruntime:cpu"), Reference.of(bundle))
    assert verdict.passed, verdict
    assert all(graph.parity for graph in verdict.graphs)
    assert verdict.agreement is None


def vars_of(parity: Any) -> dict[str, float]:
    return {name: getattr(parity, name) for name in type(parity).__dataclass_fields__}


def test_only_large_checkpoints_are_streamed(small_checkpoint: Path, tmp_path: Path) -> None:
    assert not is_large(small_checkpoint)
    assert not is_large(tmp_path)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(300 << 20)  # sparse: takes no space
    assert is_large(tmp_path)
