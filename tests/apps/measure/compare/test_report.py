"""What a comparison says: subjects told apart, differences paired by clip, tables, JSON and picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_apps.main import main
from vljepa_apps.measure.compare import run as compare_run
from vljepa_apps.measure.compare.judging import MOVED, differences, judge
from vljepa_apps.measure.compare.parity import MeasuredParity
from vljepa_apps.measure.compare.report import Column, Comparison, speedups
from vljepa_apps.measure.compare.run import agreements
from vljepa_apps.measure.compare.tables import markdown, text
from vljepa_apps.measure.subject import Subject
from vljepa_evaluation.gates import REFERENCE_FILE, GraphParity, Reference, compare_outputs
from vljepa_evaluation.tasks import MARGIN, TaskResult
from vljepa_runtime.bundle import Bundle, write_bundle


def test_two_subjects_of_one_name_are_told_apart() -> None:
    subjects = [Subject(spec=spec) for spec in ("a/tiny.vljepa", "b/tiny.vljepa", "c/other.vljepa")]
    assert compare_run._labels(subjects) == ["tiny", "tiny #2", "other"]


def result(samples: list[float], **kept: Any) -> TaskResult:
    """What two subjects are compared by."""
    return TaskResult.of("t", "accuracy", {"accuracy": samples}, **kept)


def test_clips_of_one_video_are_drawn_together() -> None:
    results = {
        name: {"t": result([v] * 50 + [0.0] * 50, groups=(0,) * 50 + (1,) * 50)}
        for name, v in (("a", 0.0), ("b", 1.0))
    }
    (found,) = differences(results, "a")
    estimate = found.found.estimate
    assert estimate.value == 50.0
    assert estimate.high - estimate.low > 80  # there are two videos
    assert found.found.p == 1.0


def test_agreement_is_that_of_answers_right_or_wrong() -> None:
    rows = np.eye(4, dtype=np.float32)
    results = {
        "a": {"t": result([0.0] * 4, chosen=tuple("bcda"), embeddings=rows, groups=(0, 1, 2, 3))},
        "b": {"t": result([0.0] * 4, chosen=tuple("bcdd"), embeddings=2 * rows, groups=(0, 1, 2, 3))},
        "c": {"t": result([0.0] * 4, embeddings=rows[:, :2], groups=(0, 1, 2, 3))},  # of another model
    }
    (found,) = agreements(results, "a")
    assert (found.label, found.base) == ("b", "a")
    assert {name: estimate.value for name, estimate in found.found.items()} == {
        "best_label": 0.75,
        "cosine": 1.0,
    }


def test_differences_are_paired_by_clip() -> None:
    results = {
        "a": {"t": result([1.0, 1.0, 0.0, 0.0] * 25)},
        "b": {"t": result([1.0, 1.0, 1.0, 0.0] * 25), "u": result([1.0])},
    }
    (found,) = differences(results, "a")
    estimate = found.found.estimate
    assert (found.task, found.label, estimate.value) == ("t", "b", 25.0)
    assert 10 < estimate.low < 25 < estimate.high < 40


def test_margins_of_another_model_are_not_compared() -> None:
    scores = {"accuracy": [1.0, 0.0], MARGIN: [0.3, -0.1]}
    results = {label: {"t": TaskResult.of("t", "accuracy", scores)} for label in ("a", "b", "c")}
    subjects = {"a": Subject(spec="a"), "b": Subject(spec="torch"), "c": Subject(spec="hf:c")}
    found = [
        (each.label, each.metric) for each in differences(compare_run._comparable(results, subjects), "a")
    ]
    assert found == [("b", "accuracy"), ("b", MARGIN), ("b", MOVED), ("c", "accuracy")]


def test_a_bundle_that_was_edited_after_it_was_judged_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bundle.open("tiny") as tiny:
        files: dict[str, bytes | Path] = {name: tiny.read(name) for name in tiny.manifest.files}
        files[REFERENCE_FILE] = Reference.of(tiny).sealed(tiny.manifest).to_bytes()
        edited = replace(tiny.manifest, prompts={**tiny.manifest.prompts, "caption": "Why?"})
        write_bundle(tmp_path / "edited.vljepa", edited, files)
    assert main(["compare", str(tmp_path / "edited.vljepa"), "--tasks", "none", "--rounds", "0"]) == 0
    out = capsys.readouterr().out
    assert "Edited:\n- edited: bundle.json says something else" in out
    assert "(prompts.caption)" in out


def parity(error: float) -> GraphParity:
    """Of two rows, one of them off by so much."""
    return compare_outputs([[np.eye(2)]], [[np.eye(2) + np.array([[0, error], [0, 0]])]])


def column(label: str, accuracy: float, p50_ms: float) -> Column:
    estimate = {"value": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01, "n": 300}
    return Column(
        label=label,
        spec=label,
        facts={
            "engine": "onnxruntime:cpu 1.20",
            "precision": {"x_encoder": "int8", "predictor": "int8"},
            "size_bytes": 7_000_000,
            "peak_rss_mb": None,
            "parity": {"x_encoder": {"cosine": 0.9999, "max_abs": 0.1, "psnr_db": 50.0}},
        },
        tasks={
            "vqa/what": {
                "headline": "accuracy",
                "metrics": {"accuracy": estimate},
                "chance": 0.125,
                "note": "",
            },
            "hands": {"headline": "", "metrics": {}, "chance": None, "note": "skipped: no folder"},
        },
        latency={
            "window": {
                "p50_ms": p50_ms,
                "p95_ms": p50_ms,
                "low_ms": p50_ms,
                "high_ms": p50_ms,
                "runs": 9,
                "error": "",
                "times_ms": (p50_ms,) * 9,
            },
            "decode": {
                "p50_ms": 0.0,
                "p95_ms": 0.0,
                "low_ms": 0.0,
                "high_ms": 0.0,
                "runs": 0,
                "error": "Oops: x",
            },
        },
    )


@pytest.fixture
def report() -> Comparison:
    columns = {"fast": column("fast", 0.9, 5.0), "slow": column("slow", 0.92, 20.0)}
    columns["slow"].errors.append("it broke")
    same = {"chosen": ("a", "b"), "embeddings": np.eye(2, dtype=np.float32), "groups": (0, 1)}
    results = {
        "fast": {"vqa/what": result([1.0, 0.0], **same)},
        "slow": {"vqa/what": result([1.0, 1.0], **same)},
    }
    return Comparison(
        machine={"cpu": "a chip", "cores": "2"},
        settings={"clips": 300, "rounds": 60},
        columns=tuple(columns.values()),
        differences=(found := tuple(differences(results, "fast"))),
        verdicts=tuple(judge(found, ["fast", "slow"])),
        parity=(
            MeasuredParity(name="predictor", label="slow", base="fast", parity=parity(0.25)),
            MeasuredParity(name="x_encoder", label="slow", base="fast", parity=parity(0.0)),
            MeasuredParity(name="texts", label="slow", base="fast", note="too few numbers"),
        ),
        agreements=tuple(agreements(results, "fast")),
        reference="slow",
        speedups=speedups(columns, "slow"),
    )


def test_text_says_what_was_measured_and_what_was_not(report: Comparison) -> None:
    shown = text(report)
    lines = {
        line.split("  ")[1]: " ".join(line.split()) for line in shown.splitlines() if line.startswith("  ")
    }
    assert lines["peak memory"] == "peak memory n/a n/a"
    assert lines["vqa/what accuracy"] == "vqa/what accuracy 90.0 [89.0, 91.0] 92.0 [91.0, 93.0] 12.5"
    assert lines["hands"].startswith("hands n/a (skipped: no folder)")
    assert "n/a (failed: Oops: x)" in shown
    assert "+50.00" in shown
    assert "Times faster than slow" in shown
    assert "4.000 [n/a of 4]" in shown  # pairs of rounds, too few for an interval
    assert "predictor     0.9" in shown
    assert "x_encoder     identical" in shown
    assert "n/a (too few numbers)" in shown
    assert "not measured here" in shown  # of the numbers that a manifest claims
    assert "- slow: it broke" in shown
    assert "slow against fast: not different at this size" in shown.splitlines()[-1]


def test_markdown_has_a_table_per_title(report: Comparison) -> None:
    written = markdown(report)
    assert written.startswith("# Comparison\n\nMeasured on: cpu a chip, cores 2.")
    tables = [block for block in written.split("\n\n") if block.startswith("|")]
    assert len(tables) == written.count("\n## ") == 8
    for block in tables:
        rows = block.splitlines()
        assert len({row.count("|") for row in rows}) == 1, block


def test_json_is_plain_and_complete(report: Comparison) -> None:
    plain = json.loads(json.dumps(report.to_dict()))
    assert set(plain) == {
        "format", "machine", "settings", "subjects", "differences", "verdicts", "agreements", "decisions", "parity",
        "reference", "speedups",
    }  # fmt: skip
    assert plain["subjects"][0]["tasks"]["vqa/what"]["metrics"]["accuracy"]["value"] == 0.9
    assert plain["speedups"] == {
        "fast": {
            "window": {"value": pytest.approx(4), "low": pytest.approx(4), "high": pytest.approx(4), "n": 4}
        }
    }
    assert (
        plain["differences"][0] | {"value": 50.0, "n": 2, "p": 1.0, "unit": "points"}
        == plain["differences"][0]
    )
    assert plain["verdicts"][0]["verdict"] == "not different at this size"
    assert plain["parity"][1]["identical"]
    assert not plain["parity"][0]["identical"]
    assert plain["agreements"][0]["best_label"]["value"] == 1.0


def test_the_picture(report: Comparison, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from vljepa_apps.measure.compare.picture import draw

    draw(report, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["r.png"]
