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
from vljepa_runtime.errors import EngineError, MissingExtraError


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


def test_engines_that_run_come_first_and_the_reasons_of_others_once(
    loader: dict[str, Exception | None], capsys: pytest.CaptureFixture[str]
) -> None:
    loader["onnxruntime:cuda"] = EngineError("no CUDA here:\n install onnxruntime-gpu")
    loader["onnxruntime:tensorrt"] = RuntimeError("a vendor's crash")
    for device in ("cpu", "gpu"):
        loader[f"coreml:{device}"] = EngineError(
            "Core ML runs on macOS, or pass allow_fallback=True (--allow-fallback)"
        )
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    run, _, rest = out.partition("\nengines that do not\n")
    rows = run.partition("\nengines that run tiny\n")[2].partition("\n\n")[0].splitlines()[2:]
    assert [row.split()[0] for row in rows] == [name for name in engine_names() if not loader[name]]
    assert "  onnxruntime:cpu (ONNX Runtime" in run
    assert rest.splitlines() == [
        "  onnxruntime:cuda: no CUDA here: install onnxruntime-gpu",
        "  onnxruntime:tensorrt: RuntimeError: a vendor's crash",
        "  coreml:cpu, coreml:gpu: Core ML runs on macOS",
    ]


def test_a_page_holds_it(loader: dict[str, Exception | None], capsys: pytest.CaptureFixture[str]) -> None:
    loader["openvino:gpu"] = EngineError("no GPU here: " + "install it; " * 30)
    assert main(["doctor"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


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
    assert missing("torch") == f"not installed ({MissingExtraError.install_command('train')})"
    assert missing("numpy") == "not installed"
