"""EPIC-Kitchens-100: actions as verb and noun. Layout: epic-kitchens/epic-kitchens-100-annotations, README.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example
from vljepa_data.annotations.rows import Row, csv_rows
from vljepa_data.annotations.sets.reading import clock_s, made, part_of

__all__ = ["read"]

COLUMNS = ("video_id", "start_timestamp", "stop_timestamp", "verb", "verb_class", "noun", "noun_class")


def read(folder: DataFolder) -> Iterator[Example]:
    """Segments of the validation part; an action is the pair of classes, named by their keys where those are listed."""
    rows = list(csv_rows(folder.file("EPIC_100_validation.csv"), *COLUMNS))
    verbs, nouns = _keys(folder, "verb"), _keys(folder, "noun")
    names = [_action(row, verbs, nouns) for row in rows]
    labels = tuple(dict.fromkeys(names))
    for row, name in zip(rows, names):
        times = (clock_s(row, "start_timestamp"), clock_s(row, "stop_timestamp"))
        segment = part_of(row, folder.videos.expect(row.text("video_id")), *times)
        yield made(row, Example, segment=segment, text=name, candidates=labels, split="val")


def _keys(folder: DataFolder, what: str) -> Mapping[str, str]:
    """Class number to its key, such as `let-go`; `board:chopping` is a chopping board."""
    path = next(folder.matching(f"EPIC_100_{what}_classes*.csv"), None)
    rows = csv_rows(path, "id", "key") if path else ()
    return {row.text("id"): " ".join(reversed(row.text("key").replace("-", " ").split(":"))) for row in rows}


def _action(row: Row, verbs: Mapping[str, str], nouns: Mapping[str, str]) -> str:
    """One name for all spellings of a class; without the lists of classes, the words of the annotation."""
    verb = verbs.get(row.text("verb_class"), row.text("verb"))
    return f"{verb} {nouns.get(row.text('noun_class'), row.text('noun'))}"
