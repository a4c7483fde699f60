"""The fine-tuning loop: resumable after a kill at any moment; on one CPU or GPU, or several under torchrun."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vljepa_data.annotations import Example, Unusable, by_segment, survey
from vljepa_model.checkpoint import Checkpoint, save_checkpoint
from vljepa_model.errors import ConfigError
from vljepa_model.finetuning.batches import ClipBatch, ClipBatches
from vljepa_model.finetuning.objective import FineTuneLosses, FineTuneObjective
from vljepa_model.finetuning.optimiser import optimiser_for, set_rate
from vljepa_model.finetuning.recipe import FineTuneRecipe, Only, Precision
from vljepa_model.finetuning.run_folder import RunFolder, digest_of
from vljepa_model.finetuning.texts import Tokenizers
from vljepa_model.finetuning.visual_cache import VisualCache, fingerprint
from vljepa_model.processes import Processes, quiet_worker
from vljepa_runtime.errors import SourceError

__all__ = ["CacheOptions", "FineTuneProgress", "finetune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneProgress:
    """Where a run stands, for progress bars and `metrics.jsonl`; losses are means since the line before."""

    step: int
    steps: int
    contrastive: float
    decoder: float
    top1: float
    lr: float
    temperature: float
    clips_per_s: float
    eta_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """Where frozen visual features are kept, and how many bytes they may take (None: any number)."""

    folder: Path
    limit_bytes: int | None = None


def finetune(
    out: str | Path,
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    recipe: FineTuneRecipe | None = None,
    *,
    cache: CacheOptions | None = None,
    strict: bool = False,
    workers: int = 0,
    save_every: int = 100,
    log_every: int = 10,
    stop_after: int | None = None,
    on_skipped: Callable[[Sequence[Unusable]], None] = lambda unusable: None,
    on_survey: Callable[[int, int], None] = lambda done, total: None,
    on_progress: Callable[[FineTuneProgress], None] = lambda progress: None,
) -> Path:
    """Fine-tune a checkpoint on annotated videos, or go on with a run that was stopped.

    Args:
        out: Folder of the run; one that holds a run is continued.
        checkpoint: What to start from; its model is changed.
        examples: Texts about segments of videos.
        recipe: What to do; None continues with the folder's own recipe.
        cache: Keep the features of a frozen X-encoder on disk; refused when the X-encoder learns.
        strict: Raise for a video that cannot be read instead of leaving it out.
        workers: Processes that decode videos.
        save_every: Steps between states.
        log_every: Steps between lines of `metrics.jsonl`.
        stop_after: Stop, resumably, after this many steps.
        on_skipped: Told which videos are left out, once, when a run begins.
        on_survey: Told how many videos were looked at, of how many.
        on_progress: Told where the run stands.

    Returns:
        Folder of the fine-tuned checkpoint.

    Raises:
        CheckpointError: the folder holds another run, or weights are not sound.
        ConfigError: recipe and data do not go together.
        SourceError: `strict`, and a video cannot be read; or none can.
    """
    processes = Processes.join()
    try:
        run = RunFolder(Path(out))
        identity = {"checkpoint": fingerprint(checkpoint.model), "data": digest_of(examples)}
        with processes.first_before_others():
            settled = run.settle(recipe, identity)
        units = _usable(run, checkpoint, examples, settled, strict, processes, on_skipped, on_survey)
        objective, batches = _prepare(checkpoint, units, settled, cache, processes)
        optimiser = optimiser_for(objective.model, settled)
        start = run.load_state(objective.model, optimiser)
        if processes.rank == 0:
            run.forget_metrics_after(start)
        stop = min(settled.steps, start + stop_after) if stop_after else settled.steps
        loader = DataLoader(
            batches, batch_size=None, sampler=range(start, stop), num_workers=workers,
            prefetch_factor=2 if workers else None, worker_init_fn=quiet_worker,
        )  # fmt: skip
        log = _Log(run, settled, log_every, on_progress, quiet=processes.rank > 0)
        for step, batch in zip(range(start, stop), loader, strict=True):
            losses = _step(objective, optimiser, _to(batch, processes.device), settled, step, processes)
            log.add(step, losses, objective)
            if processes.rank == 0 and ((step + 1) % save_every == 0 or step + 1 == stop):
                run.save_state(objective.model, optimiser, step + 1)
                _save(run, checkpoint, settled, step + 1, len(units))
        processes.wait()
        return run.checkpoint
    finally:
        processes.leave()


def _usable(
    run: RunFolder,
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    recipe: FineTuneRecipe,
    strict: bool,
    processes: Processes,
    on_skipped: Callable[[Sequence[Unusable]], None],
    on_survey: Callable[[int, int], None],
) -> list[tuple[Example, ...]]:
    """Texts per clip whose video can be read; per text where only the Y-decoder learns."""
    if recipe.only is Only.DECODER:
        return [(example,) for example in {example.text: example for example in examples}.values()]
    groups = by_segment(examples)
    if processes.rank == 0 and run.skipped() is None:
        unusable = survey(groups, on_progress=lambda done: on_survey(done, len(groups)))
        if unusable and (strict or len(unusable) == len(groups)):
            first = unusable[0]
            raise SourceError(
                f"{len(unusable)} of {len(groups)} clips cannot be read, first {first.segment}: {first.reason}"
            )
        run.skip(unusable)
        on_skipped(unusable)
    processes.wait()
    left_out = set(run.skipped() or ())
    return [texts for segment, texts in groups.items() if str(segment) not in left_out]


def _prepare(
    checkpoint: Checkpoint,
    units: Sequence[Sequence[Example]],
    recipe: FineTuneRecipe,
    cache: CacheOptions | None,
    processes: Processes,
) -> tuple[FineTuneObjective, ClipBatches]:
    store = None
    if cache is not None and (recipe.only is Only.DECODER or recipe.train_x_encoder):
        raise ConfigError(
            "a cache holds features of videos by a frozen X-encoder, this recipe has none: leave it out"
        )
    model, pre = checkpoint.model, checkpoint.preprocess
    if cache is not None:
        store = VisualCache(
            cache.folder, model.x_encoder, pre, limit_bytes=cache.limit_bytes, sharers=processes.count
        )
    objective = FineTuneObjective(model, recipe, processes, store).to(processes.device).train()
    batches = ClipBatches(
        units, recipe, pre, Tokenizers.of(checkpoint), cache=store, rank=processes.rank, ranks=processes.count
    )
    return objective, batches


def _step(
    objective: FineTuneObjective,
    optimiser: torch.optim.AdamW,
    batch: ClipBatch,
    recipe: FineTuneRecipe,
    step: int,
    processes: Processes,
) -> FineTuneLosses:
    half = recipe.precision is Precision.BF16
    with torch.autocast(processes.device.type, dtype=torch.bfloat16, enabled=half):
        losses: FineTuneLosses = objective(batch, step)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(losses.total)
    processes.average_gradients(objective)
    nn.utils.clip_grad_norm_([p for p in objective.parameters() if p.requires_grad], 1.0)
    set_rate(optimiser, recipe, step)
    optimiser.step()
    return losses


def _save(run: RunFolder, checkpoint: Checkpoint, recipe: FineTuneRecipe, step: int, clips: int) -> None:
    metadata = {
        **checkpoint.metadata,
        "finetuned": {
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "recipe": recipe.to_dict(),
            "step": step,
            "clips": clips,
        },
    }
    shared = len(set(checkpoint.tokenizers.values())) == 1
    save_checkpoint(
        checkpoint.model, run.checkpoint, tokenizer_file=checkpoint.tokenizer_file if shared else checkpoint.tokenizers,
        preprocess=checkpoint.preprocess, prompts=checkpoint.prompts, metadata=metadata,
    )  # fmt: skip


def _to(batch: ClipBatch, device: torch.device) -> ClipBatch:
    if device.type == "cpu":
        return batch
    tensors = (field.name for field in fields(batch) if isinstance(getattr(batch, field.name), Tensor))
    moved: dict[str, Any] = {name: getattr(batch, name).to(device, non_blocking=True) for name in tensors}
    if batch.clips is not None:
        moved["clips"] = batch.clips.to(device)
    return replace(batch, **moved)


class _Log:
    """Averages losses between lines of `metrics.jsonl`."""

    def __init__(
        self,
        run: RunFolder,
        recipe: FineTuneRecipe,
        every: int,
        on_progress: Callable[[FineTuneProgress], None],
        *,
        quiet: bool,
    ) -> None:
        self.run, self.recipe, self.every = run, recipe, every
        self.on_progress, self.quiet = on_progress, quiet
        self.sums: list[tuple[float, ...]] = []
        self.since = time.monotonic()

    def add(self, step: int, losses: FineTuneLosses, objective: FineTuneObjective) -> None:
        """Take in one step; write a line when one is due."""
        self.sums.append(tuple(float(x.detach()) for x in (losses.contrastive, losses.decoder, losses.top1)))
        if self.quiet or ((step + 1) % self.every and step + 1 < self.recipe.steps):
            return
        contrastive, decoder, top1 = (sum(column) / len(self.sums) for column in zip(*self.sums, strict=True))
        speed = len(self.sums) * self.recipe.batch / max(time.monotonic() - self.since, 1e-9)
        progress = FineTuneProgress(
            step=step + 1, steps=self.recipe.steps, contrastive=contrastive, decoder=decoder, top1=top1,
            lr=self.recipe.lr * self.recipe.rate(step), temperature=math.exp(objective.model.log_temperature.item()),
            clips_per_s=speed, eta_s=(self.recipe.steps - step - 1) * self.recipe.batch / speed,
        )  # fmt: skip
        self.run.log(asdict(progress))
        self.on_progress(progress)
        self.sums, self.since = [], time.monotonic()
