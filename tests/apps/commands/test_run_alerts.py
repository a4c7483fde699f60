"""`vljepa run --alert`: alerts among the events, and a clip of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.world import Split, make_stream
from vljepa_runtime import Alert, Bundle, Event
from vljepa_runtime.alerts import AlertFile
from vljepa_runtime.bundle import identity_of


def test_options_become_alerts(model: Any, pictures: Path, tmp_path: Path) -> None:
    options = ["--alert", "a cat", "--alert", "a dog", "--alert", "a cat", "--alert-threshold", "-0.2"]
    options += ["--clips", str(tmp_path / "clips"), "--look-back", "3", "--look-ahead", "0"]
    assert main(["run", "toy", str(pictures), *options]) == 0
    got = model.sessions[0].options
    assert got["alerts"] == (Alert(text="a cat", threshold=-0.2), Alert(text="a dog", threshold=-0.2))
    clips = got["clips"]
    assert (clips.folder, clips.look_back_s, clips.look_ahead_s) == (tmp_path / "clips", 3, 0)


def test_without_a_threshold_the_words_give_it(model: Any, pictures: Path) -> None:
    assert main(["run", "toy", str(pictures), "--alert", "a cat sits"]) == 0
    assert model.sessions[0].options["alerts"] == (Alert(text="a cat sits"),)


def test_without_alerts_a_session_watches_for_none(model: Any, pictures: Path) -> None:
    assert main(["run", "toy", str(pictures)]) == 0
    assert (model.sessions[0].options["alerts"], model.sessions[0].options["clips"]) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--clips", "DIR"], "name one with --alert"),
        (["--alert-threshold", "0.5"], "name what is looked for"),
        (["--alert", "a", "--alert-threshold", "9"], "threshold: expected a score from -2 to 2"),
        (["--alert", " "], "words"),
        (["--alerts", "none.json"], "cannot read none.json"),
        (["--alert", "a", "--clips", "none.json/x"], "not a folder"),
    ],
)
def test_what_makes_no_sense_is_refused(
    model: Any,
    pictures: Path,
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "x" in options[-1]:
        Path("none.json").write_text("{}")
    assert main(["run", "toy", str(pictures), *options]) in (1, 2)
    assert message in capsys.readouterr().err
    assert model.sessions == []


def test_a_file_of_alerts_and_a_clip_of_the_shipped_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "door.mp4"
    write_video(make_stream(3, Split.TEST, minutes=0.1, size=96, fps=8), video, fps=8)
    rules = tmp_path / "alerts.json"
    alert = Alert(text="a box bounces", threshold=-1)
    file = AlertFile(alerts=(alert,), model=identity_of(Bundle.open("tiny").manifest))
    rules.write_text(json.dumps(file.to_dict()))
    clips = str(tmp_path / "clips")
    command = ["run", "tiny", str(video), "--alerts", str(rules), "--clips", clips, "--decode", "never"]
    assert main([*command, "--srt", str(tmp_path / "a.srt")]) == 0
    events = [Event.from_json(line) for line in capsys.readouterr().out.splitlines()]
    begin, end = (event for event in events if event.kind == "alert")
    assert (begin.active, end.active) == (True, False)
    assert [path.name for path in (tmp_path / "clips").iterdir()] == [begin.clip] == [end.clip]
    assert "a box bounces" in (tmp_path / "a.srt").read_text()
    other = AlertFile(alerts=(alert,), model={"checkpoint": "another"})
    rules.write_text(json.dumps(other.to_dict()))
    assert main(command) == 1
    assert "another model" in capsys.readouterr().err
