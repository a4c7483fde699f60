"""Accuracy clip by clip, in batches: each subject in a process of its own, what is done kept for a run that goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_apps import console
from vljepa_apps.measure.compare.judging import Results, differences
from vljepa_apps.measure.machine import installed
from vljepa_apps.measure.worker import in_a_process
from vljepa_evaluation.metrics import Estimate
from vljepa_evaluation.tasks import TaskResult, batches_of
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.errors import VljepaError
from vljepa_runtime.files import parse_json, replace_file

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.report import Column
    from vljepa_apps.measure.compare.run import Plan
    from vljepa_apps.measure.subject import Subject

__all__ = ["measure_accuracy"]

VERSIONS = ("vljepa-edge", "numpy", "onnxruntime", "openvino", "torch")


def measure_accuracy(subjects: Mapping[str, Subject], columns: Mapping[str, Column], plan: Plan) -> Results:
    """Measure every subject on the same clips, and draw more of them until the intervals are as narrow as asked.

    It looks at widths alone, never at which subject is ahead, so that stopping favours nobody.

    Args:
        subjects: By label; the first one is what the others are compared with.
        columns: Of the report, by label; what was measured is filled in.
        plan: What to measure.

    Returns:
        What was kept clip by clip, over all batches.
    """
    parts: dict[str, dict[str, list[TaskResult]]] = {label: {} for label in subjects}
    last = max(1, min(batches_of(plan.clips), plan.max_clips // plan.clips)) - 1 if plan.until else 0
    for batch in range(last + 1):
        for label, subject in subjects.items():
            _measure(columns[label], parts[label], subject, plan, batch)
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


def _measure(
    column: Column, parts: dict[str, list[TaskResult]], subject: Subject, plan: Plan, batch: int
) -> None:
    order = asdict(subject) | {"tasks": plan.tasks, "clips": plan.clips, "hands": plan.hands, "batch": batch}
    order["own"] = asdict(plan.own) if plan.own else None
    what = "accuracy and memory" if plan.tasks or plan.own else "memory"
    console.note(f"{column.label}: {what}" + (f", batch {batch + 1}" if plan.until else ""))
    for line in _kept(order, Path(plan.keep)) if plan.keep else in_a_process(order):
        kind = line.pop("kind")
        if kind == "facts":
            column.facts = column.facts or line
        elif kind == "task":
            parts.setdefault(line["task"], []).append(_result(line))
        else:
            column.errors.append(line["message"])


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
        groups=tuple(line.get("groups", ())),
        chosen=tuple(line.get("chosen", ())),
        embeddings=np.array(line.get("embeddings", ()), np.float32),
        examples=tuple((said, truth) for said, truth in line.get("examples", ())),
    )


def _kept(order: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a subject's process; those of one that ended well are read from the folder the next time."""
    try:
        path = folder / f"{_key(order)}.jsonl"
    except (VljepaError, OSError):  # the process says what is wrong with it
        yield from in_a_process(dict(order))
        return
    if path.is_file():
        console.note(f"  as measured before ({path})")
        yield from map(parse_json, path.read_text(encoding="utf-8").splitlines())
        return
    lines: Sequence[str] = []
    for line in in_a_process(dict(order)):
        lines = [*lines, json.dumps(line)]
        yield line
    if not any(json.loads(line)["kind"] == "error" for line in lines):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, ("\n".join(lines) + "\n").encode())


def _key(order: Mapping[str, Any]) -> str:
    """Names a subject, what is asked of it and what it runs on; another bundle at the same path is another."""
    spec = str(order["spec"])
    torch = spec.partition(":")[0] == "torch"
    held = {} if torch else {name: file.sha256 for name, file in Bundle.open(spec).manifest.files.items()}
    versions = {name: installed(name) for name in VERSIONS}
    text = json.dumps([order, held, versions], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
