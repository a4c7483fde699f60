"""YouCook2: steps of recipes, as the clips that retrieval papers use or the annotations of the validation part."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example
from vljepa_data.annotations.rows import csv_rows
from vljepa_data.annotations.sets.reading import made, members, objects, part_of, span

__all__ = ["read_clips", "read_segments"]

LIST = "validation_youcook.csv"
ANNOTATIONS = ("yc2_annotations_trainval.json", "youcookii_annotations_trainval.json")


def read_clips(folder: DataFolder) -> Iterator[Example]:
    """Clips of the list; without it, segments of the validation part."""
    path = folder.file(LIST, *ANNOTATIONS)
    if path.name != LIST:
        yield from read_segments(folder)
        return
    for row in csv_rows(path, "video_id", "start", "end", "text"):
        path = folder.videos.expect(row.text("video_id"))
        segment = part_of(row, path, row.number("start"), row.number("end"))
        yield made(row, Example, segment=segment, text=row.text("text"), split="val")


def read_segments(folder: DataFolder) -> Iterator[Example]:
    """Segments of the validation part with their sentences."""
    for name, row in members(folder.file(*ANNOTATIONS), "database"):
        if row.text("subset", "") != "validation":
            continue
        for step in objects(row, "annotations"):
            segment = part_of(step, folder.videos.expect(name), *span(step, "segment"))
            yield made(step, Example, segment=segment, text=step.text("sentence"), split="val")
