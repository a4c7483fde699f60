"""`vljepa compare`: failures are marked and passed over, the report says what was not measured."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_apps.commands import compare
from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_apps.measure import worker
from vljepa_apps.measure.compare import batches
from vljepa_apps.measure.compare import run as compare_run
from vljepa_apps.measure.compare.run import Plan
from vljepa_apps.measure.subject import Subject
from vljepa_runtime.errors import BundleError, InputError


@pytest.fixture
def fake_measuring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """No process is started and no model loaded; `broken` fails in both. Gives the orders that want clips."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    orders: list[dict[str, Any]] = []

    def in_a_process(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if order["spec"] == "broken":
            yield {"kind": "error", "message": "not a bundle"}
            return
        if not order.get("tasks") and not order.get("data"):
            yield {"kind": "started"}
            if not order["brief"]:
                yield {"kind": "facts", "engine": "fake", "size_bytes": 1000, "peak_rss_mb": 99.5}
            return
        orders.append(order)
        if order.get("data"):
            yield {"kind": "task", "task": "own/labels", "headline": "", "metrics": {}, "note": ""} | {
                "groups": [0, 0], "chosen": ["a", "b"], "embeddings": [[1.0, 0.0], [0.0, 1.0]],
            }  # fmt: skip
        metric = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 4}
        for task in order["tasks"]:
            result = {"headline": "accuracy", "metrics": {"accuracy": metric}, "chance": 0.1, "note": ""}
            worse = order["spec"] == "worse"
            if order["spec"] == "crashing" and task == "vqa/colour":
                yield {"kind": "error", "message": "its process ended with code -11", "died": True}
                return
            values = [float(order["batch"] % 2), 0.0, 0.0 if worse else 1.0, 0.0]
            yield {
                "kind": "task",
                "task": task,
                **result,
                "scores": {"accuracy": values * (order["clips"] // 4)},
            }

    def load(subject: Subject) -> str:
        if subject.spec == "broken":
            raise BundleError("not a bundle")
        return subject.spec

    def cells(subject: Subject, model: str) -> dict[str, Callable[[], object]]:
        return {"window": lambda: np.zeros(1)}

    monkeypatch.setattr(batches, "in_a_process", in_a_process)
    monkeypatch.setattr(compare_run, "measured_parity", lambda *pair, labels: iter(()))
    monkeypatch.setattr(Subject, "load", load)
    monkeypatch.setattr(Subject, "cells", cells)
    return orders


def test_command_with_json(fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "a", "b", "--against", "torch", "--tasks", "vqa/count", "--clips", "4", "--json"]
    assert main([*arguments, "--rounds", "3"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert [subject["label"] for subject in found["subjects"]] == ["a", "b", "torch"]
    assert found["reference"] == "torch"
    assert set(found["speedups"]) == {"a", "b"}
    assert {d["label"] for d in found["differences"]} == {"b", "torch"}
    assert [order["clips"] for order in fake_measuring] == [4, 4, 4]
    assert "latency" in err


def test_command_goes_on_over_a_broken_bundle(
    fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "r.md"
    assert main(["compare", "broken", "b", "--tasks", "vqa", "--rounds", "2", "--markdown", str(file)]) == 1
    out = capsys.readouterr().out
    assert "- broken: not a bundle" in out
    assert "vqa/count accuracy" in file.read_text()
    assert "n/a" in file.read_text()


@pytest.mark.parametrize(
    ("other", "expected", "code"),
    [("b", "equal", 0), ("worse", "equal", 1), ("b", "5pt", 0), ("b", "1pt", 1), ("worse", "80pt", 0)],
    ids=["equal", "different", "within 5 points", "that is not known", "within 80 points"],
)
def test_the_exit_code_says_whether_it_is_as_expected(
    other: str,
    expected: str,
    code: int,
    fake_measuring: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["a", other, "--tasks", "vqa/count", "--clips", "100", "--rounds", "0", "--expect", expected]
    assert main(["compare", *arguments]) == code
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith(f"{other} against a: ")
    assert (f"not as expected ({expected}): {other} against a: " in err) == (code == 1)


def test_clips_are_drawn_until_the_interval_is_narrow(
    fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of each batch's answers differ by turns; without disagreement 95 % exclude 3.84 / (n + 3.84)."""
    arguments = ["a", "b", "--tasks", "vqa/count", "--clips", "100", "--rounds", "0", "--until", "1pt"]
    assert main(["compare", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    (difference,) = json.loads(out)["differences"]
    assert (difference["n"], difference["value"]) == (400, 0.0)
    assert difference["high"] < 1.0
    assert [order["batch"] for order in fake_measuring] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert "300 clips: +-1.26 points (vqa/count of b), +-1 wanted: about 480 will do" in err
    assert "400 clips: every interval is within +-1 points" in err


def test_what_is_never_narrow_ends_at_the_cap(
    fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["a", "--tasks", "vqa/count", "--clips", "100", "--rounds", "0", "--until", "1pt"]
    assert main(["compare", *arguments, "--max-clips", "250", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["subjects"][0]["tasks"]["vqa/count"]["metrics"]["accuracy"]["n"] == 200
    assert "stopped, 250 are the most" in err


def test_what_was_kept_is_not_measured_again(
    fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Stopped after two batches by the cap; the third is new, and so is another bundle."""
    measure = ["--tasks", "vqa/count", "--clips", "100", "--rounds", "0", "--keep", str(tmp_path / "kept")]
    first = ["compare", "tiny", "torch", *measure, "--until", "1pt", "--max-clips", "200", "--json"]
    assert main(first) == 0
    before, measured = capsys.readouterr().out, len(fake_measuring)
    assert measured == 4
    assert main(first) == 0
    again = capsys.readouterr()
    assert json.loads(again.out) == json.loads(before)
    assert "as measured before" in again.err
    assert len(fake_measuring) == measured
    assert main([*first, "--max-clips", "300"]) == 0
    assert [(order["spec"], order["batch"]) for order in fake_measuring[measured:]] == [
        ("tiny", 2),
        ("torch", 2),
    ]
    assert main(["compare", "tiny", "broken", *measure]) == 1
    assert "- broken: not a bundle" in capsys.readouterr().out


CRASHING = [
    "compare",
    "crashing",
    "b",
    "--tasks",
    "vqa/what,vqa/colour,vqa/count",
    "--clips",
    "4",
    "--rounds",
    "0",
]


def test_a_task_that_ends_its_process_is_marked_and_the_others_are_measured(
    fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CRASHING, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["subjects"]
    assert list(found[0]["tasks"]) == ["vqa/what", "vqa/count"]
    assert found[0]["errors"] == ["vqa/colour: its process ended with code -11"]
    assert list(found[1]["tasks"]) == ["vqa/what", "vqa/colour", "vqa/count"]


def test_the_same_command_goes_on_with_what_failed(
    fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without a folder to keep them, cells stay until a comparison has ended well."""
    assert main(CRASHING) == 1
    fake_measuring.clear()
    assert main(CRASHING) == 1
    assert [(order["spec"], order["tasks"]) for order in fake_measuring] == [("crashing", ["vqa/colour"])]
    assert main(["compare", "a", "b", "--tasks", "vqa/what", "--clips", "4", "--rounds", "2"]) == 0
    fake_measuring.clear()
    assert main(["compare", "a", "b", "--tasks", "vqa/what", "--clips", "4", "--rounds", "2"]) == 0
    assert [order["tasks"] for order in fake_measuring] == [["vqa/what"], ["vqa/what"]]


def test_a_run_that_was_killed_goes_on_cell_by_cell(
    fake_measuring: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measuring, tasks = batches.in_a_process, []

    def killed(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for line in measuring(order):
            if line.get("task") == "vqa/count":
                raise KeyboardInterrupt
            yield line

    command = [
        "compare",
        "a",
        "b",
        "--tasks",
        "vqa/what,vqa/colour,vqa/count",
        "--clips",
        "4",
        "--rounds",
        "0",
    ]
    monkeypatch.setattr(batches, "in_a_process", killed)
    assert main(command) == 130
    fake_measuring.clear()
    monkeypatch.setattr(batches, "in_a_process", measuring)
    assert main(command) == 0
    tasks = [order["tasks"] for order in fake_measuring]
    assert tasks == [["vqa/count"], ["vqa/what", "vqa/colour", "vqa/count"]]


def test_every_bundle_runs_on_every_engine(
    fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "a",
        "b",
        "--engines",
        "onnxruntime:cpu, openvino:cpu",
        "--tasks",
        "vqa/what",
        "--clips",
        "4",
    ]
    assert main(["compare", *arguments, "--rounds", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["subjects"]
    assert [subject["label"] for subject in found] == [
        "a, onnxruntime:cpu",
        "a, openvino:cpu",
        "b, onnxruntime:cpu",
        "b, openvino:cpu",
    ]
    assert [order["engine"] for order in fake_measuring] == ["onnxruntime:cpu", "openvino:cpu"] * 2


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a video of one second and `clips.csv`, which says two things of it."""
    pictures = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    write_video(pictures, tmp_path / "a.mp4", fps=8)
    (tmp_path / "clips.csv").write_text(
        "path,text,candidates\na.mp4,a cat,a cat|a dog\na.mp4,a cat sleeps,\n"
    )
    return tmp_path


def test_own_clips_take_the_place_of_the_world(
    own: Path, fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "a", "b", "--data", str(own / "clips.csv"), "--rounds", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [order["tasks"] for order in fake_measuring] == [[], []]
    assert fake_measuring[0]["data"]["spec"] == str(own / "clips.csv")
    assert found["settings"]["data"] == [str(own / "clips.csv")]
    assert [(a["label"], a["base"], a["cosine"]["value"]) for a in found["agreements"]] == [("b", "a", 1.0)]
    measured = found["subjects"][0]["tasks"]["own/labels"]
    assert measured.keys().isdisjoint({"samples", "groups", "chosen", "embeddings"})


@pytest.mark.slow
def test_own_clips_are_measured_in_a_process_each(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two times the shipped bundle: it agrees with itself."""
    monkeypatch.setenv("HOME", str(own))
    file = own / "r.md"
    arguments = ["--data", str(own / "clips.csv"), "--rounds", "0", "--markdown", str(file)]
    assert main(["compare", "tiny", "tiny", *arguments, "--engine", "onnxruntime:cpu"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"100\.0 \[\d?\d\.\d, 100\.0\] +1\.00000", out)  # one video says little
    assert "1.00000 [n/a]" in out  # nor how another would agree
    for name in ("predictor", "y_decoder_step", "texts, end to end", "windows, end to end"):
        assert re.search(rf"{name} +identical", out), name
    assert "words, end to end    100.0 % the same" in out
    assert "tiny #2 against tiny: not different at this size" in out
    assert "own/labels accuracy" in out
    assert "(skipped: all clips have one text, nothing to find)" in out
    assert "looking at own" in err
    assert "| tiny #2 | tiny | own/labels | 100.0" in file.read_text()
    assert not list(own.glob(".cache/vljepa/compare/*"))  # it is over: nothing is left to go on from


def test_missing_videos_are_named_before_any_work(
    own: Path, fake_measuring: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with (own / "clips.csv").open("a") as file:
        file.writelines(f"gone{number}.mp4,a dog,\n" for number in range(5))
    assert main(["compare", "a", "--data", str(own / "clips.csv")]) == 1
    err = capsys.readouterr().err
    assert "5 of 6 clips cannot be read" in err
    assert "gone0.mp4" in err
    assert "and 2 more" in err
    assert fake_measuring == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--videos", "x"], "expected --data with --videos"),
        (["a", "--data", "none.csv"], "cannot read the annotations none.csv"),
        (["a", "--tasks", "smell"], "got 'smell'"),
        (["a", "--against", "tensorflow"], "expected --against torch"),
        (["a", "--rounds", "-1"], "at least 0"),
        (["a", "b", "--expect", "better"], "expected equal or a number of points such as 2pt, got 'better'"),
        (["a", "--expect", "equal"], "expected two bundles with --expect"),
        (["a", "--until", "1pt", "--data", "none.csv"], "expected no --data with --until"),
        (["a", "--markdown", "/no/such/folder/x.md"], "does not exist"),
        (["a", "--html", "/no/such/folder/x.html"], "does not exist"),
        (["a", "--streams", "0"], "at least 1 stream"),
        (
            ["a", "--streams", "none.csv"],
            "expected a number of streams or an annotation file, got 'none.csv'",
        ),
        (["a", "--engine", "cpu", "--engines", "cuda"], "no --engine beside it"),
    ],
)
def test_usage_comes_before_any_work(
    arguments: list[str],
    message: str,
    fake_measuring: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert fake_measuring == []


def test_tasks_none_measures_no_accuracy() -> None:
    assert compare.tasks("none") == ()
    assert compare.tasks("captions, classification") == ("classification", "captions")
    with pytest.raises(InputError, match="got 'x'"):
        compare.tasks("x")


def test_the_plan_without_rounds_measures_no_latency(fake_measuring: list[dict[str, Any]]) -> None:
    result = compare_run.compare([Subject(spec="a")], Plan(rounds=0))
    assert result.columns[0].latency == {}
    assert not result.failed


def test_a_worker_that_dies_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import json; print(json.dumps({'kind': 'facts', 'engine': 'x'})); raise SystemExit(3)"
    monkeypatch.setattr(worker, "WORKER", (sys.executable, "-c", script))
    result = compare_run.compare([Subject(spec="a")], Plan(rounds=0))
    assert result.columns[0].facts == {"engine": "x"}
    assert result.columns[0].errors == ["its process ended with code 3"]


def test_a_signal_to_this_process_alone_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'import time; print(\'{"kind": "facts"}\', flush=True); time.sleep(200)'
    monkeypatch.setattr(worker, "WORKER", (sys.executable, "-c", script))
    lines = worker.in_a_process({})
    assert next(lines) == {"kind": "facts"}
    with pytest.raises(KeyboardInterrupt):
        lines.throw(KeyboardInterrupt)


def test_a_missing_bundle_is_one_sentence_of_the_worker(tmp_path: Path) -> None:
    result = compare_run.compare([Subject(spec=str(tmp_path / "none.vljepa"))], Plan(rounds=0))
    (error,) = result.columns[0].errors
    assert "none.vljepa" in error
