"""MSR-VTT: the JSON of videos and sentences, or the CSV of the 1,000-clip test split that retrieval papers use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import csv_rows, json_document, renaming
from vljepa_data.annotations.video_folder import VideoFolder
from vljepa_data.errors import AnnotationError
from vljepa_data.world.vocabulary import PROMPTS

__all__ = ["read_msr_vtt"]


def read_msr_vtt(path: Path, videos: Path, folder: VideoFolder | None = None) -> Iterator[Example]:
    """Read `MSRVTT_data.json`, `train_val_videodatainfo.json` or `MSRVTT_JSFUSION_test.csv`.

    The videos are clips already: the times in the JSON are those of the films they were cut from.

    Args:
        path: The file.
        videos: Folder of the videos.
        folder: The same, where it was listed already.

    Raises:
        AnnotationError: a part is missing; the message names file and line (CSV) or entry (JSON).
    """
    folder = folder or VideoFolder(videos)
    if path.suffix.lower() == ".csv":
        for row in csv_rows(path, "video_id", "sentence"):
            yield Example(
                segment=Segment(folder.expect(row.text("video_id"))),
                text=row.text("sentence"),
                query=PROMPTS["caption"],
                split="test",
            )
        return
    document = json_document(path)
    splits = {
        str(_field(path, "videos", i, video, "video_id")): str(video.get("split", ""))
        for i, video in enumerate(_list(path, document, "videos"))
    }
    for i, sentence in enumerate(_list(path, document, "sentences")):
        name = str(_field(path, "sentences", i, sentence, "video_id"))
        text = str(_field(path, "sentences", i, sentence, "caption")).strip()
        if name not in splits or not text:
            problem = "its caption is empty" if name in splits else f"video {name!r} is not among the videos"
            raise AnnotationError(f"{path}, sentences[{i}]: {problem}")
        split = "val" if splits[name] == "validate" else splits[name]
        yield Example(segment=Segment(folder.expect(name)), text=text, query=PROMPTS["caption"], split=split)


def _list(path: Path, document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise AnnotationError(
            f"{path}: expected a list {name!r} as in MSR-VTT, got {type(value).__name__}{renaming([name], document)}"
        )
    return value


def _field(path: Path, name: str, index: int, entry: Any, key: str) -> Any:
    if not isinstance(entry, dict) or entry.get(key) is None:
        raise AnnotationError(
            f"{path}, {name}[{index}]: expected an object with {key!r}, got {str(entry)[:60]}"
            f"{renaming([key], entry if isinstance(entry, dict) else ())}"
        )
    return entry[key]
