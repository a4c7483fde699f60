"""MSR-VTT in a folder: the 1,000-clip test split of retrieval papers, else the test part of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example
from vljepa_data.annotations.msr_vtt import read_msr_vtt
from vljepa_data.annotations.sets.reading import unasked

__all__ = ["read"]

FILES = ("MSRVTT_JSFUSION_test.csv", "MSRVTT_data.json", "test_videodatainfo.json", "MSR_VTT.json")


def read(folder: DataFolder) -> Iterator[Example]:
    """Sentences about clips."""
    path = folder.file(*FILES)
    examples = list(unasked(read_msr_vtt(path, folder.path, folder.videos)))
    tests = [example for example in examples if example.split == "test"]
    yield from tests or examples
