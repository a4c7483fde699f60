"""Is one subject different from the first one? Differences clip by clip, and one verdict over all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from vljepa_evaluation.metrics import PairedDifference, difference_of, holm
from vljepa_evaluation.tasks import MARGIN, TaskResult
from vljepa_runtime.errors import InputError

__all__ = ["EQUAL", "MOVED", "Difference", "Results", "Verdict", "differences", "expectation", "judge"]

Results = Mapping[str, Mapping[str, TaskResult]]
"""What was kept clip by clip, per subject and task."""
EQUAL = "equal"
MOVED = f"{MARGIN}_moved"
"""How far a clip's margin is from the other's, up or down: a fault may move many and not their mean."""
LEVEL = 0.05
ROUNDING = 1e-4
"""Margins that moved by less are as they were: float32 on ONNX Runtime and on OpenVINO differs by 5e-8."""
WITHOUT_CLIP = "blind_"
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far a subject is above (+) or below (-) another on the same clips.

    Attributes:
        task: Which task.
        metric: Which of its metrics.
        headline: Whether this metric stands for the task.
        label: Of the subject.
        base: Of the other.
        found: In points (hundredths) of a share; else in the metric's own unit.
        points: Whether it is in points.
    """

    task: str
    metric: str
    headline: bool
    label: str
    base: str
    found: PairedDifference
    points: bool

    @property
    def tested(self) -> bool:
        """Whether the verdict counts it: what stands for a task, and margins, which show more with fewer clips."""
        return self.headline or self.metric in (MARGIN, MOVED)

    @property
    def digits(self) -> int:
        """How many digits are shown after the point."""
        return 4 if self.metric in (MARGIN, MOVED) else 2

    def __str__(self) -> str:
        value, digits, unit = self.found.estimate, self.digits, " points" if self.points else ""
        return (
            f"{self.task} {self.metric} {value.value:+.{digits}f}{unit} "
            f"[{value.low:+.{digits}f}, {value.high:+.{digits}f}]"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        names = ("task", "metric", "headline", "label", "base")
        unit = {"unit": "points" if self.points else "own"}
        return {name: getattr(self, name) for name in names} | unit | self.found.to_dict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One subject against the first one, over all tasks.

    Attributes:
        label: Of the subject.
        base: Of the first one.
        p: The smallest probability, corrected for the number of tests; None where nothing was measured on both.
        tests: How many there were.
        found: What differs (corrected p below 0.05), what is least likely by chance first.
        worst: The headline that the clips leave most open; None where there is none.
    """

    label: str
    base: str
    p: float | None = None
    tests: int = 0
    found: tuple[Difference, ...] = ()
    worst: Difference | None = None
    headlines: tuple[Difference, ...] = field(default=(), repr=False)

    @property
    def kind(self) -> str:
        """`different`, `different in margins alone`, `not different at this size`, or `not judged`."""
        if self.p is None:
            return "not judged"
        if not self.found:
            return "not different at this size"
        return "different" if any(each.headline for each in self.found) else "different in margins alone"

    def keeps(self, expected: str) -> bool:
        """Whether it is as expected: `equal`, no difference was found; `Npt`, all are known to lie within N points."""
        if self.p is None:
            return False
        if expected == EQUAL:
            return not self.found
        return all(each.found.possible <= _points(expected) for each in self.headlines)

    def __str__(self) -> str:
        who = f"{self.label} against {self.base}: {self.kind}"
        if self.p is None:
            return f"{who}: no task was measured on both"
        parts = [f"{who} (p {_p(self.p)} after {self.tests} tests)"]
        if self.found:
            more = len(self.found) - SHOWN
            parts.append(", ".join(map(str, self.found[:SHOWN])) + (f" and {more} more" if more > 0 else ""))
        if self.worst is not None and not any(each.headline for each in self.found):
            parts.append(_unseen(self.worst))
        return ": ".join(parts[:2]) + "".join(f"; {part}" for part in parts[2:])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        worst = self.worst
        return {
            "label": self.label,
            "base": self.base,
            "verdict": self.kind,
            "p": self.p,
            "tests": self.tests,
            "different": [{"task": each.task, "metric": each.metric} for each in self.found],
            "possible_points": worst.found.possible if worst else None,
            "visible_points": worst.found.visible if worst else None,
            "sentence": str(self),
        }


def differences(results: Results, base: str) -> Iterator[Difference]:
    """Every metric of each subject minus the first one's, clip by clip: the interval is that of the difference."""
    for label, tasks in results.items():
        for task, mine in tasks.items() if label != base else ():
            if task in results[base]:
                yield from _of_task(mine, results[base][task], label, base)


def judge(found: Sequence[Difference], labels: Sequence[str]) -> Iterator[Verdict]:
    """One verdict for each subject after the first; all its tests together are wrong in 5 % of equal pairs at most."""
    base, *others = labels
    for label in others:
        tested = [each for each in found if each.label == label and each.tested]
        if not tested:
            yield Verdict(label=label, base=base)
            continue
        corrected = holm([each.found.p for each in tested])
        ranked = sorted(zip(corrected, range(len(tested))))
        headlines = tuple(each for each in tested if each.headline and each.points)
        yield Verdict(
            label=label,
            base=base,
            p=ranked[0][0],
            tests=len(tested),
            found=tuple(tested[index] for p, index in ranked if p < LEVEL),
            worst=max(headlines, key=lambda each: each.found.possible, default=None),
            headlines=headlines,
        )


def expectation(text: str) -> str:
    """What `--expect` may say.

    Raises:
        InputError: it says something else.
    """
    if text != EQUAL and not _points(text):
        raise InputError(f"expected {EQUAL} or a number of points such as 2pt, got {text!r}")
    return text


def _points(text: str) -> float:
    """`2pt` -> 2.0; 0 where it is something else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)pt", text)
    return float(found[1]) if found else 0.0


def _of_task(mine: TaskResult, other: TaskResult, label: str, base: str) -> Iterator[Difference]:
    for metric, values in mine.scores.items():
        theirs = other.scores.get(metric)
        if metric.startswith(WITHOUT_CLIP) or theirs is None or len(values) != len(theirs):
            continue
        span = mine.spans.get(metric, (0.0, 1.0))
        groups = mine.groups if len(mine.groups) == len(values) else None
        ignore = ROUNDING if metric == MARGIN else 0.0
        found = difference_of(values, theirs, groups=groups, span=span, ignore=ignore)
        points = span == (0.0, 1.0)
        between = partial(Difference, task=mine.task, label=label, base=base)
        headline = metric == mine.headline
        yield between(
            metric=metric, headline=headline, found=found.times(100) if points else found, points=points
        )
        if metric == MARGIN:
            moved = np.abs(np.subtract(values, theirs))
            found = difference_of(moved, np.zeros_like(moved), groups=groups, span=None, ignore=ignore)
            yield between(metric=MOVED, headline=False, found=found, points=False)


def _p(p: float) -> str:
    return f"= {p:.2g}" if p >= 1e-4 else "< 0.0001"


def _unseen(worst: Difference) -> str:
    found = worst.found
    return (
        f"a difference of up to {found.possible:.2f} points ({worst.task}) cannot be excluded with "
        f"{found.estimate.n} clips; one of {min(found.visible, 100.0):.2f} points would be seen 4 times of 5"
    )
