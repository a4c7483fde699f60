"""MSVD in a folder: its descriptions, of the test part where `test_list.txt` says which that is."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example
from vljepa_data.annotations.msvd import read_msvd
from vljepa_data.annotations.rows import read_text
from vljepa_data.annotations.sets.reading import unasked

__all__ = ["read"]


def read(folder: DataFolder) -> Iterator[Example]:
    """Clips with all their descriptions."""
    path = folder.file("AllVideoDescriptions.txt", "video_corpus.csv")
    examples = unasked(read_msvd(path, folder.path, folder.videos))
    listed = next(folder.matching("test_list.txt"), None)
    if listed is None:
        yield from examples
        return
    names = set(read_text(listed).split())
    yield from (example for example in examples if example.segment.path.stem in names)
