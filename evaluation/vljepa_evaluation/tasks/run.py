"""Measure tasks on held-out clips: a clip is rendered and encoded once, then asked all that any task wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol, TypeVar

from vljepa_data.world import Clip, HandBank, make_clip
from vljepa_evaluation.tasks.answering import QUESTIONS
from vljepa_evaluation.tasks.hands import hand_clips
from vljepa_evaluation.tasks.protocol import CannotError, Evaluable, UInt8
from vljepa_evaluation.tasks.shown import FIRST_SEED, SUPPLIES, world_address
from vljepa_evaluation.tasks.task import Task, TaskResult
from vljepa_runtime.preprocessing import Clip as FittedClip

__all__ = ["CLIPS", "GROUPS", "TASKS", "batches_of", "evaluate", "expand_tasks", "measure_tasks"]

CLIPS = 2000
PATIENCE = 8  # clips rendered per clip wanted before a task is closed with what it has,
PATIENCE_ANYWAY = 400  # and these in any case


@dataclass(frozen=True, slots=True)
class TaskForm:
    """One held-out task.

    Attributes:
        opens: File of this package and class, called with the number of clips and `options`.
        options: Further arguments.
    """

    opens: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def open(self, clips: int) -> Task[Clip]:
        """The task, to be asked of so many clips."""
        task: Task[Clip] = resolve_name(f"vljepa_evaluation.tasks.{self.opens}")(clips=clips, **self.options)
        return task


TASKS: Mapping[str, TaskForm] = {
    "classification": TaskForm(
        "classification:Classification", {"name": "classification", "supply": "mixed"}
    ),
    "composition": TaskForm(
        "classification:Classification", {"name": "composition", "supply": "composition"}
    ),
    "retrieval": TaskForm("retrieval:Retrieval"),
    **{f"vqa/{kind}": TaskForm("answering:Answering", {"kind": kind}) for kind in QUESTIONS},
    "captions": TaskForm("captions:Captions"),
    "hands": TaskForm("hands:Hands"),
}
GROUPS = {"vqa": tuple(f"vqa/{kind}" for kind in QUESTIONS), "all": tuple(TASKS)}


HANDS_SEED = 3 * FIRST_SEED


def expand_tasks(names: Sequence[str]) -> tuple[str, ...]:
    """Task names with the groups `vqa` and `all` spelled out, in TASKS' order.

    Raises:
        ValueError: no task has that name.
    """
    wanted: set[str] = set()
    for name in names:
        if name not in TASKS and name not in GROUPS:
            raise ValueError(f"expected tasks among {', '.join(TASKS)} or {', '.join(GROUPS)}, got {name!r}")
        wanted |= set(GROUPS.get(name, (name,)))
    return tuple(name for name in TASKS if name in wanted)


def evaluate(
    model: Evaluable,
    *,
    tasks: Sequence[str] = tuple(TASKS),
    clips: int = CLIPS,
    hands: str | Path | None = None,
    batch: int = 0,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> Iterator[TaskResult]:
    """Measure a model.

    Args:
        model: Anything that encodes, predicts, embeds texts and decodes.
        tasks: Names from TASKS, or `vqa` or `all`.
        clips: Clips (questions, for VQA) per task; hands have as many as there are photographs.
        hands: Folder with the photographs of hand signs; without it that task is skipped.
        batch: Clips of another batch are others, so that a measurement can go on; `batches_of` says how many there are.
        progress: Called with the share done (0..1) and what is being done.

    Yields:
        A result per task, as soon as it is there; a task that fails or lacks its data says so in its `note`.

    Raises:
        ValueError: a task name is unknown, `clips` is below 1, or there is no such batch.

    Examples:
        >>> from vljepa_evaluation.tasks import evaluate
        >>> from vljepa_runtime import load
        >>> for result in evaluate(load("tiny"), tasks=["composition"], clips=2):
        ...     print(result.task, result.headline, result.main)
        composition top1_of_128 Estimate(value=1.0, low=0.34..., high=1.0, n=2)
    """
    if clips < 1:
        raise ValueError(f"expected at least 1 clip, got {clips}")
    if not 0 <= batch < batches_of(clips):
        raise ValueError(f"expected a batch of {clips} clips among 0..{batches_of(clips) - 1}, got {batch}")
    names = expand_tasks(tasks)
    bank, missing = _load_hands(hands) if "hands" in names else (None, "")
    counts = {"hands": len(bank.all) if bank else 0}
    open_tasks = [TASKS[name].open(count) for name in names if (count := counts.get(name, clips))]
    total = sum(task.wanted for task in open_tasks)

    def report() -> None:
        left = sum(task.wanted for task in open_tasks)
        progress(1 - left / max(total, 1), next((t.name for t in open_tasks if t.wanted), "ranking"))

    for supply in dict.fromkeys(task.supply for task in open_tasks):
        group = [task for task in open_tasks if task.supply == supply]
        shown = _clips_of(supply, bank, _seeds_of(clips), batch)
        address = partial(world_address, supply) if supply in SUPPLIES else None
        yield from measure_tasks(model, group, shown, report, address=address)
    if missing:
        yield TaskResult(task="hands", note=missing)


class _Visible(Protocol):
    """What a supply gives."""

    @property
    def frames(self) -> UInt8 | FittedClip:
        """Frames (T, H, W, 3), or a fitted clip."""


_Shown = TypeVar("_Shown", bound=_Visible)


def measure_tasks(
    model: Evaluable,
    group: Sequence[Task[_Shown]],
    clips: Iterator[tuple[int, _Shown]],
    report: Callable[[], None],
    *,
    address: Callable[[int], str] | None = None,
) -> Iterator[TaskResult]:
    """Feed one supply's clips to its tasks, then give their results.

    Args:
        model: Anything that encodes, predicts, embeds texts and decodes.
        group: The tasks that are shown every clip.
        clips: The supply, each with its seed or number.
        report: Called after every clip that was asked about.
        address: Names a clip by its seed or number; see `TaskResult.shown`.
    """
    shown: dict[str, list[str]] = {task.name: [] for task in group}
    for seed, clip in clips:
        asking = [(task, queries) for task in group if (queries := task.queries(clip, seed))]
        if asking:
            visual = model.encode(clip.frames)
            wanted = dict.fromkeys(query for _, queries in asking for query in queries)
            answers = {query: model.predict(visual, query) for query in wanted}
            for task, queries in asking:
                task.take([answers[query] for query in queries])
                shown[task.name] += [address(seed)] * len(queries) if address else []
            report()
        if not any(task.wanted for task in group):
            break
    for task in group:
        yield _with_clips(_finish(task, model), shown[task.name])


def _with_clips(result: TaskResult, shown: Sequence[str]) -> TaskResult:
    """Say of each sample which clip it is about, where there is one sample for each question."""
    return replace(result, shown=tuple(shown)) if len(shown) == len(result.samples) else result


def _finish(task: Task[_Shown], model: Evaluable) -> TaskResult:
    try:
        return task.result(model)
    except CannotError as error:
        return TaskResult(task=task.name, note=f"cannot: {error}")
    except Exception as error:  # one task that fails must not take the others along
        return TaskResult(task=task.name, note=f"failed: {type(error).__name__}: {error}")


def batches_of(clips: int) -> int:
    """How many batches of so many clips there are before the seeds of one supply would be those of the next.

    Examples:
        >>> from vljepa_evaluation.tasks import batches_of
        >>> batches_of(300)
        357
    """
    return max(1, FIRST_SEED // _seeds_of(clips))


def _seeds_of(clips: int) -> int:
    """How many clips are looked at, at most, to find so many that a task can use."""
    return PATIENCE * clips + PATIENCE_ANYWAY


def _clips_of(supply: str, bank: HandBank | None, limit: int, batch: int) -> Iterator[tuple[int, Clip]]:
    if supply == "hands":
        return hand_clips(bank, HANDS_SEED) if bank else iter(())
    source = SUPPLIES[supply]
    first = source.first_seed + batch * limit
    seeds = range(first, first + limit)
    return ((seed, make_clip(seed, source.split, kind=source.kind)) for seed in seeds)


def _load_hands(folder: str | Path | None) -> tuple[HandBank | None, str]:
    if folder is None:
        return None, "skipped: no folder with photographs of hand signs was given"
    try:
        return HandBank.load(folder, "val"), ""
    except (OSError, ValueError, KeyError) as error:
        return None, f"skipped: {error}"
