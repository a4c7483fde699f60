"""`vljepa embed`: rows for a clip and for texts, on stdout or as a NumPy file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.main import main


def test_a_clip_and_texts_with_their_similarity(
    tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", "tiny", str(pictures), "--text", "a red ball", "--query", "What?"]) == 0
    clip, text = capsys.readouterr().out.splitlines()
    cosine = tiny.embed_text(["a red ball"])[0] @ tiny.embed(vj.read_clip(pictures, tiny.preprocess), "What?")
    assert clip.startswith(str(pictures))
    assert "cosine  1.000" in clip
    assert text.startswith("a red ball")
    assert f"cosine {cosine:6.3f}" in text
    assert tiny.query == "What?"


def test_texts_alone_as_json(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "tiny", "--text", "a", "--text", "b", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [row["of"] for row in results] == ["a", "b"]
    assert np.linalg.norm(results[0]["embedding"]) == pytest.approx(1)


def test_the_file_holds_the_rows(
    tiny: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.npy"
    arguments = ["embed", "tiny", str(pictures), "--text", "a", "--out", str(out)]
    assert main(arguments) == 0
    rows = np.load(out)
    assert (rows.shape, rows.dtype) == ((2, 256), np.float32)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]

    capsys.readouterr()
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_nothing_to_embed_is_one_sentence(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "tiny"]) == 1
    assert "--text TEXT" in capsys.readouterr().err
