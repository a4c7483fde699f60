"""Train both contenders, measure them on the way, and go on after a kill.

A contest is a folder: `plan.json`, `bank/` (frozen features), and per seed and contender one `.pt` with weights,
optimiser and the points measured so far; where the plan has text pairs, one `-text.pt` with what was learned from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from vljepa_data.world import Split
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.errors import CheckpointError
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
from vljepa_model.versus.text_side import TextPairs, text_side

__all__ = ["SETTINGS", "Contest", "LearningCurve", "state_file"]

TRAIN_SEED = 900_000_000  # far from the seeds that the shipped model's training draws from
HELD_OUT_SEED = 5_000_000
TEXTS = 500_000  # what is drawn for texts alone is drawn from another stream than what a step of the contest draws
SAVE_S = 60.0
SETTINGS = "plan.json"

Report = Callable[[str, float, str], None]
"""Called with what is being done, the share of it that is done, and a detail."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What one contender reached over its training with one seed.

    Attributes:
        contender: Its name.
        seed: Of weights and batches.
        parameters: Trainable ones by part.
        points: What was measured, in order.
        text_s: Seconds of processor time that its text side learned beforehand; not in the points' `train_s`.
    """

    contender: str
    seed: int
    parameters: Mapping[str, int]
    points: tuple[Point, ...]
    text_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "contender": self.contender,
            "seed": self.seed,
            "parameters": dict(self.parameters),
            "points": [point.to_dict() for point in self.points],
            "text_s": self.text_s,
        }


class Contest:
    """Both contenders on the frozen features of one checkpoint's X-encoder.

    Args:
        folder: Created when it does not exist; one that holds a contest is continued.
        checkpoint: Gives X-encoder, geometry, tokenizer and vocabulary.
        plan: What to do; None continues with the folder's own plan, or starts the default one.
        clips: Another contest on the same X-encoder: its encoded clips are read where both keep as many tokens.
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
        [LearningCurve(contender='vl-jepa', seed=0, parameters={...}, points=(Point(samples=4, ...),), text_s=0.0), ...]
        >>> list(answer_cells(contest)["vl-jepa"])  # calls to be timed
        ['X-encoder', 'caption in words', 'best of 4 labels', 'embedding', 'embedding to words']
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Checkpoint,
        plan: Plan | None = None,
        *,
        clips: Contest | None = None,
        report: Report = lambda what, share, detail: None,
    ) -> None:
        self.folder, self.checkpoint, self.report = folder, checkpoint, report
        self.tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))
        identity = {"x_encoder": fingerprint(checkpoint.model.x_encoder)}
        self.plan = settle(folder / SETTINGS, plan, Plan(), key="plan", identity=identity)
        self._encoded = clips.folder if clips and clips.plan.keep == self.plan.keep else folder

    @classmethod
    def open(cls, folder: Path, checkpoint: Checkpoint) -> Contest:
        """A contest that has been begun.

        Raises:
            CheckpointError: the folder holds none, or one on another X-encoder.
        """
        if not (folder / SETTINGS).is_file():
            raise CheckpointError(
                f"expected the folder of a contest, got {folder}: `vljepa versus` makes one"
            )
        return cls(folder, checkpoint)

    @cached_property
    def train(self) -> Bank:
        """Clips that both learn from, encoded at first use."""
        return self._bank(Split.TRAIN, TRAIN_SEED, self.plan.clips)

    @cached_property
    def held_out(self) -> Bank:
        """Clips that both are measured on, encoded at first use."""
        return self._bank(Split.TEST, HELD_OUT_SEED, self.plan.held_out, kind="single")

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
        return LearningCurve(name, seed, parameters(contender), points, state.get("text_s", 0.0)), contender

    def _train(self, name: str, seed: int, target: int) -> None:
        """Train one contender up to a step and measure it there."""
        contender = self._new(name, seed)
        text_s = 0.0 if self._path(name, seed).exists() else self._learn_texts(contender, name, seed)
        optimiser = _optimiser(
            contender, self.plan, steps=self.plan.steps, y_encoder_rate=self.plan.y_encoder_rate
        )
        run = Run(self._path(name, seed), contender, optimiser, Processes.alone())
        points: list[dict[str, Any]] = list(run.notes.get("points", []))
        if any(point["samples"] == target * self.plan.batch for point in points):
            return
        lessons = Lessons(self.train, self.tokenizer, self.plan, seed)
        notes = {"points": points, "text_s": run.notes.get("text_s", text_s)}
        losses, spent = self._learn(
            run, contender.loss, lessons, stop=target, seed=seed * 10**6, what=f"{name} seed {seed}", **notes
        )
        quality = measure(contender, self.held_out, self.plan.candidates)
        mean = sum(losses) / max(len(losses), 1)
        point = Point(samples=run.step * self.plan.batch, loss=mean, train_s=spent, **quality)
        points.append(point.to_dict())
        run.save(train_s=spent, losses=[], **notes)

    def _learn_texts(self, contender: JepaContender | VlmContender, name: str, seed: int) -> float:
        """Give a new contender the text side that the plan asks for; returns the seconds that it took to learn."""
        if not self.plan.text_steps:
            return 0.0
        side, path = text_side(contender), self.folder / f"{name}-{seed}-text.pt"
        run = Run(path, side, _optimiser(side, self.plan, steps=self.plan.text_steps), Processes.alone())
        texts = TextPairs(
            self.tokenizer, self.plan, seed, visual_width=self.checkpoint.config.x_encoder.width
        )
        first, what = seed * 10**6 + TEXTS, f"{name} seed {seed}, texts"
        losses, spent = self._learn(run, side.loss, texts, stop=len(texts), seed=first, what=what)
        run.save(train_s=spent, losses=losses)
        return spent

    def _learn(
        self, run: Run, loss: Callable[[Any], torch.Tensor], batches: Lessons | TextPairs, *,
        stop: int, seed: int, what: str, **notes: Any,
    ) -> tuple[list[float], float]:  # fmt: skip
        """Update up to a step, saving on the way; gives the losses since the last point and the seconds in all."""
        spent, losses = float(run.notes.get("train_s", 0.0)), list(run.notes.get("losses", []))
        saved, begun = time.monotonic(), time.process_time()
        # float32 on every machine, so that contests compare
        steps = run.steps(lambda batch, _: Losses(loss(batch)), batches, stop=stop, seed=seed, half=False)
        for step in steps:
            losses.append(float(step.total.detach()))
            spent += time.process_time() - begun
            self.report(what, run.step / len(batches), f"loss {losses[-1]:.3f}")
            if time.monotonic() - saved > SAVE_S:
                run.save(train_s=spent, losses=losses, **notes)
                saved = time.monotonic()
            begun = time.process_time()
        return losses, spent

    def _new(self, name: str, seed: int) -> JepaContender | VlmContender:
        torch.manual_seed(seed)
        return build(name, self.checkpoint.config, self.tokenizer, self.plan)

    def _bank(self, split: Split, first_seed: int, clips: int, *, kind: str | None = None) -> Bank:
        what = f"encoding {split.value} clips"
        return Bank.build(
            self._encoded / "bank" / split.value,
            self.checkpoint.model.x_encoder,
            self.checkpoint.preprocess,
            split=split, first_seed=first_seed, clips=clips, keep=self.plan.keep, kind=kind,
            on_progress=lambda done: self.report(what, done / clips, f"{done} of {clips}"),
        )  # fmt: skip

    def _path(self, name: str, seed: int) -> Path:
        return state_file(self.folder, name, seed)


def state_file(folder: Path, name: str, seed: int) -> Path:
    """Where a contender's weights lie."""
    return folder / f"{name}-{seed}.pt"


def _optimiser(module: torch.nn.Module, plan: Plan, *, steps: int, y_encoder_rate: float = 1.0) -> Optimiser:
    """AdamW on the plan's schedule over so many steps; matrices alone decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        decay = plan.weight_decay if parameter.ndim == 2 else 0.0
        factor = y_encoder_rate if name.startswith("y_encoder.") else 1.0
        groups.setdefault((decay, factor), []).append(parameter)
    parts = [{"params": groups[key], "weight_decay": key[0], "lr": key[1]} for key in sorted(groups)[::-1]]
    return Optimiser(
        (torch.optim.AdamW(parts, lr=1.0, betas=(0.9, 0.98)),), partial(plan.learning_rate, steps=steps)
    )
