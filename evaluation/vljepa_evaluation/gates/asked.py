"""What a model is asked when its use is compared: what the tasks ask and answer, and the words of all captions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from vljepa_data.world import (
    ACTIONS,
    COLOURS,
    DIRECTED,
    QUESTION_TYPES,
    SHAPES,
    Event,
    Thing,
    answers,
    brief_captions,
    paraphrases,
    wordings,
)
from vljepa_evaluation.gates.footage import footage_labels
from vljepa_runtime.files import AtMost
from vljepa_runtime.files.values import Name, Text

__all__ = ["Asked", "Asking", "ask_all"]

MOST = 4096  # texts of one kind that are read; an export asks 55 questions
OTHERS = 61  # of all labels every so many are offered beside the right ones
EXISTS = 9  # of the questions for a shape in a colour every ninth: each shape and each colour once
Texts = Annotated[tuple[Text, ...], AtMost(MOST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Questions, and the answers that each chooses from."""

    questions: Texts
    answers: Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a model is asked; kept in the reference, so that later versions ask the same.

    Attributes:
        tasks: Whose prompts, as the bundle has them, are asked of every window.
        askings: Questions about each clip as a whole.
        captions: Further texts to embed.
        labels: What a stream is labelled with.
        keep: A token budget; 0 where there is none but the whole window.
    """

    tasks: Annotated[tuple[Name, ...], AtMost(64)]
    askings: Annotated[tuple[Asking, ...], AtMost(64)]
    captions: Texts
    labels: Texts
    keep: Annotated[int, AtMost(1 << 20)] = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is embedded, each once."""
        answered = [text for asking in self.askings for text in asking.answers]
        return tuple(dict.fromkeys([*answered, *self.captions, *self.labels]))


def ask_all(tasks: Iterable[str], *, keep: int = 0) -> Asked:
    """All that is asked of a model.

    Args:
        tasks: Of which the bundle has prompts.
        keep: See `Asked`.

    Examples:
        >>> from vljepa_evaluation.gates import Asked, Asking, ask_all
        >>> asked: Asked = ask_all(["caption"])
        >>> asked.askings[2]
        Asking(questions=('How many objects are there?',), answers=('one', 'two', 'three', 'four'))
        >>> len(asked.texts), asked.texts[0]
        (123, 'the ball')
    """
    askings = [
        Asking(questions=wordings(kind)[:: EXISTS if kind == "exists" else 1], answers=answers(kind))
        for kind in QUESTION_TYPES
    ]
    return Asked(
        tasks=tuple(tasks),
        askings=tuple(askings),
        captions=_captions(),
        labels=tuple(dict.fromkeys([*footage_labels(), *brief_captions()[::OTHERS]])),
        keep=keep,
    )


def _captions() -> tuple[str, ...]:
    """Brief and detailed captions in all wordings: among them is every word that captions are made of."""
    texts: list[str] = []
    for index, action in enumerate(ACTIONS):
        actor = Thing(index % len(SHAPES), index % len(COLOURS), index % 2, index % 3)
        other = Thing((index + 3) % len(SHAPES), (index + 5) % len(COLOURS))
        for direction in ("left", "right") if action in DIRECTED else ("",):
            event = Event(actor, action, direction, other)
            texts += paraphrases([event], "classify") + paraphrases([event], "retrieval", aside=[other])
    return tuple(dict.fromkeys(texts))
