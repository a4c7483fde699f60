"""DiDeMo: moments in units of five seconds. Layout: LisaAnne/LocalizingMoments, README.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row
from vljepa_data.annotations.sets.reading import entries, made, part_of, values

__all__ = ["read_moments", "read_paragraphs"]

CHUNK_S = 5.0
WATCHED_S = 30.0
"""Annotators saw the first half minute."""


def read_paragraphs(folder: DataFolder) -> Iterator[Example]:
    """The first half minute of each video with all its descriptions as one text, as retrieval papers search them."""
    by_video: dict[str, list[Row]] = {}
    for row in entries(folder.file("test_data.json")):
        by_video.setdefault(row.text("video"), []).append(row)
    for name, rows in by_video.items():
        text = " ".join(row.text("description") for row in rows)
        segment = Segment(_video(folder, name), 0.0, WATCHED_S)
        yield made(rows[0], Example, segment=segment, text=text, split="test")


def read_moments(folder: DataFolder) -> Iterator[Example]:
    """Each description with the moment that most annotators marked; of equally many, the earliest."""
    for row in entries(folder.file("test_data.json")):
        marked = Counter(row.pair(each, "times") for each in values(row, "times"))
        if not marked:
            raise row.error("expected at least one pair of chunks in 'times', got none")
        first, last = min(marked, key=lambda times: (-marked[times], times))
        segment = part_of(row, _video(folder, row.text("video")), CHUNK_S * first, CHUNK_S * (last + 1))
        yield made(row, Example, segment=segment, text=row.text("description"), split="test")


def _video(folder: DataFolder, name: str) -> Path:
    """The annotations end names as the videos once did, with .mov, .avi and others."""
    return folder.videos.find(Path(name).stem, name) or folder.videos.expect(Path(name).stem)
