"""The training loop: resumable after a kill at any moment, on one CPU, one GPU, or several devices under torchrun.

A run is a folder: `recipe.json`, `metrics.jsonl`, `state.pt` (all that is needed to go on) and
`checkpoint/` (the model alone).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.utils.data import DataLoader

from vljepa_data.world.vocabulary import PROMPTS
from vljepa_model.checkpoint import preprocess_of, save_checkpoint
from vljepa_model.config import ModelConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.processes import Processes, quiet_worker
from vljepa_model.training.batches import Batch, WorldBatches
from vljepa_model.training.objective import Losses, Objective
from vljepa_model.training.optimiser import Optimisers
from vljepa_model.training.recipe import Recipe
from vljepa_model.training.vocabulary import train_tokenizer
from vljepa_model.training.whitening import whiten
from vljepa_model.vl_jepa import VLJEPA
from vljepa_runtime.outputs import replace_file

__all__ = ["Progress", "extend", "train"]

WHITENING_STEPS = 6
"""Batches whose tubelets whiten the patch embedding of a new run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands, for progress bars and `metrics.jsonl`."""

    step: int
    steps: int
    contrastive: float
    dense: float
    decoder: float
    top1: float
    lr: float
    temperature: float
    clips_per_s: float
    eta_s: float


def extend(out: str | Path, steps: int) -> Recipe:
    """Give a stopped run another number of steps; its plateau and decay move with the end.

    Args:
        out: Folder of the run.
        steps: Steps in all.

    Raises:
        CheckpointError: there is no run, or it is past that step.
    """
    folder = Path(out)
    if not (folder / "recipe.json").exists():
        raise CheckpointError(f"{folder} holds no run to extend: start one first")
    recipe = Recipe.from_dict(json.loads((folder / "recipe.json").read_text()))
    done = (
        int(torch.load(folder / "state.pt", weights_only=True)["step"])
        if (folder / "state.pt").exists()
        else 0
    )
    if done >= steps:
        raise CheckpointError(f"{folder} has done {done} steps already: ask for more than that in all")
    longer = replace(
        recipe, steps=steps, stage_zero=min(recipe.stage_zero, steps), stage_one=min(recipe.stage_one, steps)
    )
    text = json.dumps(longer.to_dict(), indent=1)
    replace_file(folder / "recipe.json", lambda file: file.write(text.encode()))
    return longer


def train(
    out: str | Path,
    *,
    preset: str = "tiny",
    recipe: Recipe | None = None,
    hands: str | Path | None = None,
    init: VLJEPA | None = None,
    workers: int = 1,
    save_every: int = 100,
    log_every: int = 10,
    stop_after: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a model on the procedural world, or go on with a run that was stopped.

    Args:
        out: Folder of the run; if it holds a `state.pt`, training continues from there.
        preset: Model size of a new run that starts from nothing.
        recipe: What to do; a continued run must be given the recipe that it started with, or none.
        hands: Folder with photographs of hand signs; without it the model learns none.
        init: A model whose sizes and weights a new run starts from.
        workers: Processes that render clips.
        save_every: Steps between states.
        log_every: Steps between lines of metrics.
        stop_after: Stop (resumably) after this many steps of this call.
        on_progress: Called at every logged step.

    Returns:
        The folder of the checkpoint.

    Raises:
        CheckpointError: the folder holds another run.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    processes = Processes.join()
    try:
        with processes.first_before_others():
            recipe = _settle_recipe(folder, recipe)
        torch.manual_seed(recipe.seed)
        config = ModelConfig.preset(preset) if init is None else init.config
        model = VLJEPA(config)
        if init is not None:
            model.load_state_dict(init.state_dict())
        objective = Objective(model, recipe).to(processes.device)
        optimisers = Optimisers(objective, recipe)
        with processes.first_before_others():
            tokenizer = _settle_tokenizer(folder, config)
        start = _resume(folder, objective, optimisers)
        make = partial(
            WorldBatches,
            recipe,
            preprocess_of(config),
            tokenizer,
            hands=Path(hands) if hands else None,
            ranks=processes.count,
        )
        batches = make(rank=processes.rank)
        if start == 0 and init is None:
            whiten(model.x_encoder, (make(rank=0)[step] for step in range(WHITENING_STEPS)))
        stop = min(recipe.steps, start + stop_after) if stop_after else recipe.steps
        loader = DataLoader(
            batches, batch_size=None, sampler=range(start, stop), num_workers=workers,
            prefetch_factor=4 if workers else None, worker_init_fn=quiet_worker,
        )  # fmt: skip
        about = {
            "name": preset,
            "license": "Apache-2.0",
            "hands": hands is not None,
            "ranks": processes.count,
        }
        log = _Log(folder, recipe, processes.count, log_every, on_progress)
        for step, batch in zip(range(start, stop), loader, strict=True):
            torch.manual_seed(
                (recipe.seed * processes.count + processes.rank) * 10**9 + step
            )  # the decoder's noise, whether resumed or not
            losses = _step(objective, optimisers, _to(batch, processes.device), step, processes)
            if processes.rank == 0:
                log.add(step, losses, model, recipe)
                if (step + 1) % save_every == 0 or step + 1 == stop:
                    _save(folder, objective, optimisers, step + 1, about)
        processes.wait()
        return folder / "checkpoint"
    finally:
        processes.leave()


def _step(
    objective: Objective, optimisers: Optimisers, batch: Batch, step: int, processes: Processes
) -> Losses:
    device = batch.patches.device.type
    with torch.autocast(device, dtype=torch.bfloat16):
        losses: Losses = objective(batch, step)
    torch.autograd.backward(losses.total)
    processes.average_gradients(objective)
    nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
    optimisers.step(step)
    return losses


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return Batch(*(getattr(batch, field.name).to(device, non_blocking=True) for field in fields(Batch)))


def _settle_recipe(folder: Path, recipe: Recipe | None) -> Recipe:
    path = folder / "recipe.json"
    if not path.exists():
        settled = recipe or Recipe()
        text = json.dumps(settled.to_dict(), indent=1)
        replace_file(path, lambda file: file.write(text.encode()))
        return settled
    found = Recipe.from_dict(json.loads(path.read_text()))
    if recipe is not None and recipe != found:
        changed = [f.name for f in fields(Recipe) if getattr(recipe, f.name) != getattr(found, f.name)]
        raise CheckpointError(
            f"{folder} holds a run with another recipe ({', '.join(changed)} differ): choose another folder"
        )
    return found


def _settle_tokenizer(folder: Path, config: ModelConfig) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        trained = train_tokenizer(config.vocab_size).to_str().encode()
        replace_file(path, lambda file: file.write(trained))
    return Tokenizer.from_file(str(path))


def _resume(folder: Path, objective: Objective, optimisers: Optimisers) -> int:
    path = folder / "state.pt"
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    objective.load_state_dict(state["objective"])
    optimisers.load_state_dict(state["optimisers"])
    return int(state["step"])


def _save(
    folder: Path, objective: Objective, optimisers: Optimisers, step: int, about: Mapping[str, Any]
) -> None:
    state = {"objective": objective.state_dict(), "optimisers": optimisers.state_dict(), "step": step}
    replace_file(folder / "state.pt", lambda file: torch.save(state, file))
    model, recipe = objective.model, objective.recipe
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    metadata = {
        "created": created,
        "recipe": recipe.to_dict(),
        "step": step,
        "clips": step * recipe.clips * about["ranks"],
        **about,
    }
    save_checkpoint(
        model, folder / "checkpoint", dtype=torch.float16, tokenizer_file=folder / "tokenizer.json",
        preprocess=preprocess_of(model.config), prompts=dict(PROMPTS), metadata=metadata,
    )  # fmt: skip


class _Log:
    """Averages losses between lines of `metrics.jsonl`."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        ranks: int,
        every: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.path, self.recipe, self.ranks, self.every = folder / "metrics.jsonl", recipe, ranks, every
        self.on_progress = on_progress
        self.sums: list[Sequence[float]] = []
        self.since = time.monotonic()

    def add(self, step: int, losses: Losses, model: VLJEPA, recipe: Recipe) -> None:
        """Take in one step; write a line when one is due."""
        parts = (losses.contrastive, losses.dense, losses.decoder, losses.top1)
        self.sums.append([float(part) for part in parts])
        if (step + 1) % self.every:
            return
        means = [sum(column) / len(self.sums) for column in zip(*self.sums, strict=True)]
        speed = len(self.sums) * recipe.clips * self.ranks / (time.monotonic() - self.since)
        left = (recipe.steps - step - 1) * recipe.clips * self.ranks / speed
        progress = Progress(
            step=step + 1, steps=recipe.steps, contrastive=means[0], dense=means[1], decoder=means[2], top1=means[3],
            lr=recipe.lr * recipe.rate(step), temperature=math.exp(model.log_temperature.item()),
            clips_per_s=speed, eta_s=left,
        )  # fmt: skip
        with self.path.open("a") as file:
            file.write(
                json.dumps({f.name: round(getattr(progress, f.name), 5) for f in fields(Progress)}) + "\n"
            )
        if self.on_progress:
            self.on_progress(progress)
        self.sums, self.since = [], time.monotonic()
