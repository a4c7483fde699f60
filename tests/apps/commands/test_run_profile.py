"""`--profile` of run, demo and bench: fills in what is not given; another bundle is refused, another device told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

import vljepa_runtime as vj
from vljepa_apps import arguments
from vljepa_apps.main import main
from vljepa_apps.measure import bench
from vljepa_apps.measure.machine import device_facts
from vljepa_runtime.bundle import fingerprint_of

SELECTION = vj.TunedSelection(query="Say it.", threshold=0.3, per_minute=6, found_per_minute=5.5)


@pytest.fixture
def given(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """What the model was loaded by."""
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(type(model), "prompts", {"caption": "Say it."}, raising=False)
    monkeypatch.setattr(arguments, "load_model", lambda args: seen.append(args) or model)
    return seen


def profile(folder: Path, **changes: Any) -> str:
    """The file of a profile of `tiny`."""
    values: dict[str, Any] = {
        "bundle": "tiny",
        "fingerprint": fingerprint_of(vj.Bundle.open("tiny").manifest),
        "device": device_facts("fake:cpu"),
        "engine": "openvino:cpu",
        "threads": 3,
        "stride_s": 0.25,
        "tokens": "static",
        "carry_s": 30,
    }
    vj.DeviceProfile(**values | changes).save(folder / "profile.json")
    return str(folder / "profile.json")


def test_it_answers_what_was_not_given(
    given: list[argparse.Namespace],
    model: Any,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = profile(tmp_path, decode="never")
    assert main(["run", "tiny", str(pictures), "--profile", file, "--stride", "1", "--threads", "1"]) == 0
    assert (given[0].engine, given[0].threads) == ("openvino:cpu", 1)
    options = model.sessions[0].options
    assert {name: options[name] for name in ("stride_s", "tokens", "carry_s", "decode", "select")} == {
        "stride_s": 1.0,
        "tokens": "static",
        "carry_s": 30.0,
        "decode": "never",
        "select": None,
    }
    assert "another device" not in capsys.readouterr().err


def test_without_one_all_is_as_usual(given: list[argparse.Namespace], model: Any, pictures: Path) -> None:
    assert main(["run", "tiny", str(pictures)]) == 0
    options = model.sessions[0].options
    assert (given[0].engine, given[0].threads) == ("auto", None)
    assert [options[name] for name in ("stride_s", "carry_s", "decode")] == [1.0, 0.0, "auto"]
    assert vj.parse_tokens("all") == options["tokens"] or options["tokens"] == "all"


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize(
    ("options", "select", "told"),
    [
        ([], vj.OnlineSelection(threshold=0.3), ""),
        (["--query", "Say it."], vj.OnlineSelection(threshold=0.3), ""),
        (["--query", "Who?"], None, "tuned for the query 'Say it.' and is left out"),
        (["--select", "every"], vj.EveryWindow(), ""),
        (["--label", "a", "--label", "b"], None, ""),
    ],
    ids=["its query", "its query said", "another query", "another policy", "labels"],
)
def test_it_selects_where_nothing_else_does(
    options: list[str], select: Any, told: str, model: Any, pictures: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = profile(tmp_path, selection=SELECTION)
    assert main(["run", "tiny", str(pictures), "--profile", file, *options]) == 0
    assert model.sessions[0].options["select"] == select
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("given")
def test_another_bundle_is_refused(
    model: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = profile(tmp_path, fingerprint="0" * 64, bundle="door")
    assert main(["run", "tiny", str(pictures), "--profile", file]) == 1
    assert "of another bundle: expected 'door'" in capsys.readouterr().err
    assert not model.sessions


@pytest.mark.usefixtures("given")
def test_another_device_is_told(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = profile(tmp_path, device={"cpu": "A Cray-1"})
    assert main(["run", "tiny", str(pictures), "--profile", file, "--quiet"]) == 0
    assert "tuned on another device: cpu A Cray-1" in capsys.readouterr().err


@pytest.mark.usefixtures("given")
def test_the_profile_is_no_output(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = profile(tmp_path)
    before = Path(file).read_bytes()
    assert main(["run", "tiny", str(pictures), "--profile", file, "--jsonl", file, "--force"]) == 1
    assert "is what is to be read" in capsys.readouterr().err
    assert Path(file).read_bytes() == before


def test_the_demo_watches_with_it(
    given: list[argparse.Namespace],
    model: Any,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = profile(tmp_path, selection=SELECTION)
    assert main(["demo", str(pictures), "--profile", file, "--threads", "1", "--quiet"]) == 0
    assert (given[0].engine, given[0].threads) == ("openvino:cpu", 1)
    assert model.sessions[0].options == {
        "select": vj.OnlineSelection(threshold=0.3),
        "stride_s": 0.25,
        "tokens": "static",
        "carry_s": 30.0,
    }


def test_the_benchmark_runs_with_it(
    given: list[argparse.Namespace],
    model: Any,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subjects: list[Any] = []
    monkeypatch.setattr(bench, "peak_memory", lambda subject, path: subjects.append(subject))
    monkeypatch.setattr(bench, "time_graphs", lambda model, subject, rounds: {})
    file = profile(tmp_path, decode="never")
    command = ["bench", "tiny", "--source", str(pictures), "--profile", file, "--carry", "0"]
    assert main(command) == 0
    assert (given[0].engine, subjects[0].threads) == ("openvino:cpu", 3)
    assert model.sessions[0].options == {
        "select": None,
        "stride_s": 0.25,
        "tokens": "static",
        "carry_s": 0.0,
        "decode": "never",
    }


def test_beside_peers_a_profile_may_leave_out_nothing(
    model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "tiny", "--against", "all", "--profile", profile(tmp_path)]) == 1
    assert "expected no --tokens and no --carry" in capsys.readouterr().err
    assert not model.sessions
