"""Where segments begin on real footage that no training saw, against when people act in it, in words of its annotators.

    python tests/measure_boundaries.py DIR [--stride 0.5]

`DIR` holds clips and an `events.csv` with file, start_s, end_s and class. `tiny` and its network know nothing of such
pictures. Selection by the network, by distance, and as often as the network but evenly are measured side by side.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

import vljepa_runtime as vj
from vljepa_apps import console
from vljepa_evaluation.tasks import Recording, find_events


def recorded(
    model: vj.Model, clip: Path, events: list[tuple[float, float, str]], stride_s: float
) -> Recording:
    """Embeddings of a clip's windows, and what people do in it."""
    query, sampler = model.bundle.manifest.prompts["caption"], vj.WindowSampler(model.preprocess, stride_s)
    with vj.open_source(clip) as source:
        windows = [window for frame in source for window in sampler.push(frame)]
    return Recording(
        embeddings=np.stack([model.embed(window.clip, query) for window in windows]),
        windows_s=np.array([(window.start_s, window.end_s) for window in windows]),
        events_s=np.array([(start, end) for start, end, _ in events]),
        references=tuple((label,) for *_, label in events),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stride", type=float, default=0.5)
    args = parser.parse_args()
    model = vj.load("tiny", threads=1)
    events = defaultdict(list)
    for row in csv.DictReader((args.folder / "events.csv").open()):
        events[row["file"]].append((float(row["start_s"]), float(row["end_s"]), row["class"]))
    with console.Progress("embedding", total=len(events)) as progress:
        clips = [
            recorded(model, args.folder / name, sorted(events[name]), args.stride)
            for name in progress.over(sorted(events))
        ]
    online = vj.OnlineSelection().knowing(model.boundaries, model.bundle.manifest.prompts["caption"])
    by_network = find_events([online] * len(clips), clips)
    told = by_network.events - by_network.missed + by_network.spurious
    every_s = by_network.minutes * 60 / told
    print(
        "| segments | a minute | events missed | of no event, a minute | told after, median |\n|---|---|---|---|---|"
    )
    ways = {
        "by the network": online,
        "by distance": vj.OnlineSelection(),
        f"every {every_s:.1f} s": vj.Uniform(every_s),
    }
    for name, policy in ways.items():
        found = find_events([policy] * len(clips), clips)
        rate = (found.events - found.missed + found.spurious) / found.minutes
        print(
            f"| {name} | {rate:.1f} | {found.missed / found.events:.0%} of {found.events} | "
            f"{found.spurious / found.minutes:.1f} | {np.median(found.delays_s):.1f} s |"
        )


if __name__ == "__main__":
    main()
