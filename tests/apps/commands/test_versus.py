"""`vljepa versus`: a contest of a few steps from nothing to its report, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vljepa_apps.main import main
from vljepa_apps.measure.versus import draw, markdown, text, to_dict

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
    capsys.readouterr()
    other = tmp_path / "taught"
    texts = ["--text-pairs", "4", "--beside", str(tmp_path), "--json"]
    assert main(["versus", "tiny", "--out", str(other), *FEW, *texts]) == 0
    taught = json.loads(capsys.readouterr().out)
    assert taught["beside"][0]["runs"] == report["runs"]
    assert not (other / "bank").exists()
    assert all(run["text_s"] > 0 for run in taught["runs"])
    assert "vl-jepa, text pairs 0" in (other / "versus.md").read_text()


def test_contests_stand_beside_each_other(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from vljepa_model.versus import LearningCurve, Plan
    from vljepa_model.versus.measure import Point

    def runs(cider: float, text_s: float) -> list[LearningCurve]:
        return [
            LearningCurve(
                name,
                seed,
                {"part": 10_000},
                (
                    Point(
                        samples=8,
                        cider=cider + seed,
                        top5=0.5,
                        top1=0.25,
                        loss=1.0,
                        train_s=2.0,
                        wording=words,
                    ),
                ),
                text_s,
            )
            for seed in (0, 1)
            for name, words in (("vl-jepa", 9.0), ("token-vlm", None))
        ]

    beside = {
        "taught": (Plan(text_pairs=256, y_encoder_rate=0.05), runs(3.0, 7.0)),
        "again": (Plan(), runs(1.0, 0.0)),
    }
    report = to_dict("tiny", Plan(), runs(1.0, 0.0), {"vl-jepa": {}, "token-vlm": {}}, beside=beside)
    report = json.loads(json.dumps(report))
    tables = markdown(report)
    label = "text pairs 256, y encoder rate 0.05"
    six = (
        f"| vl-jepa | token-vlm | vl-jepa, {label} | token-vlm, {label} | vl-jepa, again | token-vlm, again |"
    )
    assert f"| samples seen {six}" in tables
    assert "| 8 | 1.50 (1.00 to 2.00) | 1.50 (1.00 to 2.00) | 3.50 (3.00 to 4.00) |" in tables
    assert f"| samples seen | vl-jepa | vl-jepa, {label} | vl-jepa, again |" in tables
    assert f"| vl-jepa, {label} | 7.0 (7.0 to 7.0) |" in tables
    assert "| vl-jepa | 7.0" not in tables
    draw(report, tmp_path / "versus.png")
    assert (tmp_path / "versus.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tinny"], "tinny"),
        (["tiny", *FEW, "--so-far"], "expected points of both contenders"),
        (["tiny", "--samples", "7", "--batch", "4"], "samples a multiple of batch"),
        (["tiny", "--text-pairs", "130"], "expected text_pairs 0 or a multiple of batch, got 130, batch 128"),
        (["tiny", "--beside", "nowhere"], "expected the folder of a contest, got nowhere"),
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
