"""ActivityNet Captions: sentences about parts of long videos; together they are a paragraph about the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row
from vljepa_data.annotations.sets.reading import made, members, part_of, values

__all__ = ["read_moments", "read_paragraphs"]

FILES = ("val_1.json", "val_2.json", "val.json")


def read_paragraphs(folder: DataFolder) -> Iterator[Example]:
    """Whole videos with all sentences as one text, as retrieval papers search them."""
    for name, row in members(folder.file(*FILES)):
        sentences = [text for text, _ in _sentences(row)]
        yield made(row, Example, segment=Segment(_video(folder, name)), text=" ".join(sentences), split="val")


def read_moments(folder: DataFolder) -> Iterator[Example]:
    """Each sentence with its part of the video."""
    for name, row in members(folder.file(*FILES)):
        for text, (start_s, end_s) in _sentences(row):
            segment = part_of(row, _video(folder, name), start_s, end_s)
            yield made(row, Example, segment=segment, text=text, split="val")


def _sentences(row: Row) -> Iterator[tuple[str, tuple[float, float]]]:
    """Texts that are not empty, with start and end in order; an empty part becomes a short one."""
    texts, times = values(row, "sentences"), values(row, "timestamps")
    if len(texts) != len(times):
        raise row.error(f"expected a time for each sentence, got {len(times)} for {len(texts)}")
    for text, pair in zip(texts, times):
        found = Row({"sentence": text}, row.path, row.line, row.counted)
        start_s, end_s = found.pair(pair, "timestamps")
        if sentence := found.text("sentence", ""):
            yield sentence, (max(start_s, 0.0), max(end_s, max(start_s, 0.0) + 0.01))


def _video(folder: DataFolder, name: str) -> Path:
    """With or without the `v_` that the annotations put before the address."""
    return folder.videos.find(name, name.removeprefix("v_")) or folder.videos.expect(name)
