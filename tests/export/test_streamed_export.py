"""Graph by graph onto disk: the same bundle as in one go, nothing left over, and a fall-back that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_export import ExportReport, export_bundle
from vljepa_export.errors import ParityError
from vljepa_export.request import prepare
from vljepa_export.streamed_export import export_streamed, is_large
from vljepa_quant import RECIPES
from vljepa_runtime.bundle import Bundle

MIXED = {"x_encoder": "int8", "predictor": "int8", "y_decoder_prefill": "int8", "y_decoder_step": "int8"}


@pytest.fixture(scope="module")
def reports(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportReport]:
    folder = tmp_path_factory.mktemp("streamed")
    streamed = export_streamed(prepare(small_checkpoint, folder / "streamed.vljepa", precision=MIXED))
    whole = export_bundle(small_checkpoint, folder / "whole.vljepa", precision=MIXED)
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
@pytest.mark.parametrize("as_mapping", [False, True], ids=["falls-back", "named-is-an-error"])
def test_a_graph_that_misses_its_parity(
    as_mapping: bool, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vljepa_export.streamed_export as streamed

    found = streamed.measure_file

    def spoiled(path: Path, *rest: Any) -> Any:
        parity = found(path, *rest)
        return parity if "fp32" in path.name else type(parity)(**{**vars_of(parity), "worst_cosine": 0.5})

    monkeypatch.setattr(streamed, "measure_file", spoiled)
    monkeypatch.setattr(streamed, "GRAPH_NAMES", ("x_encoder",))
    request = prepare(
        small_checkpoint, tmp_path / "b", precision={"x_encoder": "int8"} if as_mapping else "int8"
    )
    if as_mapping:
        with pytest.raises(ParityError, match=f"at least {RECIPES['int8'].worst_cosine}"):
            export_streamed(request)
        assert list(tmp_path.iterdir()) == []
    else:
        (graph,) = export_streamed(request).graphs
        assert graph.precision == "fp32"
        assert graph.note.startswith("kept in fp32: x_encoder: expected a worst cosine")


def vars_of(parity: Any) -> dict[str, float]:
    return {name: getattr(parity, name) for name in type(parity).__dataclass_fields__}


def test_only_large_checkpoints_are_streamed(small_checkpoint: Path, tmp_path: Path) -> None:
    assert not is_large(small_checkpoint)
    assert not is_large(tmp_path)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(300 << 20)  # sparse: takes no space
    assert is_large(tmp_path)
