"""A table of your own clips becomes a bundle that knows your labels, and names the clips that it was not shown.

    python apps/examples/finetune_few.py clips.csv runs/door
    python apps/examples/finetune_few.py clips.csv runs/door --held-out val --steps 300

The table has the columns `path` and `text`, a label as in "someone at the door"; with a column `split`, the clips of
`--held-out` are not learned from. Put a video into one split only. Needs `pip install -e '.[train,export]'`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import vljepa_runtime as vj
from vljepa_data.annotations import Example, read_annotations, read_segment
from vljepa_export import export_bundle
from vljepa_model import checkpoint_folder, load_checkpoint
from vljepa_model.finetuning import FineTuneProgress, FineTuneRecipe, finetune


def arguments() -> argparse.Namespace:
    """What is learned from, and where it goes."""
    parser = argparse.ArgumentParser(description="Fine-tune on a table of clips, export, classify.")
    parser.add_argument("table", type=Path, help="a CSV with the columns path and text")
    parser.add_argument("run", type=Path, help="folder of the run; the bundle is called like it")
    parser.add_argument("--held-out", metavar="SPLIT", help="clips to try the bundle on (default: all)")
    parser.add_argument("--steps", type=int, default=1000, help="updates of the weights (default 1000)")
    return parser.parse_args()


def learn(run: Path, examples: list[Example], steps: int) -> Path:
    """Fine-tune `tiny`; a run that was stopped goes on. Gives the checkpoint."""

    def show(now: FineTuneProgress) -> None:
        print(f"step {now.step} of {now.steps}, {now.eta_s:.0f} s left", file=sys.stderr)

    start = load_checkpoint(checkpoint_folder("tiny"))
    return finetune(run, start, examples, FineTuneRecipe(steps=steps), on_progress=show)


def classify(bundle: Path, examples: list[Example], labels: list[str]) -> None:
    """Print the best label of each clip, and how many are right."""
    model, right = vj.load(bundle), 0
    for example in examples:
        clip = read_segment(example.segment, model.preprocess)
        best = model.classify(clip, labels, query=example.query or None)[0]  # asked as it was learned
        right += best.label == example.text
        print(f"{example.segment.path.name}: {best.label} ({best.score:.2f})")
    print(f"{right} of {len(examples)} right")


def main() -> int:
    """Learn, export, try."""
    args = arguments()
    try:
        everything = read_annotations(args.table)
        kept = [example for example in everything if example.split == args.held_out] or everything
        learned = [example for example in everything if not args.held_out or example.split != args.held_out]
        labels = list(dict.fromkeys(example.text for example in everything))
        bundle = args.run / f"{args.run.name}.vljepa"
        checkpoint = learn(args.run, learned, args.steps)
        export_bundle(checkpoint, bundle, force=True)
        classify(bundle, kept, labels)
    except vj.VljepaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
