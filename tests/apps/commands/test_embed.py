"""`vljepa embed`: rows for a clip and for texts, on stdout or as a NumPy file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_apps.main import main


def test_a_clip_and_texts_with_their_similarity(
    model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", "toy", str(pictures), "--text", "a red ball", "--query", "What?"]) == 0
    clip, text = capsys.readouterr().out.splitlines()
    assert clip.startswith(str(pictures))
    assert "cosine  1.000" in clip
    assert text.startswith("a red ball")
    assert "cosine  0.600" in text
    assert model.query == "What?"


def test_texts_alone_as_json(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "toy", "--text", "a", "--text", "b", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [row["of"] for row in results] == ["a", "b"]
    assert np.linalg.norm(results[0]["embedding"]) == pytest.approx(1)


def test_the_file_holds_the_rows(
    model: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.npy"
    arguments = ["embed", "toy", str(pictures), "--text", "a", "--out", str(out)]
    assert main(arguments) == 0
    rows = np.load(out)
    assert (rows.shape, rows.dtype) == ((2, 5), np.float32)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]

    capsys.readouterr()
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_nothing_to_embed_is_one_sentence(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "toy"]) == 1
    assert "--text TEXT" in capsys.readouterr().err
