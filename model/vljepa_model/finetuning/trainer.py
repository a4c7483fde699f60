"""Fine-tuning on annotated videos. A run that was stopped goes on; under torchrun several devices share it.

A run is a folder: `run.json` (recipe, and what names checkpoint and data), `skipped.jsonl` (videos that cannot be
read), `metrics.jsonl`, `state.pt` (all that is needed to go on), `checkpoint/` (the model alone) and, where no other
place is named, `features/` (what a frozen X-encoder gives).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from vljepa_data.annotations import Example, Unusable, by_segment
from vljepa_model.checkpoint import Checkpoint, save_checkpoint
from vljepa_model.errors import ConfigError
from vljepa_model.finetuning.batches import ClipBatches
from vljepa_model.finetuning.clips import digest_of, left_out, unusable_of, write_left_out
from vljepa_model.finetuning.objective import FineTuneObjective, learning
from vljepa_model.finetuning.optimiser import optimiser_for
from vljepa_model.finetuning.recipe import FineTuneRecipe, Only
from vljepa_model.finetuning.texts import Tokenizers
from vljepa_model.finetuning.visual_cache import VisualCache
from vljepa_model.processes import Processes
from vljepa_model.runs.fingerprint import fingerprint
from vljepa_model.runs.folder import known_settings, settle
from vljepa_model.runs.log import Log, Progress
from vljepa_model.runs.loop import Run

__all__ = ["CacheOptions", "FineTuneProgress", "finetune"]

SETTINGS, STATE, SKIPPED, FEATURES = "run.json", "state.pt", "skipped.jsonl", "features"
OWN_CACHE_BYTES = 10 * 10**9  # 100,000 clips of `tiny`, 2,400 of ViT-L; more is for who names a place for it


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneProgress(Progress):
    """Where a run stands, for progress bars and `metrics.jsonl`; losses are means since the line before."""

    contrastive: float
    decoder: float
    top1: float


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
    name: str | None = None,
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
        cache: Where the features of a frozen X-encoder are kept; by default in the run's folder, up to 10 GB. Refused
            when the X-encoder learns.
        name: What the fine-tuned model is called; by default as the run's folder.
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

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_data.annotations import read_annotations
        >>> from vljepa_model import checkpoint_folder, load_checkpoint
        >>> from vljepa_model.finetuning import CacheOptions, FineTuneProgress, FineTuneRecipe, finetune
        >>> def show(progress: FineTuneProgress) -> None:
        ...     print(f"step {progress.step} of {progress.steps}: {progress.top1:.0%} right")
        >>> checkpoint, examples = load_checkpoint(checkpoint_folder("tiny")), read_annotations("clips.csv")
        >>> recipe, cache = FineTuneRecipe(steps=2, batch=2, precision="fp32"), CacheOptions(folder=Path("features"))
        >>> folder = finetune("tuned", checkpoint, examples, recipe, cache=cache, log_every=1, on_progress=show)
        step 1 of 2: 100% right
        step 2 of 2: 100% right
        >>> load_checkpoint(folder).metadata["finetuned"]["clips"]
        2
    """
    folder, processes = Path(out), Processes.join()
    try:
        identity = {"checkpoint": fingerprint(checkpoint.model), "data": digest_of(examples)}
        with processes.first_before_others():
            settled, units = _begin(
                folder, checkpoint, examples, recipe, identity, processes,
                cached=cache is not None, strict=strict, on_skipped=on_skipped, on_survey=on_survey,
            )  # fmt: skip
        own = CacheOptions(folder=folder / FEATURES, limit_bytes=OWN_CACHE_BYTES)
        objective, batches = _prepare(checkpoint, units, settled, cache or own, processes)
        run = Run(folder / STATE, objective.model, optimiser_for(objective.model, settled), processes)
        stop = min(settled.steps, run.step + stop_after) if stop_after else settled.steps
        log = Log(
            folder / "metrics.jsonl", FineTuneProgress, run, settled, checkpoint.model.log_temperature,
            clips=settled.rows, every=log_every, on_progress=on_progress,
        )  # fmt: skip
        steps = run.steps(
            objective, batches, stop=stop, workers=workers,
            seed=settled.seed * 10**9, half=settled.precision.half,
        )  # fmt: skip
        for losses in steps:
            log.add(losses)
            if run.step % save_every == 0 or run.step == stop:
                run.save()
                if processes.rank == 0:
                    _save(folder, checkpoint, settled, run.step, len(units), name or folder.resolve().name)
        processes.wait()
        return folder / "checkpoint"
    finally:
        processes.leave()


def _begin(
    folder: Path,
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    recipe: FineTuneRecipe | None,
    identity: Mapping[str, str],
    processes: Processes,
    *,
    cached: bool,
    strict: bool,
    on_skipped: Callable[[Sequence[Unusable]], None],
    on_survey: Callable[[int, int], None],
) -> tuple[FineTuneRecipe, list[tuple[Example, ...]]]:
    """Recipe and texts per clip of a run: nothing is written before they are known to go together."""
    path, skipped, default = folder / SETTINGS, folder / SKIPPED, FineTuneRecipe()
    begun = (folder / STATE).exists()
    known = known_settings(path, default, key="recipe", identity=identity, begun=begun)
    if known is not None:
        recipe = known if recipe is None else replace(recipe, batch=recipe.batch or known.batch)
    wanted = recipe or default
    _check_parts(checkpoint, wanted, cached=cached)
    unusable = None
    looks = known is None or not skipped.exists() or (not begun and processes.rank == 0)
    if wanted.only is not Only.DECODER and looks:
        unusable = unusable_of(by_segment(examples), strict=strict, on_survey=on_survey)
        without = frozenset(str(bad.segment) for bad in unusable)
    else:
        without = left_out(skipped) if skipped.exists() else frozenset()
    units = _units(examples, wanted, without, checkpoint.prompts)
    wanted = wanted.for_clips(len(units), processes=processes.count)
    settled = settle(path, wanted, default, key="recipe", identity=identity, begun=begun)
    if unusable is not None:
        write_left_out(skipped, unusable)
        on_skipped(unusable)
    return settled, units


def _check_parts(checkpoint: Checkpoint, recipe: FineTuneRecipe, *, cached: bool) -> None:
    """Raise where a recipe needs what a checkpoint has not, or a cache what a recipe has not."""
    if checkpoint.config.y_decoder is None and "y_decoder" in learning(recipe):
        raise ConfigError(
            "this model has no Y-decoder to train: pass --only alignment, or import one with it"
        )
    if cached and not _sees_frozen(recipe):
        raise ConfigError(
            "a cache holds features of videos by a frozen X-encoder, this recipe has none: leave it out"
        )


def _sees_frozen(recipe: FineTuneRecipe) -> bool:
    """Whether videos are looked at by an X-encoder that stays as it is, so that once is enough."""
    return recipe.only is not Only.DECODER and not recipe.train_x_encoder


def _units(
    examples: Sequence[Example], recipe: FineTuneRecipe, without: frozenset[str], prompts: Mapping[str, str]
) -> list[tuple[Example, ...]]:
    """Texts per clip whose video can be read, with what is asked; per text where only the Y-decoder learns.

    A text without a query answers what the model asks by itself, whether it is to find words or a label.
    """
    asked = [each for example in examples for each in example.asked(prompts, "caption", "classify")]
    if recipe.only is Only.DECODER:
        return [(example,) for example in {example.text: example for example in asked}.values()]
    return [texts for segment, texts in by_segment(asked).items() if str(segment) not in without]


def _prepare(
    checkpoint: Checkpoint,
    units: Sequence[Sequence[Example]],
    recipe: FineTuneRecipe,
    cache: CacheOptions,
    processes: Processes,
) -> tuple[FineTuneObjective, ClipBatches]:
    store, model, pre = None, checkpoint.model, checkpoint.preprocess
    if _sees_frozen(recipe):
        store = VisualCache(
            cache.folder, model.x_encoder, pre, limit_bytes=cache.limit_bytes, sharers=processes.count
        )
    objective = FineTuneObjective(model, recipe, processes, store).to(processes.device).train()
    batches = ClipBatches(
        units, recipe, pre, Tokenizers.of(checkpoint), cache=store, rank=processes.rank, ranks=processes.count
    )
    return objective, batches


def _save(
    folder: Path, checkpoint: Checkpoint, recipe: FineTuneRecipe, step: int, clips: int, name: str
) -> None:
    metadata = {
        **checkpoint.metadata,
        "knows_only": _knows_only(checkpoint, recipe),
        "name": name,
        "finetuned": {
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "recipe": recipe.to_dict(),
            "step": step,
            "clips": clips,
        },
    }
    shared = len(set(checkpoint.tokenizers.values())) == 1
    save_checkpoint(
        checkpoint.model, folder / "checkpoint",
        tokenizer_file=checkpoint.tokenizer_file if shared else checkpoint.tokenizers,
        preprocess=checkpoint.preprocess, prompts=checkpoint.prompts, metadata=metadata,
    )  # fmt: skip


def _knows_only(checkpoint: Checkpoint, recipe: FineTuneRecipe) -> str:
    """What was said of the first training holds until what sees has learned more; words alone are no seeing."""
    return "" if "predictor" in learning(recipe) else str(checkpoint.metadata.get("knows_only", ""))
