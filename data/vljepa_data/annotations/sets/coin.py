"""COIN: steps and tasks of instruction videos. Layout: coin-dataset/annotations, README.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row
from vljepa_data.annotations.sets.reading import made, members, objects, part_of, span

__all__ = ["read_next_steps", "read_steps", "read_tasks"]

CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
TRAINING = "training"


def read_steps(folder: DataFolder) -> Iterator[Example]:
    """Segments with their step; every step of the file is a candidate."""
    videos = _videos(folder)
    labels = tuple(
        dict.fromkeys(step.text("label") for _, row in videos for step in objects(row, "annotation"))
    )
    for name, row in _held_out(videos):
        for step in objects(row, "annotation"):
            segment = part_of(step, folder.videos.expect(name), *span(step, "segment"))
            yield made(step, Example, segment=segment, text=step.text("label"), candidates=labels)


def read_next_steps(folder: DataFolder) -> Iterator[Example]:
    """Segments with the step that follows in the same video."""
    videos = _videos(folder)
    labels = tuple(
        dict.fromkeys(step.text("label") for _, row in videos for step in objects(row, "annotation"))
    )
    for name, row in _held_out(videos):
        steps = objects(row, "annotation")
        for step, later in pairwise(steps):
            segment = part_of(step, folder.videos.expect(name), *span(step, "segment"))
            yield made(step, Example, segment=segment, text=later.text("label"), candidates=labels)


def read_tasks(folder: DataFolder) -> Iterator[Example]:
    """Whole videos with their task, `ReplaceSIMCard` as words."""
    videos = _videos(folder)
    labels = tuple(dict.fromkeys(_words(row.text("class")) for _, row in videos))
    for name, row in _held_out(videos):
        segment = Segment(folder.videos.expect(name))
        yield made(row, Example, segment=segment, text=_words(row.text("class")), candidates=labels)


def _videos(folder: DataFolder) -> list[tuple[str, Row]]:
    return list(members(folder.file("COIN.json"), "database"))


def _held_out(videos: list[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """All but training: the file calls the rest `testing`, its description `validation`."""
    return ((name, row) for name, row in videos if row.text("subset", "") != TRAINING)


def _words(name: str) -> str:
    return CAPITAL.sub(" ", name)
