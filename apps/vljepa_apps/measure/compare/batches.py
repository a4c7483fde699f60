"""Accuracy clip by clip, in batches, and what streams and the machine say: each line in processes of its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_apps import console
from vljepa_apps.measure.compare.judging import Results, differences
from vljepa_apps.measure.compare.kept import KeptCells, Lines, identity, listing
from vljepa_apps.measure.compare.measuring import Measuring, Order
from vljepa_apps.measure.worker import in_a_process
from vljepa_evaluation.metrics import Estimate
from vljepa_evaluation.tasks import TaskResult, batches_of

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.report import Column
    from vljepa_apps.measure.compare.run import Plan
    from vljepa_apps.measure.subject import Subject

__all__ = ["HERE", "measure_accuracy", "measure_facts"]

STARTS = 3
ENERGY_S = 3.0
NOTHING: Mapping[str, Any] = {"kind": "error", "message": "its process said nothing of it"}


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What is measured of one line at a time.

    Attributes:
        name: The task's, or what holds several.
        order: For the worker, without the line; those that differ in `tasks` alone share a process and its clips.
        reads: Files and folders that it depends on.
    """

    name: str
    order: Mapping[str, Any]
    reads: tuple[str, ...] = ()

    @property
    def shared(self) -> dict[str, Any]:
        """What a process has in common for all its cells."""
        return {name: value for name, value in self.order.items() if name != "tasks"}


class Here:
    """A process of this machine for each order, when it is asked for."""

    def expect(self, orders: Sequence[Order]) -> None:
        """See `Measuring`."""

    def lines(self, order: Order) -> Iterator[dict[str, Any]]:
        """See `Measuring`."""
        return in_a_process(dict(order.asked))


HERE = Here()


def measure_accuracy(
    subjects: Mapping[str, Subject],
    columns: Mapping[str, Column],
    plan: Plan,
    kept: KeptCells,
    measuring: Measuring = HERE,
) -> Results:
    """Measure every subject on the same clips, and draw more of them until the intervals are as narrow as asked.

    It looks at widths alone, never at which subject is ahead, so that stopping favours nobody.

    Args:
        subjects: By label; the first one is what the others are compared with.
        columns: Of the report, by label; what was measured is filled in.
        plan: What to measure.
        kept: What was measured before.
        measuring: Who measures the others.

    Returns:
        What was kept clip by clip, over all batches.
    """
    parts: dict[str, dict[str, list[TaskResult]]] = {label: {} for label in subjects}
    last = max(1, min(batches_of(plan.clips), plan.max_clips // plan.clips)) - 1 if plan.until else 0
    for batch in range(last + 1):
        cells = _cells(plan, batch)
        loads = {label: subject for label, subject in subjects.items() if columns[label].facts}
        measuring.expect([order for each in loads.items() for order in _orders(*each, cells, kept)])
        for label, subject in loads.items():
            _measure(columns[label], parts[label], subject, cells, kept, measuring)
        results = {
            label: {task: TaskResult.joined(batches) for task, batches in tasks.items()}
            for label, tasks in parts.items()
        }
        if any(column.errors for column in columns.values()) or not plan.until:
            break
        half, where = _widest(results)
        if _is_narrow(half, where, plan, (batch + 1) * plan.clips, is_last=batch == last):
            break
    for label, tasks in results.items():
        columns[label].tasks = {task: result.to_dict() for task, result in tasks.items()}
    return results


def measure_facts(
    subjects: Mapping[str, Subject], columns: Mapping[str, Column], plan: Plan, kept: KeptCells
) -> None:
    """Fill in what runs, its memory, and how long a process takes from its start to its first embedding."""
    for label, subject in subjects.items():
        console.note(f"{label}: start and memory")
        starts = plan.starts if plan.rounds else 1
        what = {"facts": identity(subject, label), "starts": starts}
        lines = kept.get(what)
        if lines is None:
            lines = _started(asdict(subject), starts)
            if lines[-1]["kind"] == "facts":
                kept.put(what, lines)
        for line in lines:
            if line["kind"] == "facts":
                columns[label].facts = {name: value for name, value in line.items() if name != "kind"}
            else:
                columns[label].errors.append(line["message"])


def _started(order: Mapping[str, Any], starts: int) -> Lines:
    """The line of facts with the median of the starts; or the error that came instead."""
    times: list[float] = []
    facts: dict[str, Any] = {}
    for number in range(max(1, starts)):
        begun = time.monotonic()
        for line in in_a_process({**order, "brief": number > 0, "energy_s": ENERGY_S}):
            if line["kind"] == "started":
                times.append(time.monotonic() - begun)
            elif line["kind"] == "facts":
                facts = facts or line
            elif line["kind"] == "error":
                return [*([facts] if facts else []), line]
    return [facts | ({"cold_start_s": statistics.median(times)} if times else {})]


def _cells(plan: Plan, batch: int) -> list[Cell]:
    world = {"clips": plan.clips, "hands": plan.hands, "batch": batch}
    hands = (plan.hands,) if plan.hands else ()
    cells = [Cell(task, {"tasks": (task,), **world}, hands) for task in plan.tasks]
    if batch == 0:
        for each in plan.data:
            places = (each.spec.partition("=")[2] or each.spec, each.labels, each.templates, each.videos)
            cells.append(Cell(each.name, {"data": asdict(each)}, tuple(place for place in places if place)))
        if plan.streams:
            file = (plan.streams.file,) if plan.streams.file else ()
            cells.append(Cell("streams", {"streams": asdict(plan.streams)}, file))
    return cells


def _measure(
    column: Column,
    parts: dict[str, list[TaskResult]],
    subject: Subject,
    cells: Sequence[Cell],
    kept: KeptCells,
    measuring: Measuring,
) -> None:
    """Fill in a line; a cell that fails leaves the others."""
    for cell, lines in _lines(column.label, subject, cells, kept, measuring):
        for line in lines:
            if line["kind"] == "task":
                parts.setdefault(line["task"], []).append(_result(line))
            elif line["kind"] == "streams":
                column.streams = {name: value for name, value in line.items() if name != "kind"}
            elif line["kind"] == "error":
                column.errors.append(f"{cell.name}: {line['message']}")


def _lines(
    label: str, subject: Subject, cells: Sequence[Cell], kept: KeptCells, measuring: Measuring
) -> Iterator[tuple[Cell, Lines]]:
    """What each cell gave, from before or from now, or the error that came instead."""
    what = _what(label, subject, cells)
    missing: list[Cell] = []
    again: list[Cell] = []
    for cell in cells:
        if lines := kept.get(what[cell]):
            yield cell, lines
        else:
            missing.append(cell)
    while missing or again:
        together = _together(missing) or [again.pop(0)]
        missing = [cell for cell in missing if cell not in together]
        console.note(f"{label}: {', '.join(cell.name for cell in together)}")
        pending, error = dict.fromkeys(together), dict(NOTHING)
        for done, lines in _process(measuring.lines(_order(subject, together, what)), together):
            if done is None:
                (error,) = lines
                continue
            pending.pop(done)
            if not any(str(line.get("note")).startswith("failed") for line in lines):
                kept.put(what[done], lines)
            yield done, lines
        if error.get("died") and len(together) > 1:  # one of them ended the process: each has one of its own
            again += pending
        else:
            yield from ((cell, [error]) for cell in pending)


def _orders(label: str, subject: Subject, cells: Sequence[Cell], kept: KeptCells) -> Iterator[Order]:
    """What `_lines` will ask for first."""
    what = _what(label, subject, cells)
    missing = [cell for cell in cells if not kept.has(what[cell])]
    while together := _together(missing):
        missing = [cell for cell in missing if cell not in together]
        yield _order(subject, together, what)


def _what(label: str, subject: Subject, cells: Sequence[Cell]) -> dict[Cell, dict[str, Any]]:
    """All that each cell depends on."""
    line = identity(subject, label)
    reads = {cell: [listing(Path(place)) for place in cell.reads] for cell in cells}
    return {cell: {"line": line, "cell": cell.order, "reads": reads[cell]} for cell in cells}


def _together(cells: Sequence[Cell]) -> list[Cell]:
    """The first one and those that share its process."""
    return [each for each in cells if each.shared == cells[0].shared]


def _order(subject: Subject, cells: Sequence[Cell], what: Mapping[Cell, Any]) -> Order:
    """What a process is asked for."""
    tasks = [task for cell in cells for task in cell.order.get("tasks", ())]
    asked = {**asdict(subject), **cells[0].shared, "tasks": tasks}
    return Order(asked=asked, depends=[what[cell] for cell in cells])


def _process(lines: Iterator[dict[str, Any]], cells: Sequence[Cell]) -> Iterator[tuple[Cell | None, Lines]]:
    """The lines of each cell as soon as it is done; at last, without a cell, the error that ended the process."""
    by_task, held = {task: cell for cell in cells for task in cell.order.get("tasks", ())}, list[Any]()
    for line in lines:
        if line["kind"] == "error":
            yield None, [line]
            return
        if line["kind"] == "task" and line["task"] in by_task:
            yield by_task[line["task"]], [line]
        elif line["kind"] in ("task", "streams"):
            held.append(line)
    if held:
        yield cells[0], held


def _is_narrow(half: float, where: str, plan: Plan, clips: int, *, is_last: bool) -> bool:
    """Whether it is time to stop; says how far it is."""
    wanted = plan.until or 0.0
    if half <= wanted:
        console.note(f"{clips} clips: every interval is within +-{wanted:g} points")
        return True
    needed = clips * (half / wanted) ** 2
    told = f"stopped, {plan.max_clips} are the most" if is_last else f"about {needed:.0f} will do"
    console.note(f"{clips} clips: +-{half:.2f} points ({where}), +-{wanted:g} wanted: {told}")
    return False


def _widest(results: Results) -> tuple[float, str]:
    """Half of the widest interval, in points, and what has it: of the differences, or of one subject alone."""
    base = next(iter(results))
    if len(results) > 1:
        widths = [
            (each.found.estimate.half_width, f"{each.task} of {each.label}")
            for each in differences(results, base)
            if each.headline and each.points
        ]
    else:
        widths = [
            (100 * result.main.half_width, task) for task, result in results[base].items() if result.main
        ]
    return max(widths, default=(0.0, "nothing"))


def _result(line: Mapping[str, Any]) -> TaskResult:
    """What the line of a task says."""
    arrays = {name: np.array(values, np.float64) for name, values in line.get("scores", {}).items()}
    spans = {name: tuple(span) if span else None for name, span in line.get("spans", {}).items()}
    return TaskResult(
        task=line["task"],
        headline=line["headline"],
        metrics={name: Estimate(**values) for name, values in line["metrics"].items()},
        scores=arrays,
        spans=spans,
        chance=line.get("chance"),
        note=line["note"],
        **{name: tuple(line.get(name, ())) for name in ("groups", "chosen", "truth", "shown")},
        embeddings=np.array(line.get("embeddings", ()), np.float32),
        examples=tuple((said, truth) for said, truth in line.get("examples", ())),
    )
