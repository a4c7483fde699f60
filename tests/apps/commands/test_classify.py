"""`vljepa classify`: labels from options and files, text and JSON, mistakes in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.arguments import read_lines
from vljepa_apps.main import main


def test_prints_the_best_labels_first(tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["--label", "a dog", "--label", "a red ball"]
    assert main(["classify", "tiny", str(pictures), *labels, "--quiet"]) == 0
    out, err = capsys.readouterr()
    ranked = tiny.classify(pictures, ["a dog", "a red ball"])
    assert ranked == tiny.classify(vj.read_clip(pictures, tiny.preprocess), ["a dog", "a red ball"])
    assert out == "".join(f"{scored.label:10}  {scored.score:.3f}\n" for scored in ranked)
    assert err == ""
    assert tiny.clip.frames.shape == (8, 96, 96, 3)


def test_a_part_equals_that_of_the_command(
    tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--start", "1", "--seconds", "1.5", "--label", "a dog", "--label", "a red ball", "--json"]
    assert main(["classify", "tiny", str(pictures), *options]) == 0
    told = [(found["label"], found["score"]) for found in json.loads(capsys.readouterr().out)["results"]]
    for read in (tiny.read_clip, vj.read_clip):
        ranked = tiny.classify(read(pictures, start_s=1, seconds=1.5), ["a dog", "a red ball"])
        assert told == [(scored.label, round(scored.score, 4)) for scored in ranked]


def test_labels_come_from_a_file_too_each_once(
    tiny: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\ufeffa dog\n\n  a cube \na dog\n", encoding="utf-8")
    options = ["--label", "a dog", "--labels", str(labels), "--query", "What is it?", "--json", "--top", "1"]
    assert main(["classify", "tiny", str(pictures), *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["labels"] == 2
    best = tiny.classify(str(pictures), ["a dog", "a cube"], query="What is it?")[0]
    assert result["results"] == [{"label": best.label, "score": round(best.score, 4)}]
    assert (result["engine"], result["query"]) == ("onnxruntime:cpu", "What is it?")


def test_templates_and_embeddings_made_before_say_the_same(
    tiny: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "templates.txt").write_text("a video of {}\nhere {}\n")
    labels = ["a dog", "a red ball"]
    options = [*(word for label in labels for word in ("--label", label)), "--json"]
    assert (
        main(["classify", "tiny", str(pictures), *options, "--templates", str(tmp_path / "templates.txt")])
        == 0
    )
    found = json.loads(capsys.readouterr().out)["results"]
    model = vj.load("tiny")
    rows = np.stack(
        [model.embed_text([f"a video of {label}", f"here {label}"]).sum(axis=0) for label in labels]
    )
    np.savez(tmp_path / "made.npz", labels=np.array(labels), embeddings=rows)
    made = ["--labels", str(tmp_path / "made.npz")]
    assert main(["classify", "tiny", str(pictures), *made, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["results"]
    assert [each["label"] for each in again] == [each["label"] for each in found]
    told = [[each["score"] for each in each_time] for each_time in (again, found)]
    np.testing.assert_allclose(*told, atol=2e-3)  # int8 rounds a batch of texts as a whole
    assert main(["classify", "tiny", str(pictures), *made, "--label", "a cat"]) == 1
    assert "expected no --label with" in capsys.readouterr().err
    np.savez(tmp_path / "made.npz", labels=np.array(labels), embeddings=rows[:, :5])
    assert main(["classify", "tiny", str(pictures), *made]) == 1
    assert "expected embeddings of 256 numbers as the model's, got 5" in capsys.readouterr().err


def test_thermal_pictures_are_told_and_stretched_on_request(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heat = np.linspace(30_000, 31_000, 96 * 96).reshape(96, 96).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "1.png"), heat)
    assert main(["classify", "tiny", str(tmp_path), "--label", "x", "--quiet"]) == 0
    assert capsys.readouterr().err.count("grey of more than 8 bits") == 1
    assert np.ptp(tiny.clip.frames) <= 5
    assert main(["classify", "tiny", str(tmp_path), "--label", "x", "--stretch", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert np.ptp(tiny.clip.frames) == 255


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        (["--start", "1"], list(range(40, 120, 10))),
        (["--start", "1", "--seconds", "0.5"], [40] * 4 + [50] * 4),
        (["--start", "1.1", "--seconds", "0.1"], [40] * 8),
        (["--start", "2.6"], [100] * 3 + [110] * 5),
    ],
    ids=["to the end", "two pictures", "part of one", "from the middle of one"],
)
def test_a_part_of_the_clip(
    options: list[str],
    levels: list[int],
    tiny: Any,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["classify", "tiny", str(pictures), "--label", "x", *options]) == 0
    assert tiny.clip.frames.max(axis=(1, 2, 3)).tolist() == levels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "pass --label TEXT (repeatable) or --labels FILE"),
        (["--labels", "missing.txt"], "cannot read missing.txt"),
        (["--label", "x", "--start", "60"], "has no frame from 60 s on"),
    ],
    ids=["no labels", "no file", "past the end"],
)
def test_mistakes_are_one_sentence(
    options: list[str], message: str, tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "tiny", str(pictures), *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "option", ["--start=-1", "--seconds=0", "--top=0", "--seconds=soon", "--threads=1.5"]
)
def test_impossible_numbers_are_usage_errors(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["classify", "tiny", "clip.mp4", option])
    assert stopped.value.code == 2
    assert "expected a" in capsys.readouterr().err


def test_a_missing_source_is_one_sentence(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "tiny", "no-such-clip.mp4", "--label", "x"]) == 1
    err = capsys.readouterr().err
    assert "no-such-clip.mp4" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("-clip.png", ["--", "-clip.png"]),
        ("-1", ["-1"]),
        ("--label", ["--", "--label"]),
        (" wow ! nice.png ", [" wow ! nice.png "]),
        ("~$clip.png", ["~$clip.png"]),
        ("0", ["0"]),
        ("tiny", ["tiny"]),
        ("c.png", ["FILE://c.png"]),
        ("key=frame@2x.png", ["key=frame@2x.png"]),
    ],
    ids=lambda value: str(value),
)
def test_names_of_every_kind(
    name: str,
    argv: list[str],
    tiny: Any,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    target = Path(name) if name.strip().endswith(".png") else Path(name) / "1.png"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes((pictures / "001.png").read_bytes())
    assert main(["classify", "--label", "x", "--json", "tiny", *argv]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == name


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        ("a\u2028b\nc\u0085d\x0ce\n".encode(), ["a\u2028b", "c\u0085d\x0ce"]),
        (b"old\rmac\n", ["old\rmac"]),
        (b"no end", ["no end"]),
    ],
    ids=["windows", "separators inside", "carriage return", "last line"],
)
def test_lines_of_a_file_end_at_line_feeds(content: bytes, labels: list[str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    assert read_lines(tmp_path / "labels.txt") == labels


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a Linux matter")
def test_labels_without_end_are_refused(
    tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "tiny", str(pictures), "--labels", "/dev/zero"]) == 1
    assert "at most 16 MiB, /dev/zero has more" in capsys.readouterr().err
