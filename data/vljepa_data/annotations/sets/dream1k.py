"""DREAM-1K: five kinds of short videos, each with a detailed description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row, jsonl_rows
from vljepa_data.annotations.sets.reading import entries, made, objects

__all__ = ["read"]


def read(folder: DataFolder) -> Iterator[Example]:
    """Videos, named by number, with their descriptions, from the list of the evaluation or that of the release."""
    path = folder.file("DREAM-1k.jsonl", "DREAM-1K.jsonl", "metadata.json")
    for row in entries(path) if path.suffix == ".json" else jsonl_rows(path):
        if path.suffix == ".json":
            name, text = Path(row.text("video_file")).stem, row.text("description")
        else:
            name, text = row.text("vid"), _reference(row)
        yield made(row, Example, segment=Segment(folder.videos.expect(name)), text=text, split="test")


def _reference(row: Row) -> str:
    """Of the assistant's message."""
    contents = (
        part
        for message in objects(row, "messages")
        if message.text("role") == "assistant"
        for part in objects(message, "content")
    )
    found = next((text for part in contents if (text := part.text("reference", ""))), None)
    if found is None:
        raise row.error("expected a message of the assistant with a reference, got none")
    return found
