"""Graph by graph onto disk: the same bundle as in one go, nothing left over, and a fall-back that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_data.gates import Reference, check, limits_for
from vljepa_export import ExportReport, export_bundle
from vljepa_export.request import prepare
from vljepa_export.streamed_export import export_streamed, is_large
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine

MIXED = {"x_encoder": "int8", "predictor": "int8", "y_decoder_prefill": "int8", "y_decoder_step": "int8"}


@pytest.fixture(scope="module")
def reports(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportReport]:
    folder = tmp_path_factory.mktemp("streamed")
    streamed = export_streamed(prepare(small_checkpoint, folder / "streamed.vljepa", precision=MIXED))
    whole = export_bundle(small_checkpoint, folder / "whole.vljepa", precision=MIXED, scenes=None)
    return {"streamed": streamed, "whole": whole}


@pytest.mark.slow
def test_both_ways_give_the_same_model(reports: dict[str, ExportReport]) -> None:
    streamed, whole = (
        vj.load(reports[way].path, engine="onnxruntime:cpu", threads=1) for way in ("streamed", "whole")
    )
    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    one, other = (model.embed(frames, "What is the action shown?") for model in (streamed, whole))
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert streamed.decode(one, max_tokens=5) == whole.decode(other, max_tokens=5)
    assert streamed.bundle.manifest.precision == whole.bundle.manifest.precision
    assert streamed.bundle.manifest.prompts == whole.bundle.manifest.prompts


@pytest.mark.slow
def test_weights_lie_beside_the_graphs_and_nothing_else_is_left(reports: dict[str, ExportReport]) -> None:
    path = reports["streamed"].path
    bundle = Bundle.open(path)
    assert path.is_dir()
    assert bundle.graph("y_decoder_step").external == bundle.graph("y_decoder_prefill").external
    assert {item.name for item in path.iterdir()} == {*bundle.manifest.files, "bundle.json"}
    assert {item.name for item in path.parent.iterdir()} == {"streamed.vljepa", "whole.vljepa"}
    assert reports["streamed"].peak_rss_mb >= reports["streamed"].graphs[0].peak_rss_mb > 100
    sizes = {way: sum(graph.bytes for graph in report.graphs) for way, report in reports.items()}
    assert sizes["streamed"] < 1.5 * sizes["whole"]


@pytest.mark.slow
@pytest.mark.parametrize("as_mapping", [False, True], ids=["falls-back", "named-stays-a-miss"])
def test_a_graph_outside_its_gates(
    as_mapping: bool, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vljepa_export.streamed_export as streamed

    found = streamed._Export._measure

    def spoiled(self: Any, item: Any, path: Path) -> Any:
        parity = found(self, item, path)
        return parity if "fp32" in path.name else type(parity)(**{**vars_of(parity), "worst_cosine": 0.5})

    monkeypatch.setattr(streamed._Export, "_measure", spoiled)
    monkeypatch.setattr(streamed, "GRAPH_NAMES", ("x_encoder",))
    request = prepare(
        small_checkpoint, tmp_path / "b", precision={"x_encoder": "int8"} if as_mapping else "int8"
    )
    report = export_streamed(request)
    (graph,) = report.graphs
    miss = f"expected a worst cosine of at least {limits_for('int8').worst_cosine}, got 0.5"
    if as_mapping:
        assert (graph.precision, graph.misses) == ("int8-dynamic", (miss,))
        assert report.certified is Bundle.open(report.path).manifest.certified is False
    else:
        assert (graph.precision, graph.misses) == ("fp32", ())
        assert graph.note == f"kept in fp32: as int8 {miss}"
        assert report.certified is None


@pytest.mark.slow
def test_the_bundle_can_be_verified(reports: dict[str, ExportReport]) -> None:
    """It carries what torch gave, graph by graph."""
    bundle = Bundle.open(reports["streamed"].path)
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
