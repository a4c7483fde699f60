"""A lesson pairs a clip with a query, the text that answers it, and a text that nearly does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vljepa_data.world.clips import Clip
from vljepa_data.world.language import LEVELS, caption, hand_caption, meaning, near_miss
from vljepa_data.world.questions import QUESTION_TYPES, ask, question_types
from vljepa_data.world.vocabulary import PROMPTS

__all__ = ["Lesson", "caption_lesson", "draw_lesson", "question_lesson"]

WEIGHTS = {
    "what": 1.0,
    "colour": 0.6,
    "count": 1.3,
    "presence": 1.2,
    "exists": 2.0,
    "direction": 0.4,
    "first": 4.0,
    "digit": 1.0,
}
"""Odds of a question's type among those that a clip can answer: what takes longest to learn is asked most."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One query about one clip.

    Attributes:
        query: What the predictor is asked.
        target: The text whose embedding is to be predicted.
        canonical: The first wording of the target, which the Y-decoder learns to say.
        key: Meaning of the target; equal keys are not negatives of each other.
        wrong: A text that differs in one attribute, or another candidate answer.
        wrong_key: Meaning of `wrong`.
    """

    query: str
    target: str
    canonical: str
    key: int
    wrong: str
    wrong_key: int


def caption_lesson(clip: Clip, level: str, rng: np.random.Generator) -> Lesson:
    """A caption lesson at one level of detail (see `language.LEVELS`)."""
    query = PROMPTS[level]
    if clip.digits:
        other = [int((clip.digits[0] + rng.integers(1, 10)) % 10), *clip.digits[1:]]
        return _lesson(
            query,
            hand_caption(clip.digits, rng),
            hand_caption(clip.digits),
            hand_caption(other, rng),
            hand_caption(other),
        )
    changed = list(clip.events)
    which = int(rng.integers(len(changed)))
    changed[which] = near_miss(changed[which], rng, level=level)
    if level == "retrieval" and rng.random() < 0.4:
        actor = clip.events[which].actor
        changed[which] = replace(clip.events[which], actor=replace(actor, size=1 - actor.size))
    right = caption(clip.events, level, aside=clip.aside), caption(clip.events, level, rng, aside=clip.aside)
    wrong = caption(changed, level, aside=clip.aside), caption(changed, level, rng, aside=clip.aside)
    return _lesson(query, right[1], right[0], wrong[1], wrong[0])


def question_lesson(clip: Clip, kind: str, rng: np.random.Generator) -> Lesson:
    """A question lesson of one of the clip's question types."""
    qa = ask(clip, kind, rng)
    others = [candidate for candidate in qa.candidates if candidate != qa.answer]
    wrong = others[int(rng.integers(len(others)))]
    return _lesson(qa.question, qa.answer, qa.answer, wrong, wrong)


def draw_lesson(clip: Clip, rng: np.random.Generator, *, questions: float) -> Lesson:
    """Draw a lesson: a question with probability `questions`, else a caption of a random level."""
    kinds: Sequence[str] = [kind for kind in QUESTION_TYPES if kind in question_types(clip)]
    if kinds and rng.random() < questions:
        weights = np.array([WEIGHTS[kind] for kind in kinds])
        return question_lesson(clip, str(rng.choice(kinds, p=weights / weights.sum())), rng)
    return caption_lesson(clip, LEVELS[int(rng.integers(len(LEVELS)))], rng)


def _lesson(query: str, target: str, canonical: str, wrong: str, wrong_canonical: str) -> Lesson:
    return Lesson(query, target, canonical, meaning(canonical), wrong, meaning(wrong_canonical))
