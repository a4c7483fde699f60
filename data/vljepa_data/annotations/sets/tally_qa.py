"""TallyQA: how many are there? Simple and complex questions. Layout: manoja328/TallyQA_dataset, README.md."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.sets.reading import entries, made

__all__ = ["NUMBERS", "read"]

NUMBERS = tuple(map(str, range(16)))
"""Every answer of the set is among them."""


def read(folder: DataFolder) -> Iterator[Example]:
    """Questions of the test part."""
    for row in entries(folder.file("test.json")):
        simple, answer = row.values.get("issimple"), row.text("answer")
        if not isinstance(simple, bool):
            raise row.error(f"expected true or false for 'issimple', got {ascii(simple)[:40]}")
        if answer not in NUMBERS:
            raise row.error(f"expected a whole number of 0 to 15 for 'answer', got {answer[:40]!r}")
        yield made(
            row, Example,
            segment=Segment(folder.picture(row.text("image"))),
            query=row.text("question"), text=answer, candidates=NUMBERS, kind="simple" if simple else "complex",
        )  # fmt: skip
