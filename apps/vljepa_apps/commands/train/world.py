"""The part of `vljepa train` that trains on the procedural world: its options and how it reports."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_model.checkpoint import Checkpoint
    from vljepa_model.training import Recipe

__all__ = ["add_arguments", "train"]

RECIPE_OPTIONS = {  # fields of `Recipe`, with what each is
    "seed": "draws weights and data (default 0)",
    "steps": "steps of the optimiser in all (default 2080; 1000 with --data)",
    "stage_zero": "steps in which the X-encoder learns alone (default 1300); 0 where it is trained already",
    "stage_one": "step at which questions join the captions (default 1400)",
    "clips": "clips of a batch, for each process (default 64)",
    "lessons": "queries for each clip (default 3)",
    "lr": "highest learning rate (default 0.002; 0.0001 with --data)",
    "warmup": "steps in which the rate rises to --lr (default 100; 50 with --data)",
    "decay": "share of the steps, at the end, in which the rate falls to 0 (default 0.3)",
    "finish": "share of the steps, at the end, with as many tokens as inference has (default 0.02)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--preset", default="tiny", choices=("tiny", "paper"), help="size of the model (default: tiny)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the run; one that exists is continued",
    )
    parser.add_argument(
        "--hands", type=Path, metavar="DIR", help="photographs of hand signs with their labels.csv"
    )
    parser.add_argument(
        "--init", type=Path, metavar="CHECKPOINT", help="start a new run from these weights (or `tiny`)"
    )
    for name, what in RECIPE_OPTIONS.items():
        kind = float if name in ("lr", "decay", "finish") else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=what)
    parser.add_argument(
        "--extend", type=int, metavar="STEPS", help="give a run that exists this many steps in all"
    )
    parser.add_argument(
        "--stop-after", type=int, metavar="STEPS", help="stop, resumably, after this many steps"
    )
    arguments.add_number(parser, "--save-every", 100, "steps between states", kind=int, metavar="STEPS")
    arguments.add_number(parser, "--workers", 1, "processes that render clips", kind=int)


def train(args: argparse.Namespace, start: Checkpoint | None) -> dict[str, Any]:
    """Train until the recipe's last step.

    Returns:
        Where the checkpoint is, and the last line of the run's log.
    """
    from vljepa_model import training
    from vljepa_model.processes import first_on_machine

    if args.hands and not (args.hands / "labels.csv").exists():
        raise InputError(
            f"expected labels.csv in {args.hands}, found none: name the folder of the photographs"
        )
    if args.extend and first_on_machine():
        training.extend(args.out, args.extend)
    with console.Progress("training") as bar:

        def show(now: training.Progress) -> None:
            bar.total = now.steps
            bar.update(
                now.step,
                detail=f"loss {now.contrastive:.3f}  dense {now.dense:.3f}  decoder {now.decoder:.3f}  "
                f"top-1 {now.top1:.0%}  {now.clips_per_s:.0f} clips/s  {console.duration(now.eta_s)} left",
            )

        checkpoint = training.train(
            args.out,
            preset=args.preset,
            recipe=recipe_from(args),
            hands=args.hands,
            init=start.model if start else None,
            workers=args.workers,
            save_every=args.save_every,
            stop_after=args.stop_after,
            on_progress=show,
        )
    metrics = args.out / "metrics.jsonl"
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    return {"checkpoint": str(checkpoint), "last": json.loads(lines[-1]) if lines else None}


def recipe_from(args: argparse.Namespace) -> Recipe | None:
    """The recipe that the options name; None when there are none, so that a run that exists keeps its own."""
    from vljepa_model.training import Recipe

    if not (changes := arguments.given(args, RECIPE_OPTIONS)):
        return None
    default = Recipe()
    steps = changes.get("steps", default.steps)
    zero = changes.setdefault("stage_zero", min(default.stage_zero, steps // 3))
    changes.setdefault("stage_one", min(max(default.stage_one, zero), zero + (steps - zero) // 10))
    return dataclasses.replace(default, **changes)
