"""MSVD, the Microsoft video description corpus: its CSV, or the text file with one caption on each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row, csv_rows, read_text
from vljepa_data.annotations.video_folder import VideoFolder
from vljepa_data.world.vocabulary import PROMPTS
from vljepa_runtime.files import split_lines

__all__ = ["read_msvd"]

COLUMNS = ("VideoID", "Start", "End", "Language", "Description")


def read_msvd(path: Path, videos: Path, folder: VideoFolder | None = None) -> Iterator[Example]:
    """Read `video_corpus.csv` (its English descriptions) or `AllVideoDescriptions.txt`.

    Clips are named VIDEO_START_END. The corpus has no splits.

    Args:
        path: The file.
        videos: Folder of the videos.
        folder: The same, where it was listed already.

    Raises:
        AnnotationError: with file and line.
    """
    folder = folder or VideoFolder(videos)
    if path.suffix.lower() != ".csv":
        yield from _lines(path, folder)
        return
    for row in csv_rows(path, *COLUMNS):
        if row.text("Language", "") != "English" or not row.text("Description", ""):
            continue
        start, end = row.text("Start"), row.text("End")
        yield _example(row, folder, row.text("VideoID"), start, end, row.text("Description"))


def _lines(path: Path, folder: VideoFolder) -> Iterator[Example]:
    for number, line in enumerate(split_lines(read_text(path)), 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = Row({}, path, number)
        name, _, text = line.strip().partition(" ")
        parts = name.rsplit("_", 2)
        if len(parts) != 3 or not text.strip():
            raise row.error(f"expected VIDEO_START_END and a caption, got {line[:60]!r}")
        video, start, end = parts
        yield _example(row, folder, video, start, end, text.strip())


def _example(row: Row, folder: VideoFolder, video: str, start: str, end: str, text: str) -> Example:
    try:
        times = row.seconds(start, "the start"), row.seconds(end, "the end")
        return Example(
            segment=Segment(*folder.cut(video, (f"{video}_{start}_{end}",), *times)),
            text=text,
            query=PROMPTS["caption"],
        )
    except ValueError as error:
        raise error if type(error) is not ValueError else row.error(error) from error
