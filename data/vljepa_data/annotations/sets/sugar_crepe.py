"""SugarCrepe++: two captions that mean the same and one that does not, in nearly the same words (arXiv 2406.11171)."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Segment
from vljepa_data.annotations.records import Contrast
from vljepa_data.annotations.sets.reading import entries, made

__all__ = ["read"]

FILES = ("replace_att.json", "replace_obj.json", "replace_rel.json", "swap_att.json", "swap_obj.json")


def read(folder: DataFolder) -> Iterator[Contrast]:
    """Captions of COCO pictures, each of its file's kind."""
    for path in folder.all(*FILES):
        for row in entries(path):
            yield made(
                row, Contrast,
                segment=Segment(folder.picture(row.text("filename"))),
                same=(row.text("caption"), row.text("caption2")),
                other=row.text("negative_caption"),
                kind=path.stem,
            )  # fmt: skip
