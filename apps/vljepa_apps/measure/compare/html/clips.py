"""The clips that cost most, with pictures, what each line said of them and what is true."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_apps.measure.compare.judging import Results
from vljepa_evaluation.tasks import MARGIN, TaskResult, clip_frames
from vljepa_runtime.errors import VljepaError

__all__ = ["Worst", "pictures", "worst_clips"]

EACH = 6
PICTURES, SIDE, QUALITY = 4, 112, 82


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """One clip.

    Attributes:
        task: Of which.
        shown: Which clip, as `clip_frames` takes it.
        truth: What is right.
        said: By label of the line, with whether that is right.
        why: Whose mistake it is, and by how much.
    """

    task: str
    shown: str
    truth: str
    said: dict[str, tuple[str, bool]]
    why: str


def worst_clips(results: Results, *, each: int = EACH) -> Iterator[Worst]:
    """For every line after the first what it loses most against it, then what all lines have most wrong.

    Args:
        results: What was kept clip by clip; lines and tasks without words, truth or clips give nothing.
        each: How many for a line, at most.
    """
    base, *others = results
    taken: set[tuple[str, str]] = set()
    for label in others:
        lost = (
            (float(theirs[i] - mine[i]), task, i)
            for task in _tasks(results, (base, label))
            for mine, theirs in [[_nearness(results[name][task]) for name in (label, base)]]
            for i in _where((results[label][task].samples < 0.5) & (results[base][task].samples > 0.5))
        )
        yield from _best(results, lost, taken, each, f"{label} misses what {base} sees")
    wrong = (
        (-float(np.mean([_nearness(results[name][task])[i] for name in names])), task, i)
        for task in _tasks(results, (base,))
        for names in [[name for name in results if task in _tasks(results, (base, name))]]
        for i in _where(np.all([results[name][task].samples < 0.5 for name in names], axis=0))
    )
    yield from _best(results, wrong, taken, each, "every line is wrong")


def pictures(shown: str) -> list[str]:
    """Some frames of a clip as JPEG addresses that hold their data; none where it cannot be read."""
    import cv2

    try:
        frames = clip_frames(shown)
    except VljepaError:
        return []
    found = []
    for index in np.linspace(0, len(frames) - 1, PICTURES).round().astype(int):
        small = cv2.resize(frames[index], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        encoded, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if encoded:
            found.append(f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}")
    return found


def _best(
    results: Results,
    ranked: Iterator[tuple[float, str, int]],
    taken: set[tuple[str, str]],
    each: int,
    why: str,
) -> Iterator[Worst]:
    """The first few, each clip of a task once."""
    for _, task, index in sorted(ranked, key=lambda found: -found[0]):
        first = next(result[task] for result in results.values() if task in result)
        key = (task, first.shown[index])
        if key in taken or not each:
            continue
        taken.add(key)
        each -= 1
        said = {
            label: (tasks[task].chosen[index], bool(tasks[task].samples[index] >= 0.5))
            for label, tasks in results.items()
            if task in tasks and len(tasks[task].chosen) > index
        }
        yield Worst(task=task, shown=first.shown[index], truth=first.truth[index], said=said, why=why)


def _where(wanted: npt.NDArray[np.bool_]) -> list[int]:
    return [int(index) for index in np.flatnonzero(wanted)]


def _tasks(results: Results, names: Sequence[str]) -> list[str]:
    """Tasks that these lines have clip by clip, of the same clips."""
    first = results[names[0]]
    return [
        task
        for task, result in first.items()
        if _whole(result)
        and all(task in results[name] and results[name][task].shown == result.shown for name in names)
        and all(_whole(results[name][task]) for name in names)
    ]


def _whole(result: TaskResult) -> bool:
    count = len(result.samples)
    return bool(count) and len(result.shown) == len(result.chosen) == len(result.truth) == count


def _nearness(result: TaskResult) -> npt.NDArray[np.float64]:
    """What says how wrong: the margin, or the headline itself."""
    return np.asarray(result.scores.get(MARGIN, result.samples), np.float64)
