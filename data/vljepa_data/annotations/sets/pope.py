"""POPE (arXiv 2305.10355): is there such an object in a COCO picture? Three lists, by how absent ones were drawn."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import jsonl_rows
from vljepa_data.annotations.sets.reading import YES_NO, made, yes_no

__all__ = ["read"]


def read(folder: DataFolder) -> Iterator[Example]:
    """Questions of every list, each of its list's kind. The files are JSON Lines in spite of their ending."""
    for path in folder.all("*_pope_random.json", "*_pope_popular.json", "*_pope_adversarial.json"):
        for row in jsonl_rows(path):
            yield made(
                row, Example,
                segment=Segment(folder.picture(row.text("image"))),
                query=row.text("text"),
                text=yes_no(row, "label"),
                candidates=YES_NO,
                kind=path.stem.rpartition("_")[2],
            )  # fmt: skip
