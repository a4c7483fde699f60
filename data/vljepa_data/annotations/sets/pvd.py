"""PVD-Bench, the test part of the PE Video Dataset: `KEY.mp4` with `KEY.json` beside it.

Layout: facebook/PE-Video on the Hugging Face hub, WebDataset archives of such pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row, json_document
from vljepa_data.annotations.sets.reading import made

__all__ = ["read"]


def read(folder: DataFolder) -> Iterator[Example]:
    """Videos with the caption that a person corrected; of the folder `test` alone where there is one."""
    paths = list(folder.matching("test/*.json")) or folder.all("*.json")
    for path in paths:
        row = Row(json_document(path), path, 1)
        if "human_caption" in row.values:
            segment = Segment(folder.videos.expect(path.stem))
            yield made(row, Example, segment=segment, text=row.text("human_caption"), split="test")
