"""VISLA (arXiv 2404.16365): the same meaning in other words, another meaning in the same words; generic and spatial.

Layout: Sri-Harsha/visla_benchmark, data/SugarCrepe.tsv and data/VSR_spatial.tsv.
"""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Segment
from vljepa_data.annotations.records import Contrast
from vljepa_data.annotations.rows import csv_rows
from vljepa_data.annotations.sets.reading import made

__all__ = ["read"]

FILES = {  # file: kind, then the columns of the picture, of two texts that mean the same, of the other
    "SugarCrepe.tsv": ("generic", "filename", "caption", "second positive", "negative_caption"),
    "VSR_spatial.tsv": ("spatial", "image", "sent1", "sent2", "Best reference (Semantically close)"),
}


def read(folder: DataFolder) -> Iterator[Contrast]:
    """Texts about COCO pictures."""
    for path in folder.all(*FILES):
        kind, picture, first, second, other = FILES[path.name]
        for row in csv_rows(path, picture, first, second, other, delimiter="\t"):
            yield made(
                row, Contrast,
                segment=Segment(folder.picture(row.text(picture))),
                same=(row.text(first), row.text(second)),
                other=row.text(other),
                kind=kind,
            )  # fmt: skip
