"""Training on the procedural world. A run that was stopped goes on; under torchrun several devices share it.

A run is a folder: `recipe.json`, `tokenizer.json`, `metrics.jsonl`, `state.pt` (all that is needed to go on) and
`checkpoint/` (the model alone).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from vljepa_data.world import PROMPTS
from vljepa_model.checkpoint import preprocess_of, save_checkpoint
from vljepa_model.config import ModelConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.processes import Processes
from vljepa_model.runs.folder import settle, write_settings
from vljepa_model.runs.log import Log
from vljepa_model.runs.log import Progress as RunProgress
from vljepa_model.runs.loop import Run, read_state
from vljepa_model.tensor_files import read_json
from vljepa_model.training.batches import WorldBatches
from vljepa_model.training.objective import Objective
from vljepa_model.training.optimiser import optimiser_for
from vljepa_model.training.recipe import Recipe
from vljepa_model.training.vocabulary import train_tokenizer
from vljepa_model.training.whitening import whiten
from vljepa_model.vl_jepa import VLJEPA
from vljepa_runtime.files import replace_file

__all__ = ["Progress", "extend", "train"]

WHITENING_STEPS = 6
"""Batches whose tubelets whiten the patch embedding of a new run."""

SETTINGS, STATE = "recipe.json", "state.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(RunProgress):
    """Where a run stands, for progress bars and `metrics.jsonl`; losses are means since the line before."""

    contrastive: float
    dense: float
    decoder: float
    top1: float


def extend(out: str | Path, steps: int) -> Recipe:
    """Give a stopped run another number of steps; its plateau and decay move with the end.

    Args:
        out: Folder of the run.
        steps: Steps in all.

    Raises:
        CheckpointError: there is no run, or it is past that step.
    """
    folder = Path(out)
    if not (folder / SETTINGS).exists():
        raise CheckpointError(f"{folder} holds no run to extend: start one first")
    recipe = Recipe.from_dict(read_json(folder / SETTINGS))
    done = int(read_state(folder / STATE)["step"]) if (folder / STATE).exists() else 0
    if done >= steps:
        raise CheckpointError(f"{folder} has done {done} steps already: ask for more than that in all")
    longer = replace(
        recipe, steps=steps, stage_zero=min(recipe.stage_zero, steps), stage_one=min(recipe.stage_one, steps)
    )
    write_settings(folder / SETTINGS, longer.to_dict())
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
    on_progress: Callable[[Progress], None] = lambda progress: None,
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

    Examples:
        >>> from vljepa_model import load_checkpoint
        >>> from vljepa_model.training import Progress, Recipe, extend, train
        >>> def show(progress: Progress) -> None:
        ...     print(f"step {progress.step} of {progress.steps}, {progress.lr:.0e}")
        >>> short = Recipe(steps=2, stage_zero=0, stage_one=1, clips=2, lessons=1, keep=(16,), keep_odds=(1.0,))
        >>> folder = train("run", recipe=short, workers=0, log_every=1, on_progress=show)
        step 1 of 2, 2e-05
        step 2 of 2, 4e-05
        >>> extend("run", 3).steps
        3
        >>> folder = train("run", workers=0, log_every=1, on_progress=show)  # goes on
        step 3 of 3, 6e-05
        >>> load_checkpoint(folder).metadata["step"]
        3
    """
    folder = Path(out)
    processes = Processes.join()
    try:
        with processes.first_before_others():
            recipe = settle(folder / SETTINGS, recipe, Recipe(), begun=(folder / STATE).exists())
        torch.manual_seed(recipe.seed)
        config = ModelConfig.preset(preset) if init is None else init.config
        model = VLJEPA(config)
        if init is not None:
            model.load_state_dict(init.state_dict())
        objective = Objective(model, recipe).to(processes.device)
        run = Run(folder / STATE, objective, optimiser_for(objective, recipe), processes)
        with processes.first_before_others():
            tokenizer = _settle_tokenizer(folder, config)
        make = partial(
            WorldBatches,
            recipe,
            preprocess_of(config),
            tokenizer,
            hands=Path(hands) if hands else None,
            ranks=processes.count,
        )
        if run.step == 0 and init is None:
            first = make(rank=0)
            whiten(model.x_encoder, (first[step] for step in range(WHITENING_STEPS)))
        stop = min(recipe.steps, run.step + stop_after) if stop_after else recipe.steps
        about = {
            "name": preset,
            "license": "Apache-2.0",
            "hands": hands is not None,
            "ranks": processes.count,
            "knows_only": "drawn shapes and hand signs" if hands else "drawn shapes",
        }
        log = Log(
            folder / "metrics.jsonl", Progress, run, recipe, model.log_temperature,
            clips=recipe.clips * processes.count, every=log_every, on_progress=on_progress,
        )  # fmt: skip
        steps = run.steps(
            objective, make(rank=processes.rank), stop=stop, workers=workers,
            seed=(recipe.seed * processes.count + processes.rank) * 10**9,
        )  # fmt: skip
        for losses in steps:
            log.add(losses)
            if run.step % save_every == 0 or run.step == stop:
                run.save()
                if processes.rank == 0:
                    _save(folder, objective, run.step, about)
        processes.wait()
        return folder / "checkpoint"
    finally:
        processes.leave()


def _settle_tokenizer(folder: Path, config: ModelConfig) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        trained = train_tokenizer(config.vocab_size).to_str().encode()
        replace_file(path, trained)
    return Tokenizer.from_file(str(path))


def _save(folder: Path, objective: Objective, step: int, about: Mapping[str, Any]) -> None:
    model, recipe = objective.model, objective.recipe
    metadata = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "recipe": recipe.to_dict(),
        "step": step,
        "clips": step * recipe.clips * about["ranks"],
        **about,
    }
    save_checkpoint(
        model, folder / "checkpoint", dtype=torch.float16, tokenizer_file=folder / "tokenizer.json",
        preprocess=preprocess_of(model.config), prompts=dict(PROMPTS), metadata=metadata,
    )  # fmt: skip
