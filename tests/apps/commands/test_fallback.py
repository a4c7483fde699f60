"""No silent fall-back: an engine that is not there ends the run with a sentence, or is told in the first event."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vljepa_apps.main import main
from vljepa_runtime.engines import available_engines

SMALL = str(Path(__file__).parents[2] / "runtime" / "bundles" / "small.vljepa")
pytestmark = pytest.mark.skipif("onnxruntime:cuda" in available_engines(), reason="CUDA is here")


def test_cuda_that_is_not_there_is_one_sentence(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", SMALL, str(pictures), "--engine", "onnxruntime:cuda"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vljepa: onnxruntime:cuda: the installed ONNX Runtime has no CUDAExecutionProvider")
    assert "--allow-fallback" in err
    assert err.count("\n") == 1


def test_an_allowed_fall_back_is_told_in_the_first_event(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", SMALL, str(pictures), "--engine", "onnxruntime:cuda", "--allow-fallback"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["kind"] == "status"
    assert "small on onnxruntime:cpu (ONNX Runtime " in first["text"]
    assert "a fall-back: onnxruntime:cuda was asked for and is not here" in first["text"]


def test_what_runs_is_in_the_first_event_without_a_fall_back_too(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", SMALL, str(pictures), "--engine", "onnxruntime:cpu"]) == 0
    text = json.loads(capsys.readouterr().out.splitlines()[0])["text"]
    assert "CPUExecutionProvider" in text
    assert "fall-back" not in text
