"""Something-Something V2: what is done with something, 174 templates. Layout: lists of id, label, template."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.sets.reading import entries, labels_of, made

__all__ = ["read"]

VALIDATION = ("something-something-v2-validation.json", "validation.json")
LABELS = ("something-something-v2-labels.json", "labels.json")


def read(folder: DataFolder) -> Iterator[Example]:
    """Clips of the validation part; the label is the template with `something` for what is in brackets."""
    path = folder.file(*VALIDATION)
    rows = [(row, _plain(row.text("template"))) for row in entries(path)]
    listed = next((each for name in LABELS for each in folder.matching(name)), None)
    named = [_plain(label) for label in labels_of(listed)] if listed else []
    labels = tuple(dict.fromkeys([*named, *(label for _, label in rows)]))
    for row, label in rows:
        segment = Segment(folder.videos.expect(row.text("id")))
        yield made(row, Example, segment=segment, text=label, candidates=labels, split="val")


def _plain(template: str) -> str:
    return template.replace("[", "").replace("]", "")
