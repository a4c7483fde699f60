"""What an annotation says: a part of a video, a query about it, and the text that answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vljepa_data.world.vocabulary import PROMPTS

__all__ = ["Example", "Segment", "by_segment"]


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A part of a video file; `end_s` None means to its end."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        end = float("inf") if self.end_s is None else self.end_s
        if not 0 <= self.start_s < end:
            raise ValueError(f"expected 0 <= start_s < end_s, got {self.start_s:g} and {self.end_s}")

    def __str__(self) -> str:
        if self.end_s is None and not self.start_s:
            return str(self.path)
        return f"{self.path} from {self.start_s:g} s" + (
            "" if self.end_s is None else f" to {self.end_s:g} s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One text about one segment.

    Attributes:
        segment: Part of a video that is shown.
        text: The answer.
        query: What is asked; empty where nothing says so: then it is what a model asks by itself, see `asked`.
        candidates: Answers to choose from, the right one among them; empty where anything may be said.
        split: `train`, `val`, `test` or whatever the file says; empty when it says nothing.
        kind: What sort of question it is, where a data set's figures are given for each sort; else empty.
    """

    segment: Segment
    text: str
    query: str = ""
    candidates: tuple[str, ...] = ()
    split: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip() or (self.query and not self.query.strip()):
            raise ValueError("expected a text and a query that are not empty")
        if self.candidates and self.text not in self.candidates:
            raise ValueError(f"expected the text among its candidates, {self.text!r} is not")

    def asked(self, prompts: Mapping[str, str], *tasks: str) -> tuple[Example, ...]:
        """The same with its own query; without one, once for each task with what a model asks for it.

        Args:
            prompts: A model's query per task.
            tasks: Some of `caption`, `classify` and `retrieval`.

        Examples:
            >>> from pathlib import Path
            >>> from vljepa_data.annotations import Example, Segment
            >>> example = Example(segment=Segment(Path("clip.mp4")), text="a box jumps")
            >>> [each.query for each in example.asked({"classify": "What happens?"}, "classify", "caption")]
            ['What happens?', 'Describe this video in one sentence.']
        """
        if self.query:
            return (self,)
        queries = dict.fromkeys(prompts.get(task, PROMPTS[task]) for task in tasks)
        return tuple(replace(self, query=query) for query in queries)


def by_segment(examples: Iterable[Example]) -> dict[Segment, tuple[Example, ...]]:
    """Group texts by what they are about, in the order of first mention."""
    groups: dict[Segment, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.segment, []).append(example)
    return {segment: tuple(group) for segment, group in groups.items()}
