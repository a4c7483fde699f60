"""GQA, its balanced development part: one picture, one question, one word. Layout: `{id: {imageId, question, answer}}`.

Known from many readers, such as TRI-ML/vlm-evaluation, vlm_eval/tasks/harnesses/gqa.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import jsonl_rows
from vljepa_data.annotations.sets.reading import made, members

__all__ = ["read", "read_questions"]

LISTED = "llava_gqa_testdev_balanced.jsonl"
FILE = "testdev_balanced_questions.json"
ADVICE = "Answer the question using a single word or phrase."


def read(folder: DataFolder) -> Iterator[Example]:
    """Questions with their answers; all answers of the file are candidates."""
    rows = [row for _, row in members(folder.file(FILE))]
    answers = tuple(dict.fromkeys(row.text("answer") for row in rows))
    for row in rows:
        yield made(
            row, Example,
            segment=Segment(folder.picture(f"{row.text('imageId')}.jpg")),
            query=row.text("question"), text=row.text("answer"), candidates=answers,
        )  # fmt: skip


def read_questions(folder: DataFolder) -> Iterator[tuple[Segment, str]]:
    """Pictures and questions of the list that LLaVA's evaluation uses, which has no answers."""
    for row in jsonl_rows(folder.file(LISTED)):
        yield Segment(folder.picture(row.text("image"))), row.text("text").removesuffix(ADVICE).rstrip()
