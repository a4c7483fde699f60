"""Lines of metrics: means since the line before, none twice after a kill, and only from the first process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vljepa_model.processes import Processes
from vljepa_model.runs.log import Log, Progress
from vljepa_model.runs.loop import Losses, Run
from vljepa_model.runs.optimiser import Optimiser


@dataclass(frozen=True, slots=True)
class TwoLosses(Losses):
    near: Tensor
    far: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoProgress(Progress):
    near: float
    far: float


class Rates:
    steps = 5

    def learning_rate(self, step: int) -> float:
        return 0.1 * step


def run_of(folder: Path, rank: int = 0) -> Run:
    model = nn.Linear(1, 1)
    optimiser = Optimiser([torch.optim.AdamW(model.parameters())], Rates().learning_rate)
    return Run(folder / "state.pt", model, optimiser, Processes(rank, 2, torch.device("cpu")))


def log_of(run: Run, seen: list[TwoProgress], every: int) -> Log[TwoProgress]:
    return Log(
        run.path.with_name("metrics.jsonl"), TwoProgress, run, Rates(), torch.tensor(0.0),
        clips=8, every=every, on_progress=seen.append,
    )  # fmt: skip


def take(run: Run, log: Log[TwoProgress], stop: int) -> None:
    while run.step < stop:
        run.step += 1
        log.add(TwoLosses(torch.tensor(9.0), torch.tensor(float(run.step)), torch.tensor(0.1)))


def test_a_line_has_the_means_since_the_one_before_and_the_last_step_has_one(tmp_path: Path) -> None:
    run, seen = run_of(tmp_path), list[TwoProgress]()
    take(run, log_of(run, seen, every=2), 5)
    assert [(p.step, p.near) for p in seen] == [(2, 1.5), (4, 3.5), (5, 5)]
    assert [p.lr for p in seen] == pytest.approx([0.1, 0.3, 0.4])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["near"] for line in lines] == [1.5, 3.5, 5]
    assert lines[0].keys() == {"step", "steps", "near", "far", "lr", "temperature", "clips_per_s", "eta_s"}
    assert (lines[0]["far"], lines[0]["temperature"], lines[2]["eta_s"]) == (0.1, 1.0, 0.0)


def test_lines_after_the_last_state_are_dropped_when_a_run_goes_on(tmp_path: Path) -> None:
    lost = '{"step": 3, "near": 0}\n{"step": 900}\n{"other": 1}\n[]\n{"step": 9'
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n' + lost)
    run = run_of(tmp_path)
    run.step = 2
    take(run, log_of(run, [], every=1), 3)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line.get("near")) for line in lines] == [(1, None), (2, None), (3, 3)]


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    run, seen = run_of(tmp_path, rank=1), list[TwoProgress]()
    take(run, log_of(run, seen, every=1), 2)
    run.save()
    assert seen == []
    assert list(tmp_path.iterdir()) == []
