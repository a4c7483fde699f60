"""`vljepa alerts`: calibrate on a log or a video, test on a log, and `run` tells the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.world import Split, make_stream
from vljepa_runtime import Event, Session
from vljepa_runtime.alerts import read_alerts

WORDS = "a ball falls down"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video and its log."""
    folder = tmp_path_factory.mktemp("alerts")
    video, log = folder / "door.mp4", folder / "LOG"
    write_video(make_stream(3, Split.TEST, minutes=0.5, size=96, fps=8), video, fps=8)
    assert main(["index", str(video), "--out", str(log), "--quiet"]) == 0
    return video, log


def calibrated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["alerts", "calibrate", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_log_and_its_video_give_the_same_threshold(
    recorded: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--alert", WORDS, "--against", "a box bounces", "--per-day", "5000")
    one, other = (calibrated(capsys, str(place), *options) for place in recorded)
    assert one["threshold"] == pytest.approx(other["threshold"], abs=2e-3)
    assert one["alerts"] == other["alerts"] >= 1
    assert one["per_day"]["low"] < one["per_day"]["value"] < one["per_day"]["high"]


def test_what_is_calibrated_on_a_log_runs_as_it_was_tested(
    recorded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, log = recorded
    rules = tmp_path / "alerts.json"
    common = ("--hold", "0", "--out", str(rules))
    calibrated(capsys, str(log), "--alert", WORDS, "--per-day", "5000", *common)
    calibrated(capsys, str(log), "--alert", "a white box", "--per-day", "9000", *common)
    calibrated(capsys, str(log), "--alert", WORDS, "--per-day", "6000", *common)  # in the place of the first
    assert [alert.text for alert in read_alerts(rules).alerts] == ["a white box", WORDS]
    assert main(["alerts", "test", str(log), "--alerts", str(rules), "--json"]) == 0
    tested = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["run", "tiny", str(video), "--alerts", str(rules), "--decode", "never", "--quiet"]) == 0
    events = [Event.from_json(line) for line in capsys.readouterr().out.splitlines()]
    ends = [event for event in events if event.kind == "alert" and not event.active]
    assert sorted((event.text, event.start_s, event.end_s) for event in ends) == sorted(
        (span["text"], span["start_s"], span["end_s"]) for span in tested
    )
    assert main(["alerts", "test", str(log), "--alerts", str(rules)]) == 0
    assert "a day" in capsys.readouterr().out


def test_marked_moments_of_a_file_and_of_the_command_line(
    recorded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, log = recorded
    marks = tmp_path / "marks.txt"
    marks.write_text(f"{video},0:05\n{video},14.5\n")
    one = calibrated(capsys, str(log), "--alert", WORDS, "--marked", str(marks))
    other = calibrated(capsys, str(log), "--alert", WORDS, "--marked", "5,14.5")
    assert one == other
    many = ",".join(["5", "14.5"] * 1000)  # too long for the name of a file
    assert calibrated(capsys, str(log), "--alert", WORDS, "--marked", many)["recall"]["n"] == 2000
    assert one["recall"]["n"] == 2
    assert 0 <= one["precision"]["low"] <= one["precision"]["value"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--marked", "soon"], "expected a moment in seconds"),
        (["--marked", "900"], "none of the recordings"),
        (["--marked", "-3"], "expected a moment in seconds"),
        (["--per-day", "1", "--stream", "yard"], "no windows of what is meant"),
        (["--per-day", "1", "--query", "Who is there?"], "no windows of what is meant"),
        (["--per-day", "0"], "above 0"),
        ([], "required"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_one_sentence(
    recorded: tuple[Path, Path], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    try:
        code = main(["alerts", "calibrate", str(recorded[1]), "--alert", WORDS, *options])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code in (1, 2)
    assert message in capsys.readouterr().err


def test_a_recording_without_a_window_is_told(
    recorded: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a camera that is not reached before it is stopped."""
    monkeypatch.setattr(Session, "run", lambda *args, **options: iter(()))
    assert main(["alerts", "calibrate", str(recorded[0]), "--alert", WORDS, "--per-day", "5"]) == 1
    assert "shows no whole window" in capsys.readouterr().err


def test_a_file_of_another_model_is_left_as_it_is(
    recorded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "alerts.json"
    text = '{"alerts": [{"text": "a", "threshold": 0}], "model": {"checkpoint": "other"}}'
    rules.write_text(text)
    command = ["alerts", "calibrate", str(recorded[1]), "--alert", WORDS, "--per-day", "5000"]
    assert main([*command, "--out", str(rules)]) == 1
    assert "another model" in capsys.readouterr().err
    assert rules.read_text() == text
    assert main(["alerts", "test", str(recorded[1]), "--alerts", str(rules)]) == 1
