"""WorldPrediction-WM (arXiv 2506.04363): which of four clips leads from one picture to the other?

The release names segments of five other data sets, and its whole layout could not be read here. What is read is a list
of one's own that is made of it once, `worldprediction_wm.jsonl`: `before`, `after` (pictures), `actions` (four clips),
`right` (the index of one, from 0) and, if wanted, `kind`; names are files in the folder.
"""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Segment
from vljepa_data.annotations.records import Transition
from vljepa_data.annotations.rows import Row, jsonl_rows
from vljepa_data.annotations.sets.reading import made, values

__all__ = ["read"]


def read(folder: DataFolder) -> Iterator[Transition]:
    """Pairs of states, each with its candidates."""
    for row in jsonl_rows(folder.file("worldprediction_wm.jsonl")):
        names = [Row({"action": name}, row.path, row.line).text("action") for name in values(row, "actions")]
        right = row.values.get("right")
        if not isinstance(right, int) or isinstance(right, bool):
            raise row.error(f"expected a whole number for 'right', got {ascii(right)[:40]}")
        yield made(
            row, Transition,
            before=Segment(folder.picture(row.text("before"))),
            after=Segment(folder.picture(row.text("after"))),
            actions=tuple(Segment(folder.picture(name)) for name in names),
            right=right,
            kind=row.text("kind", ""),
        )  # fmt: skip
