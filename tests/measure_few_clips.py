"""What fine-tuning `tiny` on few clips teaches: labels and words of clips that it never saw, as a Markdown table.

    python tests/measure_few_clips.py --out runs/few [--falls DIR] [--clips 10,20,50,200] [--steps N] [--jobs N]

Three tasks, each with words that `tiny` never learned:

- world, labels: twelve actions of the procedural world under names of one's own (`something tumbles`);
- world, sentences: a sentence of one's own for each clip (`the crimson globe tumbles`);
- falls, labels: real clips of DIR (`events.csv` with file, start_s, end_s, class), cut into two seconds. Videos are
  dealt into four parts; each part is measured after learning from the three others.

Worlds are learned from combinations that training had, and measured on those it never had.
A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_apps.demo.stream import write_video
from vljepa_data.annotations import Example, Segment
from vljepa_data.world import Event, Split, make_clip

FIRST_SEED = 900_000  # no training of `tiny` went so far
HELD_OUT = 96
SHAPES = ("globe", "crate", "wedge", "spark", "plus", "hoop", "love", "crescent")
COLOURS = ("crimson", "amber", "lemon", "emerald", "navy", "violet", "ivory", "coal")
ACTIONS = (
    "shows up", "walks off", "wanders along", "keeps hopping", "leaps", "tumbles",
    "spins", "swells", "bangs into another", "slips behind another", "climbs another", "waits",
)  # fmt: skip
CLASSES = {
    "falling": "a person falls", "standing": "a person stands", "walking": "a person walks", "sitting": "a person sits",
}  # fmt: skip
PARTS = 4
PIECE_S, STRIDE_S, TEST_STRIDE_S = 2.0, 0.25, 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """One fine-tuning and its measurement; none where `clips` is 0, which measures `tiny` as it is."""

    task: str
    clips: int
    part: int = 0

    def __str__(self) -> str:
        return f"{self.task.replace(', ', '-')}-{self.clips}-{self.part}"


def own_words(event: Event) -> tuple[str, str]:
    """A label and a sentence in words that the world does not have."""
    from vljepa_data.world.vocabulary import ACTIONS as NAMES

    action = ACTIONS[NAMES.index(event.action)]
    return f"something {action}", f"the {COLOURS[event.actor.colour]} {SHAPES[event.actor.shape]} {action}"


def world(folder: Path, split: Split, clips: int, *, labels: bool) -> list[Example]:
    """Clips as files, which are written unless they are there, with their texts."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for seed in range(FIRST_SEED, FIRST_SEED + clips):
        clip, path = make_clip(seed, split, kind="single"), folder / f"{split.value}-{seed}.mp4"
        if not path.exists():
            write_video(clip.frames, path, fps=4)
        label, sentence = own_words(clip.events[0])
        names = tuple(f"something {action}" for action in ACTIONS) if labels else ()
        examples.append(Example(segment=Segment(path), text=label if labels else sentence, candidates=names))
    return examples


def falls(folder: Path, part: int, clips: int | None) -> list[Example]:
    """Pieces of the videos of one part; with `clips`, so many of those of the other parts, of all classes in turn."""
    events = defaultdict(list)
    for row in csv.DictReader((folder / "events.csv").open(encoding="utf-8")):
        if row["class"] in CLASSES:
            events[row["file"]].append((float(row["start_s"]), float(row["end_s"]), row["class"]))
    chosen = [file for i, file in enumerate(sorted(events)) if (i % PARTS == part) == (clips is None)]
    stride_s = TEST_STRIDE_S if clips is None else STRIDE_S
    pieces = [piece for file in chosen for piece in cut(folder / file, events[file], stride_s)]
    if clips is None:
        return pieces
    order = np.random.default_rng(part).permutation(len(pieces)).tolist()
    seen: dict[str, int] = defaultdict(int)
    turns = []
    for i in order:
        turns.append((seen[pieces[i].text], i))
        seen[pieces[i].text] += 1
    return [pieces[i] for _, i in sorted(turns)[:clips]]


def cut(path: Path, events: Sequence[tuple[float, float, str]], stride_s: float) -> Iterator[Example]:
    """Pieces that lie in one event alone."""
    for start_s, end_s, name in events:
        for begin_s in np.arange(start_s, end_s - PIECE_S + 1e-6, stride_s).tolist():
            others = [e for e in events if e[2] != name and e[0] < begin_s + PIECE_S and begin_s < e[1]]
            if not others:
                segment = Segment(path, round(begin_s, 2), round(begin_s + PIECE_S, 2))
                yield Example(segment=segment, text=CLASSES[name], candidates=tuple(CLASSES.values()))


def examples_of(job: Job, args: argparse.Namespace) -> tuple[list[Example], list[Example]]:
    """What is learned, and what is held out."""
    if job.task.startswith("falls"):
        return falls(args.falls, job.part, job.clips), falls(args.falls, job.part, None)
    labels, films = job.task.endswith("labels"), args.out / "films"
    return (
        world(films, Split.TRAIN, job.clips, labels=labels),
        world(films, Split.COMPOSITION, HELD_OUT, labels=labels),
    )


def measure(job: Job, args: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune and measure; or read what was measured before."""
    import torch

    from vljepa_model.checkpoint import load_checkpoint
    from vljepa_model.finetuning import CacheOptions, FineTuneRecipe, finetune, measure_held_out
    from vljepa_model.finetuning.visual_cache import VisualCache
    from vljepa_model.shipped import checkpoint_folder

    if (done := args.out / "results" / f"{job}.json").exists():
        return dict(json.loads(done.read_text()))
    torch.set_num_threads(1)
    learned, held_out = examples_of(job, args)
    checkpoint, cache = load_checkpoint(checkpoint_folder("tiny")), args.out / "cache"
    if job.clips:
        recipe = FineTuneRecipe(steps=args.steps, batch=min(32, len(learned)))
        options = CacheOptions(folder=cache)
        written = finetune(args.out / "runs" / str(job), checkpoint, learned, recipe, cache=options)
        checkpoint = load_checkpoint(written)
    checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu")
    store = VisualCache(cache, checkpoint.model.x_encoder, checkpoint.preprocess)
    found = dataclasses.asdict(measure_held_out(checkpoint, held_out, cache=store))
    result = {**dataclasses.asdict(job), "learned": len(learned) if job.clips else 0, "held_out": found}
    done.parent.mkdir(parents=True, exist_ok=True)
    done.with_suffix(".part").write_text(json.dumps(result))
    done.with_suffix(".part").replace(done)
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """A row per task and number of clips; parts of the falls together."""
    lines = [
        "| task | clips | right label | always the commonest | words, F1 | one text for all | word for word |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = defaultdict(list)
    for result in sorted(results, key=lambda r: (r["task"].startswith("falls"), r["task"], r["clips"])):
        groups[result["task"], result["clips"]].append(result)
    for (task, clips), parts in groups.items():
        cells = [mean(parts, "choice", "right"), mean(parts, "choice", "blind")]
        cells += [mean(parts, "words", name) for name in ("f1", "blind", "exact")]
        note = "" if max(part["learned"] for part in parts) == clips else f" ({parts[0]['learned']})"
        lines.append(f"| {task} | {clips or 'none'}{note} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mean(parts: Sequence[dict[str, Any]], what: str, name: str) -> str:
    """Over all that was asked in the parts."""
    found = [part["held_out"][what] for part in parts if part["held_out"][what]]
    counts = [each["queries" if what == "choice" else "clips"] for each in found]
    return f"{np.average([each[name] for each in found], weights=counts):.0%}" if found else ""


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--falls", type=Path)
    parser.add_argument("--clips", default="10,20,50,200")
    parser.add_argument("--steps", type=int, default=1000, help="as `vljepa train` does without --steps")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    args = parser.parse_args()
    counts = [0, *map(int, args.clips.split(","))]
    jobs = [Job(task, clips) for clips in counts for task in ("world, labels", "world, sentences")]
    if args.falls:
        jobs += [Job("falls, labels", clips, part) for clips in counts for part in range(PARTS)]
    world(args.out / "films", Split.TRAIN, max(counts), labels=True)
    world(args.out / "films", Split.COMPOSITION, HELD_OUT, labels=True)
    results = []
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(measure, job, args) for job in jobs]):
            results.append(done.result())
            print(f"{len(results)} of {len(jobs)}: {json.dumps(results[-1])}", file=sys.stderr, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
