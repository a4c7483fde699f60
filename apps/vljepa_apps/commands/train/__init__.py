"""`vljepa train`: train on the procedural world or fine-tune on annotated videos; a run that was stopped goes on."""

from __future__ import annotations

import argparse

from vljepa_apps import arguments, console
from vljepa_apps.commands.train import finetuning, world
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import check_folder

WRITTEN = ("state.pt", "recipe.json", "run.json", "checkpoint/model.safetensors", "checkpoint/config.json")

EXAMPLE = "vljepa train --init tiny --data clips.csv --out runs/mine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, those that belong to fine-tuning in a group of their own."""
    world.add_arguments(parser)
    arguments.add_json(parser)
    finetuning.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train until the recipe's last step."""
    arguments.require_extra("train", "torch")
    from vljepa_model.checkpoint import load_checkpoint
    from vljepa_model.processes import first_on_machine
    from vljepa_model.shipped import checkpoint_folder

    check_folder(args.out, names=WRITTEN)
    if args.data and args.init is None:
        raise InputError(
            "expected --init CHECKPOINT with --data: name what is to be fine-tuned, such as `tiny`"
        )
    start = load_checkpoint(checkpoint_folder(args.init)) if args.init else None
    report = finetuning.train(args, start) if args.data and start else world.train(args, start)
    if not first_on_machine():
        return 0
    if args.json:
        console.document(report)
    console.note(f"wrote {report['checkpoint']}\nnext: vljepa export {report['checkpoint']}")
    return 0
