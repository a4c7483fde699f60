"""`vljepa teach`: from pictures, tables and logs to a file of states, and from there to the events of `vljepa run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.world import Split, make_stream
from vljepa_log import LogWriter, index_source


@pytest.fixture(scope="module")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two states of a lamp, three pictures each."""
    folder, draw = tmp_path_factory.mktemp("lamps"), np.random.default_rng(0)
    for state, level in (("lamp on", 200), ("lamp off", 30)):
        (folder / state).mkdir()
        for number in range(3):
            noise = draw.integers(0, 40, (96, 96, 3))
            cv2.imwrite(str(folder / state / f"{number}.png"), (noise + level).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, loaded_tiny: vj.Model) -> Path:
    """Six seconds of one event and then of another."""
    folder = tmp_path_factory.mktemp("log")
    write_video(make_stream(3, Split.TEST, minutes=0.1, size=96, fps=8), folder / "door.mp4", fps=8)
    with LogWriter(folder / "LOG", loaded_tiny.bundle.manifest) as writer:
        index_source(loaded_tiny, folder / "door.mp4", writer, stride_s=0.5)
    return folder


def test_what_was_taught_is_told(
    tiny: Any, lamps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "states.json"
    assert main(["teach", str(lamps), "--out", str(file)]) == 0
    out, err = capsys.readouterr()
    assert f"{file}: 2 states, 100% of left out windows right (guessing: 50%)" in out
    assert f"next: vljepa run BUNDLE SOURCE --states {file}" in out
    assert "encoding examples" in err
    picture = lamps / "lamp on" / "1.png"
    assert main(["run", "tiny", str(picture), "--states", str(file), "--quiet"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["kind"], each["text"]) for each in told if each["kind"] == "answer"] == [
        ("answer", "lamp on")
    ]


def test_json_says_all_of_it(
    tiny: Any, lamps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", str(tmp_path / "s.json"), "--feature", "tokens", "--unsure", "0", "--json"]
    assert main(["teach", str(lamps), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] == found["windows"] == {"lamp off": 3, "lamp on": 3}
    assert found["feature"] == "tokens"
    assert found["confusion"] == [[3, 0, 0], [0, 3, 0]]
    assert (found["accuracy"], found["unsure"]) == (1, 0)
    assert vj.States.read(tmp_path / "s.json").names == ("lamp off", "lamp on")


@pytest.mark.parametrize("form", ["options", "table"])
def test_moments_of_a_log_teach(
    tiny: Any, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    door = str(log / "door.mp4")
    (tmp_path / "moments.csv").write_text(
        f"stream,text,start_s,end_s\n{door},early,0,3\n{door},late,3.4,6\n{door},late,5,\n"
    )
    states = ["--state", "early", f"{door}@0-3", "--state", "late", f"{door}@3.4-6", f"{door}@5"]
    moments = states if form == "options" else ["--moments", str(tmp_path / "moments.csv")]
    assert main(["teach", str(log / "LOG"), *moments, "--out", str(tmp_path / "s.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] == {"early": 1, "late": 2}
    assert found["feature"] == "embedding"
    assert any(each.startswith("early has 1 example: ") for each in found["warnings"])


def test_a_state_is_found_in_a_log(
    tiny: Any, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door, file = str(log / "door.mp4"), str(tmp_path / "s.json")
    states = ["--state", "early", f"{door}@0-3", "--state", "late", f"{door}@3.4-6"]
    assert main(["teach", str(log / "LOG"), *states, "--out", file]) == 0
    capsys.readouterr()
    search = ["search", str(log / "LOG"), "--states", file, "--json"]
    for name, at_s in (("early", 1.0), ("late", 5.0)):
        assert main([*search, "--state", name]) == 0
        (found,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert found["start_s"] <= at_s <= found["end_s"]
        assert 0.5 < found["score"] <= 1
    for options, message in (
        ([*search, "--state", "gone"], "among early, late"),
        (search, "--state NAME, one of them"),
        (["search", str(log / "LOG"), "--state", "early"], "one of them came alone"),
    ):
        assert main(options) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["LOG"], "is a log: name moments"),
        (["lance:yard"], "lance:yard is a log: name moments"),
        (["s3://yard/door"], "s3://yard/door is a log: name moments"),
        (["LOG", "--state", "a"], "expected moments after --state a"),
        (["LOG", "--state", "a", "door"], "expected STREAM@S"),
        (["LOG", "--state", "a", "@3"], "expected STREAM@S"),
        (["LOG", "--state", "a", "door@5-3"], "end_s"),
        (["LOG", "--state", "a", "door@nan"], "start_s"),
        (["LOG", "--state", "a", "door@1", "--feature", "tokens"], "keeps predicted embeddings"),
        (["LOG", "--state", "a", "gone@1"], "no windows of gone"),
        (["gone"], "is none"),
        (["gone.csv"], "cannot read"),
    ],
    ids=lambda value: " ".join(value)[-24:] if isinstance(value, list) else None,
)
def test_mistakes_are_told_in_a_sentence(
    tiny: Any, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = tmp_path / "s.json"
    place = options[0] if ":" in options[0] else str(log / options[0])
    assert main(["teach", place, *options[1:], "--out", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_nothing_is_overwritten(
    tiny: Any, lamps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.json").write_text("mine")
    assert main(["teach", str(lamps), "--out", str(tmp_path / "s.json")]) == 1
    assert (tmp_path / "s.json").read_text() == "mine"
    assert "encoding" not in capsys.readouterr().err
