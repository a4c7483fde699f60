"""`vljepa tune`: a profile from real runs of the shipped bundle, selection from a recording, what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vljepa_runtime as vj
from vljepa_apps.commands import tune as command
from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_apps.measure.tune import measuring
from vljepa_data.world import Split, make_stream
from vljepa_runtime.bundle import fingerprint_of

QUICK = [
    "--engine",
    "onnxruntime:cpu",
    "--threads",
    "1",
    "--tokens",
    "all",
    "--seconds",
    "20",
    "--fps",
    "0.25",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Half a minute of the procedural world; a window every four seconds is kept by the busiest machine."""
    path = tmp_path_factory.mktemp("tune") / "clip.mp4"
    write_video(make_stream(3, Split.TEST, minutes=0.5, size=96, fps=8), path, fps=8)
    return str(path)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and an impatient clock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, "PACED_S", 3.0)
    monkeypatch.delenv("VLJEPA_DEBUG", raising=False)
    return tmp_path


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_stopped_and_its_profile_runs(
    clip: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["tune", "tiny", "--source", clip, *QUICK, "--max-ms", "60000", "--max-drop", "50"]

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(measuring.Measuring, "at_the_clocks_speed", stop)
        assert main(asked) == 130
    assert [path.name for path in here.iterdir()] == ["profile.trials.jsonl"]
    capsys.readouterr()

    assert main([*asked, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "runs were taken from" in err
    found = json.loads(out)
    assert [path.name for path in here.iterdir()] == ["profile.json"]
    chosen = found["search"]["chosen"]
    assert chosen["candidate"]["engine"] == "onnxruntime:cpu"
    assert chosen["lost"]["points"] == 0
    assert chosen["lost"]["cosine_p1"] == pytest.approx(1, abs=1e-4)
    assert chosen["paced"]["windows"] > 0
    assert 0 < chosen["p50_ms"] <= chosen["p95_ms"]

    profile = vj.DeviceProfile.read("profile.json")
    assert (profile.engine, profile.threads, profile.stride_s) == ("onnxruntime:cpu", 1, 4.0)
    assert profile.measured["live_p95_ms"] == pytest.approx(chosen["paced"]["p95_ms"], abs=0.01)
    assert (
        main(["run", "tiny", clip, "--profile", "profile.json", "--max-seconds", "3", "--decode", "never"])
        == 0
    )
    assert "another device" not in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_keeps_it(clip: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "tiny", "--source", clip, *QUICK, "--max-ms", "0.001"]) == 1
    out = capsys.readouterr().out
    assert "nothing that was tried keeps 0.25 windows a second, 0.001 ms and 0.5 points" in out
    assert "nearest: tiny onnxruntime:cpu x1 all" in out
    assert "--max-ms " in out.split("it would do: ")[1]
    assert [*here.iterdir()] == []


def test_selection_gives_what_it_says_and_goes_into_a_profile_that_exists(
    clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = vj.Bundle.open("tiny").manifest
    kept = vj.DeviceProfile(
        bundle="tiny", fingerprint=fingerprint_of(manifest), engine="onnxruntime:cpu", threads=1, stride_s=0.5
    )
    kept.save("profile.json")
    assert main(["tune", "tiny", "--select", clip, "--budget", "900/h", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["selection"]
    profile = vj.DeviceProfile.read("profile.json")
    assert profile.selection is not None
    assert (profile.threads, profile.stride_s, profile.selection.per_minute) == (1, 0.5, 15)
    assert 1 <= found["segments"] <= 7  # of half a minute, 15 a minute
    assert main(["run", "tiny", clip, "--profile", "profile.json"]) == 0
    out = capsys.readouterr().out
    assert sum('"segment"' in line for line in out.splitlines()) == found["segments"]


def test_selection_alone_makes_a_profile(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["tune", "tiny", "--select", clip, "--budget", "1/day", "--seconds", "6", "--out", "p.json"])
        == 0
    )
    assert "so short a recording cannot show so few" in capsys.readouterr().out
    assert vj.DeviceProfile.read("p.json").engine == "auto"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--select", "clip.mp4"], "--select and --budget belong together"),
        (["--budget", "6/min"], "--select and --budget belong together"),
        (["--source", "0"], "expected a recording that can be run again"),
        (["--source", "nowhere.mp4"], "nowhere.mp4"),
        (["--out", "taken.json"], "taken.json"),
        (["--engine", "warp", "--source", "CLIP"], "no engine runs it here: .*no engine is called 'warp'"),
    ],
    ids=["no budget", "no recording", "camera", "no file", "taken", "engine"],
)  # fmt: skip
def test_what_cannot_be_done_is_a_sentence(
    options: list[str], told: str, clip: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "taken.json").write_text("{}")
    assert main(["tune", "tiny", *(clip if each == "CLIP" else each for each in options)]) == 1
    err = capsys.readouterr().err
    assert told.partition(":")[0] in err
    assert told.rpartition(".*")[2] in err
    assert (here / "taken.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("text", "per_minute"),
    [("6/min", 6), ("30/h", 0.5), ("0.5/s", 30), (" 1e1 / min ", 10), ("24/day", 1 / 60)],
)
def test_budgets(text: str, per_minute: float) -> None:
    assert command.budget(text) == pytest.approx(per_minute)


@pytest.mark.parametrize(
    "options",
    [
        ["--budget", text]
        for text in ("6", "0/min", "-1/min", "nan/min", "6/week", "1e999/min", "..../min", "")
    ]
    + [["--fps", text] for text in ("0", "-1", "nan", "1e9", "fast")]
    + [["--max-drop", "-1"], ["--tokens", "budget:-1"], ["--threads", "0"], ["--streams", "0"]],
    ids=lambda each: " ".join(each),
)
def test_numbers_that_cannot_be_are_usage_errors(options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tune", "tiny", *options])
    assert ended.value.code == 2


def test_bundles_of_several_checkpoints_are_refused(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    small = Path(__file__).parents[2] / "runtime" / "bundles" / "small.vljepa"
    assert main(["tune", "tiny", str(small), "--source", clip]) == 1
    assert "expected bundles of one checkpoint" in capsys.readouterr().err
