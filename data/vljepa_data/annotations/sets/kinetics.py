"""Kinetics in a folder: the list of its validation part, clips cut out or whole videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example
from vljepa_data.annotations.kinetics import read_kinetics

__all__ = ["read"]

FILES = (
    "kinetics-?00_val.csv",
    "kinetics?00_val.csv",
    "validate.csv",
    "val.csv",
    "kinetics-?00_test.csv",
    "test.csv",
)


def read(folder: DataFolder) -> Iterator[Example]:
    """Clips with their class; every class of the list is a candidate."""
    for example in read_kinetics(folder.file(*FILES), folder.path, folder.videos):
        yield replace(example, query="")
