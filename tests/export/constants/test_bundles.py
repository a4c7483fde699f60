"""Whole bundles beside the float bundle of their checkpoint, at any size, and what an export says of its own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vljepa_apps.main import main
from vljepa_evaluation.gates import judge_constants
from vljepa_export import effort, export_bundle
from vljepa_export.constants import prove_bundle
from vljepa_export.constants.proving import TARGETS
from vljepa_quant import int8
from vljepa_runtime.bundle import Bundle, Certified, write_bundle

GRAPHS = ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step")
Exported = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def streamed(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """`streamed(format, precision)`: a folder as a checkpoint of gigabytes gives it, made at its first use."""
    place = tmp_path_factory.mktemp("streamed")

    def bundle(format: str, precision: str) -> Path:
        path = place / f"{format}-{precision}.vljepa"
        if not path.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(effort, "LARGE", 0)
                wanted = dict.fromkeys(
                    GRAPHS, precision
                )  # none may fall back: noise is far from float in 4 bits
                report = export_bundle(small_checkpoint, path, format=format, precision=wanted)
            assert all(graph.constants and graph.constants.kept for graph in report.graphs)
        return path

    return bundle


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "precision"),
    [("onnx", "fp32"), ("onnx", "int8"), ("onnx", "int4"), ("tensorrt", "int8"), ("tensorrt", "fp8")],
)
def test_a_streamed_bundle_is_what_was_meant(format: str, precision: str, streamed: Exported) -> None:
    with Bundle.open(streamed(format, precision)) as bundle, Bundle.open(streamed("onnx", "fp32")) as floats:
        proofs = prove_bundle(bundle, floats)
        assert [proof.name for proof in proofs] == [*GRAPHS, "tokenizer.json", "bundle.json"]
        assert judge_constants(proofs).verdict == "kept", proofs
        assert all(proof.quantised for proof in proofs[:5]) == (precision != "fp32")
        assert bundle.manifest.constants == {proof.name: proof.compared for proof in proofs[:5]}


@pytest.mark.slow
def test_verify_names_what_is_wrong(
    streamed: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    floats = streamed("onnx", "fp32")
    with Bundle.open(streamed("onnx", "int8")) as bundle:
        files = {name: bundle.read(name) for name in bundle.manifest.files}
        manifest = bundle.manifest
    weights = bytearray(files["predictor.weights"])
    weights[4096 * 2] ^= 0x40
    files["predictor.weights"] = bytes(weights)
    faulty = tmp_path / "faulty.vljepa"
    write_bundle(faulty, replace(manifest, files={}), files).close()
    assert main(["verify", str(faulty), "--gates", "graphs", "--against", str(floats), "--json"]) == 1
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["judgements"]}
    assert found["constants"]["verdict"] == "missed"
    assert all(miss.startswith("predictor: ") for miss in found["constants"]["misses"])
    assert main(["verify", str(streamed("onnx", "int8")), "--gates", "graphs"]) == 0


@pytest.mark.slow
def test_a_bundle_that_nothing_here_runs_is_compared_all_the_same(
    streamed: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, floats = str(streamed("tensorrt", "fp8")), str(streamed("onnx", "fp32"))
    assert main(["verify", typed, "--gates", "constants", "--against", floats]) == 0
    assert capsys.readouterr().out.endswith("all that is fixed is what was meant; nothing was run\n")
    assert main(["verify", typed, "--gates", "constants"]) == 1
    assert "pass --against FP32_BUNDLE" in capsys.readouterr().err


@pytest.mark.slow
def test_an_export_that_writes_other_constants_certifies_nothing(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coarse(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, scales = plain(weight)
        return rows, scales * np.float32(1.02)

    plain = int8.quantise_rows
    monkeypatch.setattr(int8, "quantise_rows", coarse)
    report = export_bundle(small_checkpoint, tmp_path / "b", precision={"y_encoder": "int8"}, scenes=None)
    faulty = {graph.name: graph.misses for graph in report.graphs if graph.misses}
    assert list(faulty) == ["y_encoder"]
    assert "embed.weight.scale: expected" in "".join(faulty["y_encoder"])
    assert report.certified is Certified.NO
    with Bundle.open(report.path) as bundle:
        assert set(bundle.manifest.constants) == set(GRAPHS) - {"y_encoder"}


def test_what_nothing_reads_back_is_not_judged(streamed: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bundle.open(streamed("onnx", "fp32")) as floats:
        monkeypatch.delitem(TARGETS, "onnx")
        judged = judge_constants(prove_bundle(floats, floats))
        assert judged.verdict == "not judged"
        assert judged.unjudged[0] == "x_encoder: nothing here reads the constants of onnx files back"
