from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from vljepa_apps.main import main


@pytest.fixture(scope="module")
def parts(public: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`import parts` with small folders."""
    root = tmp_path_factory.mktemp("parts")
    for name, writer in (
        ("vision", public.write_vision),
        ("llama", public.write_llama),
        ("gemma", public.write_gemma),
    ):
        (root / name).mkdir()
        writer(root / name)
    folders = [word for name in ("vision", "llama", "gemma") for word in (f"--{name}", str(root / name))]
    return ["import", "parts", *folders, "--layers", "2", "--dim", "24", "--frames", "4"]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_result_on_stdout_and_the_next_step_on_stderr(
    as_json: bool, parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert main([*parts, "-o", str(out), *["--json"] * as_json]) == 0
    captured = capsys.readouterr()
    if as_json:
        report = json.loads(captured.out)
        assert set(report["parameters"]) == {"x_encoder", "predictor", "y_encoder"}
        assert report["bytes"] == (out / "model.safetensors").stat().st_size
    else:
        assert "windows of 4 frames of 16 px, embeddings of 24" in captured.out
        assert f"next: vljepa export {out}" in captured.err


def test_nothing_is_overwritten_without_force(
    parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*parts, "-o", str(tmp_path)]) == 0
    assert main([*parts, "-o", str(tmp_path)]) == 1
    assert "choose another folder or pass --force" in capsys.readouterr().err
    assert main([*parts, "-o", str(tmp_path), "--force"]) == 0


def test_a_mistake_is_one_sentence(
    parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*parts, "--decoder", str(tmp_path), "-o", str(tmp_path / "mine")]) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vljepa:")]
    assert error == [f"vljepa: {tmp_path} lacks config.json: name the whole model folder"]
    assert not (tmp_path / "mine").exists()


def test_a_kind_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["import"])
    assert stopped.value.code == 2
    assert "KIND" in capsys.readouterr().err
