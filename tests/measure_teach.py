"""How well states are told that were taught by a few examples each, as a Markdown table.

    python tests/measure_teach.py --data DATA [--examples 10] [--draws 5] [--bundle tiny]

`DATA` has `real/fingers` and `sign_digits` (`labels.csv` and pictures), `real/backgrounds` and
`clips/intel/one-by-one-person-detection.mp4`. Examples are drawn from the train part, everything is judged on the test
part, whose sessions or hands are others. Of the still camera three times without anybody and three people are learned,
and the others judged. The last column is of pictures that show no state at all. Beside it scikit-learn's logistic
regression on the same features.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import vljepa_runtime as vj
from vljepa_runtime.bundle import identity_of
from vljepa_runtime.states import UNSURE
from vljepa_teach import Windows, learn

POOL = 30
"""Pictures of a state that draws are made of."""
CAMERA = "clips/intel/one-by-one-person-detection.mp4"
NOBODY = ((0, 5.5), (20.5, 22.5), (45.5, 50), (70.5, 74), (87, 92), (120.5, 123), (136.5, 139.4))
SOMEBODY = ((8, 18.5), (24.5, 43), (52, 68), (77, 85), (94, 118), (125.5, 134))
"""Seconds of that clip, by eye: whether somebody stands at the table."""
Features = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Windows with their states; `parts` is what lies together in one place and time."""

    states: np.ndarray
    parts: np.ndarray
    features: Features

    def take(self, rows: np.ndarray) -> Shown:
        """Some of them."""
        features = {name: values[rows] for name, values in self.features.items()}
        return Shown(states=self.states[rows], parts=self.parts[rows], features=features)


def encoded(model: vj.Model, clips: Sequence[Any]) -> Features:
    """Both features of clips or pictures."""
    rows: dict[str, list[np.ndarray]] = {"embedding": [], "tokens": []}
    for number, clip in enumerate(clips):
        visual = model.encode(clip)
        rows["embedding"].append(model.predict(visual))
        rows["tokens"].append(vj.pool_tokens(visual))
        if number % 100 == 99:
            print(f"{number + 1} of {len(clips)} encoded", file=sys.stderr, flush=True)
    return {name: np.stack(values) for name, values in rows.items()}


def pictures(
    model: vj.Model, folder: Path, column: str, split: str, states: Sequence[str], most: int
) -> Shown:
    """Pictures of a table."""
    rows = [row for row in csv.DictReader((folder / "labels.csv").open()) if row["split"] == split]
    order = np.random.default_rng(0).permutation(len(rows))
    seen = dict.fromkeys(states, 0)
    chosen = []
    for row in (rows[place] for place in order):
        if row[column] in seen and seen[row[column]] < most:
            seen[row[column]] += 1
            chosen.append(row)
    features = encoded(model, [folder / row["file"] for row in chosen])
    return Shown(
        states=np.array([row[column] for row in chosen]), parts=np.arange(len(chosen)), features=features
    )


def camera(model: vj.Model, file: Path) -> Shown:
    """Windows of the still camera that lie in one part."""
    spans = [(span, name) for name, spans in (("nobody", NOBODY), ("somebody", SOMEBODY)) for span in spans]
    sampler, found = vj.WindowSampler(model.preprocess, 0.5), []
    with vj.open_source(file) as source:
        for item in source.frames(vj.hints_for(model.preprocess)):
            for window in sampler.push(item) if isinstance(item, vj.Frame) else ():
                for part, ((start_s, end_s), name) in enumerate(spans):
                    if start_s <= window.start_s and window.end_s <= end_s:
                        found.append((name, part, window.clip))
    return Shown(
        states=np.array([name for name, *_ in found]),
        parts=np.array([part for _, part, _ in found]),
        features=encoded(model, [clip for *_, clip in found]),
    )


def draw(shown: Shown, examples: int, seed: int) -> np.ndarray:
    """(N,) True for windows of so many parts of each state."""
    dealer = np.random.default_rng(seed)
    parts = [
        dealer.choice(np.unique(shown.parts[shown.states == state]), examples, replace=False)
        for state in np.unique(shown.states)
    ]
    return np.isin(shown.parts, np.concatenate(parts))


def measured(
    model: vj.Model, shown: Shown, judged: Shown, strange: Features, *, most: int
) -> dict[str, float]:
    """One draw learned and judged; at most so many windows of a part are learned."""
    rows = np.concatenate(
        [spread(np.flatnonzero(shown.parts == part), most) for part in np.unique(shown.parts)]
    )
    shown = shown.take(rows)
    names = tuple(np.unique(shown.states).tolist())
    labels = np.searchsorted(names, shown.states)
    windows = Windows(
        names=names, labels=labels, groups=shown.parts, examples=shown.parts, features=shown.features,  # type: ignore[arg-type]
    )  # fmt: skip
    begun = time.perf_counter()
    taught = learn(windows, identity=identity_of(model.bundle.manifest), query=model.prompts["caption"])
    seconds = time.perf_counter() - begun
    states = taught.states
    features = judged.features[states.feature]
    always = replace(states, least_likeness=-1.0, least_probability=0.0)
    likeliest = np.array(names)[always.probabilities(features).argmax(1)]
    told = np.array([states.name_of(row) for row in features])
    sure = told != UNSURE
    scaler = StandardScaler().fit(shown.features[states.feature])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LogisticRegression(max_iter=1000).fit(
            scaler.transform(shown.features[states.feature]), shown.states
        )
    return {
        "left out": states.held_out.accuracy,
        "likeliest": float((likeliest == judged.states).mean()),
        "unsure": float((~sure).mean()),
        "sure": float((told == judged.states)[sure].mean()) if sure.any() else 0.0,
        "logistic": float((theirs.predict(scaler.transform(features)) == judged.states).mean()),
        "tokens": float(states.feature == "tokens"),
        "strange": float(np.mean([states.name_of(row) == UNSURE for row in strange[states.feature]])),
        "seconds": seconds,
    }


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many, evenly."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]


def line(name: str, found: Sequence[Mapping[str, float]]) -> str:
    """One row of the table: means, with the standard deviation over draws."""

    def cell(key: str) -> str:
        values = [each[key] for each in found]
        return f"{np.mean(values):.1%} ± {np.std(values):.1%}"

    cells = [cell(key) for key in ("left out", "likeliest", "logistic", "unsure", "sure", "strange")]
    looks = f"{sum(each['tokens'] for each in found):.0f} of {len(found)}"
    return f"| {name} | {' | '.join(cells)} | {looks} | {np.mean([each['seconds'] for each in found]):.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=10, help="of each state")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--bundle", default="tiny")
    args = parser.parse_args()
    model = vj.load(args.bundle)
    strange = encoded(model, sorted((args.data / "real/backgrounds/images").glob("*.jpg"))[::6])
    print(
        "| states | left out | likeliest is right | logistic regression | unsure | right of what is sure | "
        "backgrounds unsure | tokens chosen | s to learn |\n|---|---|---|---|---|---|---|---|---|"
    )
    still = camera(model, args.data / CAMERA)
    found = []
    for seed in range(args.draws):
        taken = draw(still, 3, seed)
        found.append(measured(model, still.take(taken), still.take(~taken), strange, most=6))
    print(line("somebody at a table, 3 times each", found), flush=True)
    tables = (
        ("hand signs 0 to 9", args.data / "sign_digits", "label", "val", "0123456789"),
        ("fingers, 0 to 5", args.data / "real/fingers", "fingers", "test", "012345"),
    )
    for name, folder, column, split, states in tables:
        pool = pictures(model, folder, column, "train", states, POOL)
        judged = pictures(model, folder, column, split, states, 10**6)
        found = []
        for seed in range(args.draws):
            taken = draw(pool, args.examples, seed)
            found.append(measured(model, pool.take(taken), judged, strange, most=1))
        print(line(f"{name}, {args.examples} each", found), flush=True)


if __name__ == "__main__":
    main()
