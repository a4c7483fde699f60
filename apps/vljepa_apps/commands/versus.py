"""`vljepa versus`: VL-JEPA against a token-space VLM on the same frozen X-encoder, data and schedule."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console
from vljepa_apps.outputs import refuse_existing
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_model.versus import Plan

PLAN_OPTIONS = ("samples", "batch", "clips", "held_out", "lr", "text_pairs", "y_encoder_rate")

EXAMPLE = "vljepa versus tiny --out runs/versus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "checkpoint", nargs="?", default="tiny", metavar="CHECKPOINT",
        help="whose frozen X-encoder and tokenizer both use: a folder, or `tiny`, the shipped one (default)",
    )  # fmt: skip
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the contest; one that exists is continued",
    )
    parser.add_argument(
        "--seeds",
        type=arguments.positive_int,
        metavar="N",
        help="pairs of runs, seeds 0 to N - 1 (default: 2)",
    )
    helps = {
        "samples": "samples that each contender sees in a run (default: 16384)",
        "batch": "samples in a step (default: 128)",
        "clips": "distinct training clips, encoded once (default: 4096)",
        "held_out": "clips that both are measured on (default: 256)",
        "text_pairs": "pairs of wordings that the text side of both learns from beforehand (default: none)",
    }
    for name, text in helps.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=arguments.positive_int, metavar="N", help=text
        )
    parser.add_argument(
        "--lr", type=arguments.positive, metavar="R", help="peak learning rate of both (default: 2e-3)"
    )
    parser.add_argument(
        "--y-encoder-rate",
        type=arguments.non_negative,
        metavar="R",
        help="factor of the Y-encoder's learning rate in the contest, 0 to freeze it (default: 1)",
    )
    parser.add_argument(
        "--beside", type=Path, action="append", default=[], metavar="DIR",
        help="folder of another contest, shown in the same report; its encoded clips are used. May be repeated",
    )  # fmt: skip
    arguments.add_number(parser, "--rounds", 40, "timed answers of each contender, taking turns")
    parser.add_argument(
        "--so-far",
        action="store_true",
        help="train nothing: report what a contest that was stopped has measured",
    )
    parser.add_argument("--threads", type=arguments.positive_int, metavar="N", help="threads of torch")
    parser.add_argument("--force", action="store_true", help="replace a report that is already in DIR")
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Train, measure, time; write versus.json, versus.md and versus.png."""
    from vljepa_apps.measure.figures import require_matplotlib
    from vljepa_apps.measure.versus import draw, markdown, text, to_dict

    arguments.require_extra("train", "torch")
    import torch

    from vljepa_apps.measure.latency import alternate
    from vljepa_model.checkpoint import load_checkpoint
    from vljepa_model.shipped import checkpoint_folder
    from vljepa_model.versus import Contest, answer_cells
    from vljepa_runtime.files import check_folder, replace_file
    from vljepa_runtime.printable import json_text

    require_matplotlib()
    check_folder(args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    files = [args.out / f"versus.{kind}" for kind in ("json", "md", "png")]
    refuse_existing(files, force=args.force)
    if args.threads:
        torch.set_num_threads(args.threads)
    checkpoint = load_checkpoint(checkpoint_folder(args.checkpoint))
    with console.Progress("contest", total=1.0) as bar:

        def show(what: str, share: float, detail: str) -> None:
            bar.label = what
            bar.update(share, detail=detail)

        others = {path: Contest.open(path, checkpoint) for path in args.beside}
        first = next(iter(others.values()), None)
        contest = Contest(args.out, checkpoint, plan_from(args), clips=first, report=show)
        runs = contest.so_far() if args.so_far else contest.runs()
    if len({run.contender for run in runs}) < 2:
        raise InputError(
            f"expected points of both contenders in {args.out}: leave --so-far out to train them"
        )
    times = alternate(answer_cells(contest), rounds=args.rounds)
    beside = {path.name: (other.plan, other.so_far()) for path, other in others.items()}
    report = to_dict(args.checkpoint, contest.plan, runs, times, beside=beside)
    replace_file(files[0], json_text(report, indent=1).encode())
    replace_file(files[1], markdown(report).encode())
    draw(report, files[2])
    console.report(report, lambda: text(report), as_json=args.json, indent=1)
    console.note("wrote " + ", ".join(map(str, files)))
    return 0


def plan_from(args: argparse.Namespace) -> Plan | None:
    """The plan that the options name; None when there are none, so that a contest that exists keeps its own."""
    from vljepa_model.versus import Plan

    changes = arguments.given(args, PLAN_OPTIONS)
    if args.seeds is not None:
        changes["seeds"] = tuple(range(args.seeds))
    return Plan(**changes) if changes else None
