"""Train both contenders, measure them on the way, and go on after a kill.

A contest is a folder: `plan.json`, `bank/` (frozen features), and per seed and contender one `.pt` with weights,
optimiser and the points measured so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from vljepa_data.world import Split
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.processes import Processes
from vljepa_model.runs.fingerprint import fingerprint
from vljepa_model.runs.folder import settle
from vljepa_model.runs.loop import Losses, Run, read_state
from vljepa_model.runs.optimiser import Optimiser
from vljepa_model.versus.bank import Bank
from vljepa_model.versus.contenders import CONTENDERS, JepaContender, VlmContender, build, parameters
from vljepa_model.versus.lessons import Lessons
from vljepa_model.versus.measure import Point, measure
from vljepa_model.versus.plan import Plan

__all__ = ["Contest", "LearningCurve"]

TRAIN_SEED = 900_000_000  # far from the seeds that the shipped model's training draws from
HELD_OUT_SEED = 5_000_000
SAVE_S = 60.0
SETTINGS = "plan.json"

Report = Callable[[str, float, str], None]
"""Called with what is being done, the share of it that is done, and a detail."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What one contender reached over its training with one seed."""

    contender: str
    seed: int
    parameters: Mapping[str, int]
    points: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "contender": self.contender,
            "seed": self.seed,
            "parameters": dict(self.parameters),
            "points": [point.to_dict() for point in self.points],
        }


class Contest:
    """Both contenders on the frozen features of one checkpoint's X-encoder.

    Args:
        folder: Created when it does not exist; one that holds a contest is continued.
        checkpoint: Gives X-encoder, geometry, tokenizer and vocabulary.
        plan: What to do; None continues with the folder's own plan, or starts the default one.
        report: Told about the progress.

    Raises:
        CheckpointError: the folder holds a contest with another plan or X-encoder.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_model import checkpoint_folder, load_checkpoint
        >>> from vljepa_model.versus import Contest, Plan, answer_cells
        >>> sizes = {"width": 32, "depth": 1, "vlm_width": 32, "embedding_dim": 16, "keep": 16}
        >>> plan = Plan(seeds=(0,), samples=4, batch=2, clips=2, held_out=2, candidates=4, points=(), **sizes)
        >>> contest = Contest(Path("contest"), load_checkpoint(checkpoint_folder("tiny")), plan)
        >>> contest.runs()
        [LearningCurve(contender='vl-jepa', seed=0, parameters={...}, points=(Point(samples=4, ...),)), ...]
        >>> list(answer_cells(contest)["vl-jepa"])  # calls to be timed
        ['X-encoder', 'caption in words', 'best of 4 labels', 'embedding', 'embedding to words']
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Checkpoint,
        plan: Plan | None = None,
        *,
        report: Report = lambda what, share, detail: None,
    ) -> None:
        self.folder, self.checkpoint, self.report = folder, checkpoint, report
        self.tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))
        identity = {"x_encoder": fingerprint(checkpoint.model.x_encoder)}
        self.plan = settle(folder / SETTINGS, plan, Plan(), key="plan", identity=identity)
        self.train = self._bank(Split.TRAIN, TRAIN_SEED, self.plan.clips)
        self.held_out = self._bank(Split.TEST, HELD_OUT_SEED, self.plan.held_out, kind="single")

    def runs(self) -> list[LearningCurve]:
        """Train whatever is not trained yet and give every run's points.

        The contenders of a seed take turns from point to point, so that an unfinished contest already compares.
        """
        for seed in self.plan.seeds:
            for target in self.plan.measured_at:
                for name in CONTENDERS:
                    self._train(name, seed, target)
        return self.so_far()

    def so_far(self) -> list[LearningCurve]:
        """Every run that has begun, with the points measured until now; trains nothing."""
        pairs = [(name, seed) for seed in self.plan.seeds for name in CONTENDERS]
        return [self.load(name, seed)[0] for name, seed in pairs if self._path(name, seed).exists()]

    def load(self, name: str, seed: int) -> tuple[LearningCurve, JepaContender | VlmContender]:
        """A contender as it was saved last, with its points."""
        contender, path = self._new(name, seed), self._path(name, seed)
        state = read_state(path) if path.exists() else {}
        if state:
            contender.load_state_dict(state["weights"])
        points = tuple(Point.from_dict(point) for point in state.get("points", []))
        return LearningCurve(name, seed, parameters(contender), points), contender

    def _train(self, name: str, seed: int, target: int) -> None:
        """Train one contender up to a step and measure it there."""
        contender = self._new(name, seed)
        state = Run(self._path(name, seed), contender, _optimiser(contender, self.plan), Processes.alone())
        points: list[dict[str, Any]] = list(state.notes.get("points", []))
        if any(point["samples"] == target * self.plan.batch for point in points):
            return
        spent, losses = float(state.notes.get("train_s", 0.0)), list(state.notes.get("losses", []))
        lessons = Lessons(self.train, self.tokenizer, self.plan, seed)
        saved, begun = time.monotonic(), time.process_time()
        for step in state.steps(
            lambda samples, step: Losses(contender.loss(samples)), lessons, stop=target, seed=seed * 10**6
        ):
            losses.append(float(step.total.detach()))
            spent += time.process_time() - begun
            self.report(f"{name} seed {seed}", state.step / self.plan.steps, f"loss {losses[-1]:.3f}")
            if time.monotonic() - saved > SAVE_S:
                state.save(points=points, train_s=spent, losses=losses)
                saved = time.monotonic()
            begun = time.process_time()
        cider, top5, top1 = measure(contender, self.held_out, self.plan.candidates)
        mean = sum(losses) / max(len(losses), 1)
        samples = state.step * self.plan.batch
        points.append(
            Point(samples=samples, cider=cider, top5=top5, top1=top1, loss=mean, train_s=spent).to_dict()
        )
        state.save(points=points, train_s=spent, losses=[])

    def _new(self, name: str, seed: int) -> JepaContender | VlmContender:
        torch.manual_seed(seed)
        return build(name, self.checkpoint.config, self.tokenizer, self.plan)

    def _bank(self, split: Split, first_seed: int, clips: int, *, kind: str | None = None) -> Bank:
        what = f"encoding {split.value} clips"
        return Bank.build(
            self.folder / "bank" / split.value,
            self.checkpoint.model.x_encoder,
            self.checkpoint.preprocess,
            split=split, first_seed=first_seed, clips=clips, keep=self.plan.keep, kind=kind,
            on_progress=lambda done: self.report(what, done / clips, f"{done} of {clips}"),
        )  # fmt: skip

    def _path(self, name: str, seed: int) -> Path:
        return self.folder / f"{name}-{seed}.pt"


def _optimiser(contender: torch.nn.Module, plan: Plan) -> Optimiser:
    matrices = [p for p in contender.parameters() if p.ndim == 2]
    others = [p for p in contender.parameters() if p.ndim != 2]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return Optimiser((torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.98)),), plan.learning_rate)
