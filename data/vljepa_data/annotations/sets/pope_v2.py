"""POPEv2: a picture and the same without an object; is the object there? Published as one Parquet file.

Its fields are those of the release (Monosail/POPEv2 on the Hugging Face hub); here they are read from `popev2.jsonl`,
whose `normal_image` and `counterfactual_image` name picture files instead of holding them. See `docs/datasets.md`.
"""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import jsonl_rows
from vljepa_data.annotations.sets.reading import YES_NO, made, yes_no

__all__ = ["read"]


def read(folder: DataFolder) -> Iterator[Example]:
    """Each question about both pictures of its pair."""
    for row in jsonl_rows(folder.file("popev2.jsonl")):
        for kind in ("normal", "counterfactual"):
            yield made(
                row, Example,
                segment=Segment(folder.picture(row.text(f"{kind}_image"))),
                query=row.text("question"), text=yes_no(row, f"{kind}_label"), candidates=YES_NO, kind=kind,
            )  # fmt: skip
