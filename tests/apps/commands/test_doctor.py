"""`vljepa doctor`: every engine gets a real run; a failing one is a row, not the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

import vljepa_runtime as vj
from vljepa_apps.main import main
from vljepa_apps.measure.doctor import missing
from vljepa_apps.measure.machine import installed
from vljepa_runtime.engines import engine_names
from vljepa_runtime.errors import EngineError


@pytest.fixture
def loader(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception | None]:
    """`vj.load` gives the shipped model, unless this table names an error for the engine."""
    errors: dict[str, Exception | None] = dict.fromkeys(engine_names())

    def load(bundle: str, *, engine: str) -> Any:
        if error := errors[engine]:
            raise error
        return tiny

    monkeypatch.setattr(vj, "load", load)
    return errors


def test_each_engine_is_a_row(
    loader: dict[str, Exception | None], capsys: pytest.CaptureFixture[str]
) -> None:
    loader["onnxruntime:cuda"] = EngineError("no CUDA here:\n install onnxruntime-gpu")
    loader["onnxruntime:tensorrt"] = RuntimeError("a vendor's crash")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    rows = {
        line.split()[0]: line
        for line in out.partition("\nengines,")[2].splitlines()
        if line.startswith("  ") and line.split()[0] in engine_names()
    }
    assert list(rows) == list(engine_names())
    assert "ONNX Runtime" in rows["onnxruntime:cpu"]
    assert "no CUDA here: install onnxruntime-gpu" in rows["onnxruntime:cuda"]
    assert "RuntimeError: a vendor's crash" in rows["onnxruntime:tensorrt"]


def test_json_compares_each_engine_with_the_first(
    loader: dict[str, Exception | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    first, second, *_ = report["engines"]
    assert first["runs"]
    assert first["cosine"] is None
    assert second["cosine"] == pytest.approx(1)
    assert first["window_ms"] >= 0
    assert report["packages"]["numpy"]
    assert report["machine"]["python"]
    assert report["video"]["read h264"] is True


def test_no_engine_at_all_is_a_failure(
    loader: dict[str, Exception | None], capsys: pytest.CaptureFixture[str]
) -> None:
    loader.update(dict.fromkeys(loader, EngineError("not here")))
    assert main(["doctor", "--json"]) == 1
    assert not any(engine["runs"] for engine in json.loads(capsys.readouterr().out)["engines"])


def test_a_missing_package_names_its_extra() -> None:
    assert installed("no-such-distribution") is None
    assert missing("torch") == "not installed (pip install 'vljepa-edge[train]')"
    assert missing("numpy") == "not installed"
