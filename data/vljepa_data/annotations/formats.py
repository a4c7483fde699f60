"""One reader per kind of annotation file, and how a file's kind is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from vljepa_data.annotations.example import Example
from vljepa_data.annotations.kinetics import read_kinetics
from vljepa_data.annotations.manifest import read_manifest
from vljepa_data.annotations.msr_vtt import read_msr_vtt
from vljepa_data.annotations.msvd import read_msvd
from vljepa_data.annotations.rows import csv_header, renaming
from vljepa_data.errors import AnnotationError

__all__ = ["ANNOTATION_FORMATS", "detect", "read_annotations"]

ANNOTATION_FORMATS: dict[str, Callable[[Path, Path], Iterator[Example]]] = {
    "manifest": read_manifest,
    "msr-vtt": read_msr_vtt,
    "msvd": read_msvd,
    "kinetics": read_kinetics,
}
MARKS = {  # columns that give a CSV's kind away
    "manifest": {"path", "text"},
    "msr-vtt": {"video_id", "sentence"},
    "msvd": {"VideoID", "Description"},
    "kinetics": {"youtube_id", "label"},
}
IDS = {"video_id", "VideoID", "youtube_id"}


def read_annotations(
    path: str | Path, *, format: str = "auto", videos: str | Path | None = None, split: str | None = None
) -> list[Example]:
    """Read an annotation file of any known kind.

    Args:
        path: The annotation file.
        format: A key of ANNOTATION_FORMATS, or `auto` to go by ending and columns.
        videos: Folder of the videos; by default the one that the file lies in.
        split: Take only this part, where the file says which part a line belongs to.

    Returns:
        One example per text.

    Raises:
        AnnotationError: the file cannot be read, is of no known kind, has a wrong line, or holds nothing of that split.

    Examples:
        >>> from vljepa_data.annotations import read_annotations
        >>> [example.text for example in read_annotations("clips.csv")]
        ['a white box bounces', 'a purple ball stays still']
    """
    file = Path(path)
    kind = detect(file) if format == "auto" else format
    if kind not in ANNOTATION_FORMATS:
        raise AnnotationError(
            f"expected a format among auto, {', '.join(ANNOTATION_FORMATS)}, got {format!r}"
        )
    examples = list(ANNOTATION_FORMATS[kind](file, Path(videos) if videos else file.parent))
    if not examples:
        raise AnnotationError(f"{file}: expected at least one text about a video, got none")
    if split is None:
        return examples
    splits = sorted({example.split for example in examples} - {""})
    if not (chosen := [example for example in examples if example.split == split]):
        raise AnnotationError(f"{file}: expected a split among {', '.join(splits) or 'none'}, got {split!r}")
    return chosen


def detect(path: Path) -> str:
    """Kind of a file, by its ending and, for CSV, its columns.

    Raises:
        AnnotationError: none fits.
    """
    suffix = path.suffix.lower()
    by_suffix = {".jsonl": "manifest", ".json": "msr-vtt", ".txt": "msvd"}
    if suffix in by_suffix:
        return by_suffix[suffix]
    columns = csv_header(path) if suffix == ".csv" else ()
    for kind, marks in MARKS.items():
        if marks <= set(columns):
            return kind
    named = [kind for kind in MARKS if MARKS[kind] & IDS & set(columns)]
    nearest = named[0] if named else "manifest"
    missing = sorted(MARKS[nearest] - set(columns))
    if hint := renaming(missing, columns):
        raise AnnotationError(
            f"{path}, line 1: expected the columns {' and '.join(sorted(MARKS[nearest]))}, "
            f"{' and '.join(missing)} missing{hint}"
        )
    wanted = "; ".join(f"{kind}: {', '.join(sorted(marks))}" for kind, marks in MARKS.items())
    raise AnnotationError(
        f"{path}: expected .jsonl, .json, .txt or .csv with the columns of a known kind ({wanted}): pass the format"
    )
