"""CrossTask: steps and tasks of instruction videos. Layout: DmZhukov/CrossTask, data.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row, headless_rows, read_text
from vljepa_data.annotations.sets.reading import made, part_of
from vljepa_runtime.files import split_lines

__all__ = ["read_steps", "read_tasks"]


@dataclass(frozen=True, slots=True)
class _Task:
    title: str
    steps: tuple[str, ...]


def read_steps(folder: DataFolder) -> Iterator[Example]:
    """Segments with their step; the steps of all primary tasks are candidates."""
    tasks = _tasks(folder)
    labels = tuple(dict.fromkeys(step for task in tasks.values() for step in task.steps))
    for row, task, video in _videos(folder, tasks):
        name = f"{row.text('task')}_{video}.csv"
        for step in headless_rows(folder.file(f"annotations/{name}", name), "step", "start", "end"):
            number = step.text("step")
            if not number.isdecimal() or not 1 <= int(number) <= len(task.steps):
                raise step.error(
                    f"expected a step among 1 to {len(task.steps)} of {task.title!r}, got {number[:20]!r}"
                )
            segment = part_of(step, folder.videos.expect(video), step.number("start"), step.number("end"))
            yield made(step, Example, segment=segment, text=task.steps[int(number) - 1], candidates=labels)


def read_tasks(folder: DataFolder) -> Iterator[Example]:
    """Whole videos with the title of their task."""
    tasks = _tasks(folder)
    labels = tuple(dict.fromkeys(task.title for task in tasks.values()))
    for row, task, video in _videos(folder, tasks):
        segment = Segment(folder.videos.expect(video))
        yield made(row, Example, segment=segment, text=task.title, candidates=labels)


def _videos(folder: DataFolder, tasks: Mapping[str, _Task]) -> Iterator[tuple[Row, _Task, str]]:
    """Of the validation part, else of all: row, task and name."""
    for row in headless_rows(folder.file("videos_val.csv", "videos.csv"), "task", "video", "url"):
        if row.text("task") not in tasks:
            raise row.error(f"expected a task of tasks_primary.txt, got {row.text('task')[:40]!r}")
        yield row, tasks[row.text("task")], row.text("video")


def _tasks(folder: DataFolder) -> dict[str, _Task]:
    """Blocks of number, title, address, count of steps and steps, with a blank line between."""
    path = folder.file("tasks_primary.txt")
    lines = [line.strip() for line in split_lines(read_text(path))]
    found = {}
    for start in range(0, len(lines), 6):
        block = lines[start : start + 5]
        if any(block):
            number, task = _task(path, start, block)
            found[number] = task
    return found


def _task(path: Path, start: int, block: list[str]) -> tuple[str, _Task]:
    row = Row({}, path, start + 1)
    steps = tuple(step.strip() for step in block[-1].split(","))
    if len(block) < 5 or not block[0] or not block[1] or not all(steps):
        raise row.error("expected number, title, address, count of steps and steps on five lines")
    if block[3] != str(len(steps)):
        raise row.error(f"expected {block[3][:20]} steps of {block[1][:60]!r}, got {len(steps)}")
    return block[0], _Task(block[1], steps)
