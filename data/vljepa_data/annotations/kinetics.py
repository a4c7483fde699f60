"""Kinetics and the many sets in its form: a CSV of label, video, start and end; the label answers what is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import csv_rows
from vljepa_data.annotations.video_folder import VideoFolder
from vljepa_data.world.vocabulary import PROMPTS

__all__ = ["read_kinetics"]

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read_kinetics(path: Path, videos: Path, folder: VideoFolder | None = None) -> Iterator[Example]:
    """Read `train.csv` or `validate.csv`; clips are named ID_START_END with six digits each, or the videos are whole.

    Every label of the file is a candidate answer.

    Args:
        path: The file.
        videos: Folder of the videos.
        folder: The same, where it was listed already.

    Raises:
        AnnotationError: with file and line.
    """
    folder = folder or VideoFolder(videos)
    rows = list(csv_rows(path, *COLUMNS))
    labels = tuple(dict.fromkeys(row.text("label") for row in rows))
    for row in rows:
        start_s, end_s = row.number("time_start"), row.number("time_end")
        if start_s is None or end_s is None:
            raise row.error("expected numbers for time_start and time_end, got none")
        video = row.text("youtube_id")
        cuts = (f"{video}_{int(start_s):06d}_{int(end_s):06d}", f"{video}_{int(start_s)}_{int(end_s)}")
        try:
            segment = Segment(*folder.cut(video, cuts, start_s, end_s))
        except ValueError as error:
            raise row.error(error) from error
        split = {"validate": "val"}.get(row.text("split", ""), row.text("split", ""))
        yield Example(
            segment=segment, text=row.text("label"), query=PROMPTS["classify"], candidates=labels, split=split
        )
