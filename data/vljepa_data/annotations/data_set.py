"""A data set as it is measured: its parts, each for one task with its prompt, and which of its files are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vljepa_data.annotations.example import Segment
from vljepa_data.annotations.records import Item, segments_of
from vljepa_data.annotations.vocabulary import Vocabulary
from vljepa_data.world.vocabulary import PROMPTS

__all__ = ["TASK_PROMPTS", "DataSet", "Part"]

TASK_PROMPTS: Mapping[str, str] = {
    "labels": PROMPTS["classify"],
    "classification": PROMPTS["classify"],
    "anticipation": PROMPTS["classify"],
    "retrieval": PROMPTS["retrieval"],
    "moments": PROMPTS["retrieval"],
    "contrasts": PROMPTS["retrieval"],
    "captioning": PROMPTS["caption"],
    "streaming": PROMPTS["caption"],
    "transitions": PROMPTS["classify"],
    "vqa": "",
    "open-vqa": "",
}
"""What a model is asked for each kind of task, as in the paper (arXiv 2512.10942, Fig. 2); empty where the question of
an example is asked. The paper prints no prompt for anticipation, moments, transitions and pictures beside two texts:
there it is that of the nearest kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One task on a data set.

    Attributes:
        name: In a report, such as `step-recognition`.
        task: A key of TASK_PROMPTS.
        items: What is asked about, with its truth.
        prompt: What is asked; empty where each example's own query is.
        missing: Items that were left out since their video or picture is not there.
    """

    name: str
    task: str
    items: tuple[Item, ...]
    prompt: str = ""
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What a model is measured on.

    Attributes:
        name: In a report, such as `msr-vtt`.
        parts: One for each task; see `open_data`.
        vocabulary: Labels to choose from, of files of one's own.
        published: Clips that are missing or broken are left out and counted; in files of one's own they are an error.
    """

    name: str
    parts: tuple[Part, ...]
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    published: bool = False

    def segments(self) -> tuple[Segment, ...]:
        """Every clip and picture that there is a question about, once."""
        found = (segment for part in self.parts for item in part.items for segment in segments_of(item))
        return tuple(dict.fromkeys(found))

    @classmethod
    def of(cls, name: str, examples: Sequence[Item], *tasks: str) -> DataSet:
        """Items in memory, for one or several tasks with their default prompts; by default `labels` and `retrieval`.

        Examples:
            >>> from vljepa_data.annotations import DataSet, Part, read_annotations
            >>> own = DataSet.of("own", read_annotations("clips.csv"))
            >>> [(part.name, part.prompt) for part in own.parts]
            [('labels', 'What is the action shown?'), ('retrieval', 'Describe this video in one sentence.')]
            >>> len(own.segments()), own.parts[0] == Part(name="labels", task="labels", items=own.parts[0].items,
            ...                                           prompt="What is the action shown?")
            (2, True)
        """
        prompts = dict(TASK_PROMPTS) if tasks else {**TASK_PROMPTS, "retrieval": PROMPTS["caption"]}
        items = tuple(examples)
        return cls(
            name=name,
            parts=tuple(
                Part(name=task, task=task, items=items, prompt=prompts[task])
                for task in tasks or ("labels", "retrieval")
            ),
        )
