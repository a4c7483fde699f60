"""What a bundle of little knowledge is shown: a note for any source but the demo's, once, on stderr alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_apps.main import main

NOTE = "note: tiny knows drawn shapes and hand signs only, what it says of anything else means nothing: "
WAYS = ("vljepa import", "vljepa train --init tiny --data")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a short demo has been."""
    folder = tmp_path_factory.mktemp("scope") / "demo"
    assert main(["demo", "--minutes", "0.1", "--out", str(folder)]) == 0
    return folder


def commands(source: Path, out: Path) -> list[list[str]]:
    """Every command that says something of a source."""
    name = str(source)
    return [
        ["run", "tiny", name],
        ["classify", "tiny", name, "--label", "x"],
        ["ask", "tiny", name, "Who is there?", "--label", "x"],
        ["embed", "tiny", name],
        ["demo", name, "--out", str(out)],
    ]


@pytest.mark.parametrize("number", range(5), ids=["run", "classify", "ask", "embed", "demo"])
def test_a_source_of_ones_own_is_told_once_with_two_ways_out(
    number: int, tiny: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = commands(pictures, tmp_path / "out")[number]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert err.count(NOTE) == 1
    assert all(way in err for way in WAYS)
    assert NOTE not in out
    assert main([*command, "--quiet", *(["--force"] if command[0] == "demo" else [])]) == 0
    assert NOTE not in capsys.readouterr().err
    if command[0] != "run":  # which prints JSON always
        assert main([*command, "--json", *(["--force"] if command[0] == "demo" else [])]) == 0
        assert NOTE not in capsys.readouterr().err


@pytest.mark.parametrize("number", range(5), ids=["run", "classify", "ask", "embed", "demo"])
def test_the_stream_of_a_demo_is_what_it_knows(
    number: int, tiny: Any, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(commands(demo / "stream.mp4", tmp_path / "out")[number]) == 0
    assert NOTE not in capsys.readouterr().err


def test_the_demo_itself_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--minutes", "0.1", "--out", str(tmp_path / "demo")]) == 0
    assert NOTE not in capsys.readouterr().err


def test_a_file_of_that_name_is_no_demo(
    tiny: Any, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(demo / "stream.mp4", tmp_path)
    assert main(["run", "tiny", str(tmp_path / "stream.mp4")]) == 0
    assert NOTE in capsys.readouterr().err


def test_a_bundle_that_says_nothing_of_it_is_believed(
    model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "toy", str(pictures)]) == 0
    assert "knows" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["classify", "ask"])
def test_a_clip_of_nothing_known_is_told_and_so_in_json(
    command: str, tiny: Any, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((96, 96, 3), 128, np.uint8))
    more = ["--label", "x"] if command == "classify" else ["Who is there?"]
    for source, unknown in ((tmp_path / "wall.png", True), (demo / "stream.mp4", False)):
        where = [command, "tiny", str(source), *more]
        assert main(where) == 0
        assert ("nothing tiny knows is to be seen here" in capsys.readouterr().err) == unknown
        assert main([*where, "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["unknown"] is unknown
        assert "nothing tiny knows" not in err


def test_a_demo_of_nothing_known_makes_no_words_up(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((96, 96, 3), 128, np.uint8))
    assert main(["demo", str(tmp_path / "wall.png"), "--out", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["decodings"] == 0
    assert [(each["text"], each["unknown"]) for each in report["events"]] == [("nothing I know", True)]
