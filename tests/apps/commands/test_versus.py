"""`vljepa versus`: a contest of a few steps from nothing to its report, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vljepa_apps.main import main
from vljepa_apps.measure.versus import markdown, text

FEW = [
    "--samples",
    "8",
    "--batch",
    "4",
    "--clips",
    "8",
    "--held-out",
    "6",
    "--seeds",
    "2",
    "--rounds",
    "2",
    "--threads",
    "1",
]


@pytest.mark.slow
def test_a_contest_leaves_numbers_tables_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert main(["versus", "tiny", "--out", str(tmp_path), *FEW, "--json"]) == 0
    printed, said = capsys.readouterr()
    report = json.loads(printed)
    assert json.loads((tmp_path / "versus.json").read_text()) == report
    assert [(run["contender"], run["seed"]) for run in report["runs"]] == [
        ("vl-jepa", 0), ("token-vlm", 0), ("vl-jepa", 1), ("token-vlm", 1),
    ]  # fmt: skip
    assert all([point["samples"] for point in run["points"]] == [8] for run in report["runs"])
    assert report["time_to_answer"]["token-vlm"]["best of 128 labels"]["runs"] == 2
    assert (tmp_path / "versus.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "versus.md").read_text()
    assert table == markdown(report)
    assert "| embedding | " in table
    assert "n/a" in text(report).splitlines()[-1]
    assert "versus.png" in said
    assert main(["versus", "tiny", "--out", str(tmp_path)]) == 1
    assert "exists: choose another name or pass --force" in capsys.readouterr().err
    assert main(["versus", "tiny", "--out", str(tmp_path), "--force", "--rounds", "1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tinny"], "tinny"),
        (["tiny", *FEW, "--so-far"], "expected points of both contenders"),
        (["tiny", "--samples", "7", "--batch", "4"], "samples a multiple of batch"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert main(["versus", *arguments, "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said
