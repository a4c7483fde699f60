"""VDC (Video Detailed Captions): descriptions of 1,027 videos, and short questions about each."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import jsonl_rows
from vljepa_data.annotations.sets.reading import made, objects

__all__ = ["read_captions", "read_questions"]

QUESTIONS = ("detailed.jsonl", "short.jsonl", "camera.jsonl", "background.jsonl", "main_object.jsonl")


def read_captions(folder: DataFolder) -> Iterator[Example]:
    """Videos with their detailed captions, from `VDC_1k.jsonl`."""
    for row in jsonl_rows(folder.file("VDC_1k.jsonl")):
        segment = Segment(folder.videos.expect(row.text("video_id")))
        yield made(row, Example, segment=segment, text=row.text("detailed_caption"), split="test")


def read_questions(folder: DataFolder) -> Iterator[Example]:
    """Questions with their answers, each of its file's kind; the few without a question or an answer are left out."""
    for path in folder.all(*QUESTIONS):
        for line in jsonl_rows(path):
            for name in line.values:
                segment = Segment(folder.videos.expect(name))
                for row in objects(line, name):
                    query, text = row.text("question", ""), row.text("answer", "")
                    if query and text:
                        yield made(row, Example, segment=segment, query=query, text=text, kind=path.stem)
