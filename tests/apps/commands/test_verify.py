"""`vljepa verify`: the gates again, from a light install, with an exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import vljepa_evaluation.gates as gates
from vljepa_apps.main import main
from vljepa_evaluation.gates import (
    REFERENCE_FILE,
    Footage,
    Reference,
    Scenes,
    draw_footage,
    record_behaviour,
    record_reference,
)
from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.model import Model


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Scenes alone: with what users do, see tests/evaluation/gates/test_usage.py, it would take its time."""
    tiny, engine, scenes = Bundle.open("tiny"), open_engine("onnxruntime:cpu"), Scenes(clips=2, seconds=4.0)
    seen = record_behaviour(Model(tiny, engine), tiny.manifest.preprocess, scenes)
    return replace(record_reference(tiny, engine), scenes=scenes, behaviour=seen)


def written(path: Path, reference: Reference | None, **changes: object) -> str:
    tiny = Bundle.open("tiny")
    files: dict[str, bytes | Path] = {
        name: tiny.read(name) for name in tiny.manifest.files if name != REFERENCE_FILE
    }
    if reference is not None:
        files[REFERENCE_FILE] = reference.to_bytes()
    write_bundle(path, replace(tiny.manifest, **changes), files)  # type: ignore[arg-type]
    return str(path)


def test_a_sound_bundle_passes(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", written(tmp_path / "sound.vljepa", reference)]) == 0
    out = capsys.readouterr().out
    assert "tiny on onnxruntime:cpu (ONNX Runtime" in out
    assert "top-5 overlap on hard negatives" in out
    assert out.endswith("all gates kept\n")


def test_one_outside_its_gates_exits_1_and_says_which(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = dict(reference.samples)
    samples["predictor"] = tuple(
        replace(sample, outputs=tuple(-array for array in sample.outputs)) for sample in samples["predictor"]
    )
    path = written(tmp_path / "off.vljepa", Reference(samples=samples))
    assert main(["verify", path, "--gates", "graphs", "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert not verdict["passed"]
    assert [graph["name"] for graph in verdict["graphs"] if graph["misses"]] == ["predictor"]
    assert verdict["agreement"] is None
    assert main(["verify", path, "--gates", "graphs"]) == 1
    assert "gate missed: predictor: expected a mean cosine of at least" in capsys.readouterr().out


def test_one_that_cannot_be_judged_exits_3_and_says_why(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reference.behaviour is not None
    elsewhere = replace(reference, behaviour=replace(reference.behaviour, checksum=1))
    path = written(tmp_path / "elsewhere.vljepa", elsewhere)
    assert main(["verify", path]) == 3
    out = capsys.readouterr().out
    assert (
        "distance not judged: this machine or version, or an edit of bundle.json, gives other pixels" in out
    )
    assert "all gates kept" not in out
    assert main(["verify", path, "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["passed"]) == ("not judged", False)


def test_an_edited_manifest_exits_1_and_says_what_was_edited(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Bundle.open("tiny").manifest
    sealed = replace(reference, scenes=None, behaviour=None).sealed(tiny)
    assert main(["verify", written(tmp_path / "renamed.vljepa", sealed, name="door")]) == 0
    capsys.readouterr()
    path = written(tmp_path / "edited.vljepa", sealed, prompts={**tiny.prompts, "caption": "Why?"})
    assert main(["verify", path]) == 1
    assert "seal missed: bundle.json says something else" in capsys.readouterr().out
    assert main(["verify", path, "--json"]) == 1
    (seal,) = (item for item in json.loads(capsys.readouterr().out)["judgements"] if item["name"] == "seal")
    assert seal["verdict"] == "missed"
    assert "(prompts.caption)" in seal["misses"][0]


def test_against_another_bundle_needs_float_graphs_of_the_same_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "Scenes", lambda: Scenes(clips=1, seconds=3.0))
    whole = draw_footage()[0]
    piece = Footage(frames=whole.frames[:14], times_s=whole.times_s[:15])
    monkeypatch.setattr("vljepa_evaluation.gates.recorder.draw_footage", lambda: (piece,))
    bare = written(tmp_path / "bare.vljepa", None)
    assert main(["verify", bare]) == 1
    assert "carries no reference.safetensors" in capsys.readouterr().err
    assert main(["verify", bare, "--against", bare]) == 1
    assert "expected an fp32 ONNX bundle" in capsys.readouterr().err
    floats = dict.fromkeys(Bundle.open(bare).manifest.graphs, "fp32")
    source = replace(Bundle.open(bare).manifest.source, checkpoint_sha256="0" * 64)
    other = written(tmp_path / "other.vljepa", None, precision=floats, source=source)
    assert main(["verify", bare, "--against", other]) == 1
    assert "another checkpoint" in capsys.readouterr().err
    same = written(tmp_path / "same.vljepa", None, precision=floats)
    assert main(["verify", bare, "--against", same]) == 0
    assert "all gates kept" in capsys.readouterr().out


def test_it_needs_no_torch(reference: Reference, tmp_path: Path) -> None:
    import subprocess
    import sys

    path = written(tmp_path / "sound.vljepa", Reference(samples=reference.samples))
    code = (
        "import sys; from vljepa_apps.main import main; code = main(['verify', sys.argv[1]])\n"
        "assert not {'torch', 'onnx', 'openvino'} & set(sys.modules); sys.exit(code)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False, timeout=120).returncode == 0
