"""The part of `vljepa train` that fine-tunes a checkpoint on annotated videos: its options and how it reports."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console, own_clips
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vljepa_data.annotations import Example
    from vljepa_model.checkpoint import Checkpoint
    from vljepa_model.finetuning import FineTuneRecipe, HeldOutResults

__all__ = ["add_arguments", "train"]

SHARED = ("seed", "steps", "lr", "warmup")  # options that training from the world declares already
OWN = ("batch", "only", "train_x_encoder", "y_encoder_lr", "decoder", "precision", "gradient_checkpointing")
FOREIGN = ("hands", "clips", "lessons", "stage_zero", "stage_one", "decay", "finish", "extend")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group(
        "fine-tuning", "with --init CHECKPOINT and --data FILE; under torchrun on several devices"
    )
    own_clips.add_file(group, "--data", dest="data", what="", split="learn from this part of FILE only")
    group.add_argument(
        "--held-out",
        metavar="PART",
        help="measure retrieval, choice among candidates and words on this part of FILE, which is not learned from: a "
        "split's name, or a share of the videos such as 0.2",
    )
    group.add_argument(
        "--name", metavar="NAME", help="what model and bundle are called (default: as the folder --out)"
    )
    group.add_argument(
        "--only", choices=("all", "alignment", "decoder"),
        help="what learns: all (default), alignment (predictor and Y-encoder), decoder (from texts alone, no videos)",
    )  # fmt: skip
    group.add_argument(
        "--batch",
        type=arguments.positive_int,
        metavar="N",
        help="clips per step over all processes (default: 32, or as many as there are)",
    )
    group.add_argument(
        "--train-x-encoder", action="store_true", default=None, help="the X-encoder learns too"
    )
    group.add_argument(
        "--y-encoder-lr", type=float, metavar="F", help="the Y-encoder's rate over --lr (default: 0.05)"
    )
    group.add_argument(
        "--decoder", type=float, metavar="W", help="weight of the Y-decoder's loss (default: 1)"
    )
    group.add_argument(
        "--precision",
        choices=("auto", "bf16", "fp32"),
        help="of matrix products (default: auto, bf16 where the device has instructions for it)",
    )
    group.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        default=None,
        help="less memory for a third more time",
    )
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep the frozen X-encoder's features here, for several runs (default: features/ in --out)",
    )
    group.add_argument(
        "--cache-gb",
        type=arguments.positive,
        metavar="N",
        help="size that the features may reach (default: 10, and no bound in DIR)",
    )
    group.add_argument("--strict", action="store_true", help="stop for a video that cannot be read")


def train(args: argparse.Namespace, checkpoint: Checkpoint) -> dict[str, Any]:
    """Fine-tune until the recipe's last step.

    Returns:
        Where the checkpoint is, the run's last progress, and what was measured on held-out clips.
    """
    from vljepa_data.annotations import Unusable
    from vljepa_model.finetuning import CacheOptions, FineTuneProgress, finetune
    from vljepa_model.processes import first_on_machine

    if foreign := arguments.given(args, FOREIGN):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
        raise InputError(
            f"{options} belong to training from the procedural world: leave them out with --data"
        )
    examples, kept = parts(args)
    limit = int(args.cache_gb * 1e9) if args.cache_gb else None
    cache = None
    if args.cache or limit:
        cache = CacheOptions(folder=args.cache or args.out / "features", limit_bytes=limit)
    last: list[FineTuneProgress] = []

    def tell(unusable: list[Unusable]) -> None:
        if unusable:
            console.note(
                f"{len(unusable)} clips cannot be read and are skipped, first {unusable[0].segment}: "
                f"{unusable[0].reason} (all in {args.out / 'skipped.jsonl'})"
            )

    with console.Progress("fine-tuning") as bar:

        def show(now: FineTuneProgress) -> None:
            last[:] = [now]
            bar.total = now.steps
            bar.update(
                now.step,
                detail=f"loss {now.contrastive:.3f}  decoder {now.decoder:.3f}  top-1 {now.top1:.0%}  "
                f"{now.clips_per_s:.1f} clips/s  {console.duration(now.eta_s)} left",
            )

        written = finetune(
            args.out, checkpoint, examples, recipe_from(args), cache=cache, name=args.name, strict=args.strict,
            workers=args.workers, save_every=args.save_every, stop_after=args.stop_after,
            on_skipped=lambda unusable: tell(list(unusable)),
            on_survey=lambda done, total: bar.update(0, detail=f"looked at {done} of {total} clips"),
            on_progress=show,
        )  # fmt: skip
    return {
        "checkpoint": str(written),
        "last": dataclasses.asdict(last[0]) if last else None,
        "held_out": measured(written, kept) if kept and first_on_machine() else None,
    }


def parts(args: argparse.Namespace) -> tuple[list[Example], list[Example]]:
    """What --split and --held-out leave to learn from, and what is held out."""
    from vljepa_data.annotations import split_by_video

    examples = _read(args, args.split)
    if args.held_out is None:
        return examples, []
    if (share := share_of(args.held_out)) is not None:
        examples, kept = split_by_video(examples, share)
        videos = {example.segment.path for example in kept}
        console.note(f"held out: {len(kept)} texts about {len(videos)} videos, first {min(videos)}")
        return examples, kept
    if args.split is None:  # what is held out is not learned from
        examples = [example for example in examples if example.split != args.held_out]
    kept = _read(args, args.held_out)
    check_videos(examples, kept)
    return examples, kept


def share_of(part: str) -> float | None:
    """The share that --held-out gives; None where it names a split."""
    try:
        share = float(part)
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def measured(written: Path, kept: Sequence[Example]) -> dict[str, Any]:
    """What the fine-tuned checkpoint knows of clips that were held out."""
    from vljepa_model.checkpoint import load_checkpoint
    from vljepa_model.finetuning import measure_held_out

    found = measure_held_out(load_checkpoint(written), kept)
    for line in told(found):
        console.note(line)
    return dataclasses.asdict(found)


def told(found: HeldOutResults) -> Iterator[str]:
    """What was measured on held-out clips, a sentence each."""
    yield (
        f"text to video on {found.clips} held-out clips: recall at 1 {found.recall_at_1:.1%}, at 5 "
        f"{found.recall_at_5:.1%} (chance {found.recall_chance:.1%})"
    )
    if choice := found.choice:
        yield (
            f"right answer of {choice.queries} queries with candidates: {choice.right:.1%} (chance "
            f"{choice.chance:.1%}, always the commonest {choice.blind:.1%})"
        )
    if words := found.words:
        yield (
            f"words of {words.clips} held-out clips: F1 {words.f1:.1%} (one text said of all {words.blind:.1%}), "
            f"word for word {words.exact:.1%}"
        )
        if not words.learned:
            yield (
                "the Y-decoder has learned too little: its words fit not clearly better than one text said of all, "
                "so use labels (vljepa classify, vljepa run --label), or learn from more clips"
            )


def check_videos(learned: Sequence[Example], kept: Sequence[Example]) -> None:
    """Tell which videos are in both parts: their segments look alike, and what is measured is too good."""
    if both := sorted(
        {example.segment.path for example in learned} & {example.segment.path for example in kept}
    ):
        console.note(
            f"{len(both)} videos are both learned from and held out, first {both[0]}: what is measured will be "
            "too good, split by video"
        )


def _read(args: argparse.Namespace, split: str | None) -> list[Example]:
    from vljepa_data.annotations import read_annotations

    return read_annotations(args.data, format=args.data_format, videos=args.videos, split=split)


def recipe_from(args: argparse.Namespace) -> FineTuneRecipe | None:
    """The recipe that the options name; None when there are none, so that a run that exists keeps its own."""
    from vljepa_model.finetuning import FineTuneRecipe

    changes = arguments.given(args, (*SHARED, *OWN))
    return FineTuneRecipe(**changes) if changes else None
