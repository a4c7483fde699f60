"""OpenVINO bundles of a small checkpoint: certified, quiet, and run by the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nncf")

import vljepa_runtime as vj
from vljepa_apps.main import main
from vljepa_evaluation.gates import EIGHT_BIT, REFERENCE_FILE, Limits, Reference, Scenes, check_gates
from vljepa_export import ExportReport, export_bundle
from vljepa_quant import Precision, limits_for, precisions_of
from vljepa_runtime.bundle import Bundle, Certified
from vljepa_runtime.engines import open_engine

pytestmark = pytest.mark.slow

FEW = Scenes(clips=2, seconds=4.0)


@pytest.fixture(scope="module")
def exported(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """The default precision, with its gates."""
    out = tmp_path_factory.mktemp("openvino") / "small.vljepa"
    return export_bundle(small_checkpoint, out, format="ov", scenes=FEW)


def test_the_bundle_says_what_it_is(exported: ExportReport) -> None:
    manifest = Bundle.open(exported.path).manifest
    assert manifest.target == "openvino"
    assert exported.certified is manifest.certified is Certified.YES
    assert set(manifest.execution.values()) <= {"bf16", "f32"}
    assert manifest.precision["y_decoder_step"] in ("int8-weights", "fp32")
    assert manifest.calibration is not None
    assert {"openvino", "nncf"} <= set(manifest.toolchain)
    assert exported.agreement is not None
    assert manifest.gates["embedding_worst"] == pytest.approx(exported.agreement.embedding_worst, abs=1e-5)


def test_the_engine_does_what_the_exporter_measured(exported: ExportReport) -> None:
    bundle = Bundle.open(exported.path)
    results = check_gates(
        bundle, open_engine("auto", target="openvino"), Reference.of(bundle), limits=limits_for
    )
    assert results.engine.startswith("openvino:cpu")
    assert results.passed, results
    assert results.agreement is not None


def test_auto_runs_it_and_decodes(exported: ExportReport) -> None:
    model = vj.load(exported.path)
    assert model.engine_name == "openvino:cpu"
    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    assert isinstance(model.decode(model.embed(frames, query="What is the action shown?")), str)


def test_the_files_hold_no_path(exported: ExportReport) -> None:
    bundle = Bundle.open(exported.path)
    for name in bundle.manifest.files:
        if name != REFERENCE_FILE:
            data = bundle.read(name)
            assert b"/tmp" not in data, name
            assert b"/work" not in data, name


def hold_int8_to(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every format's int8 cost something else."""
    from vljepa_export import formats

    def changed(format: str) -> dict[str, Precision]:
        rows = precisions_of(format)
        return {**rows, "int8": replace(rows["int8"], limits=limits)}

    monkeypatch.setattr(formats, "precisions_of", changed)


def test_a_graph_that_misses_takes_the_next_milder_precision(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_int8_to(replace(EIGHT_BIT, psnr_db=1000.0), monkeypatch)
    report = export_bundle(
        small_checkpoint, tmp_path / "b.vljepa", format="openvino", precision="int8", scenes=None
    )
    for graph in report.graphs:
        assert graph.precision == "int8-weights"
        assert graph.note.startswith("kept in int8-weights: as int8 expected a ")
        assert "PSNR in dB of at least 1000" in graph.note


def test_outside_its_gates_it_is_written_uncertified_and_exit_1(
    small_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    impossible = replace(EIGHT_BIT, mean_cosine=2, p1_cosine=2, worst_cosine=2)
    hold_int8_to(impossible, monkeypatch)
    out = tmp_path / "off.vljepa"
    arguments = ["--precision", "predictor=int8", "--gates", "graphs", "-o", str(out)]
    assert main(["export", str(small_checkpoint), *arguments]) == 1
    printed = capsys.readouterr()
    assert "gate missed: predictor: expected a mean cosine of at least 2" in printed.out
    assert "certified: false" in printed.err
    assert Bundle.open(out).manifest.certified is Certified.NO
    assert main(["inspect", str(out)]) == 0
    assert "no, it missed a gate where it was exported" in capsys.readouterr().out
