"""Questions about a clip, each with its answer and all answer candidates; answers are balanced by construction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vljepa_data.world.clips import Clip
from vljepa_data.world.language import BRIEF, noun
from vljepa_data.world.vocabulary import COLOURS, COUNTS, DIGITS, SHAPES, Thing

__all__ = ["QA", "QUESTION_TYPES", "ask", "question_types"]

QUESTION_TYPES = ("what", "colour", "count", "presence", "exists", "direction", "first", "digit")


@dataclass(frozen=True, slots=True)
class QA:
    """A question, its answer, and the candidates that a discriminative model chooses from (the answer among them)."""

    question: str
    answer: str
    candidates: tuple[str, ...]
    type: str


def question_types(clip: Clip) -> tuple[str, ...]:
    """Which types of question this clip can answer."""
    if clip.digits:
        return ("digit",) if len(clip.digits) == 1 else ()
    types = ["what" if len(clip.events) == 1 else "first", "colour", "presence", "exists"]
    if len(clip.events) == 1 and len(clip.things) <= len(COUNTS):
        types.append("count")
    if len(clip.events) == 1 and clip.events[0].direction:
        types.append("direction")
    return tuple(types)


def ask(clip: Clip, kind: str, rng: np.random.Generator) -> QA:
    """Make a question of one of `question_types(clip)`.

    Raises:
        ValueError: the clip cannot answer that type.

    Examples:
        >>> import numpy as np
        >>> from vljepa_data.world import Split, ask, make_clip
        >>> ask(make_clip(8, Split.TEST), "count", np.random.default_rng(0))
        QA(question='How many objects are there?', answer='three', candidates=('one', ...), type='count')
    """
    if kind not in question_types(clip):
        raise ValueError(
            f"this clip cannot answer a {kind!r} question; it can: {', '.join(question_types(clip))}"
        )
    shapes = tuple(f"the {shape}" for shape in SHAPES)
    event = clip.events[0] if clip.events else None
    if event is None:
        return QA("Which digit does the hand show?", DIGITS[clip.digits[0]], DIGITS, kind)
    if kind == "what":
        question = BRIEF[event.action][0].format(s="What") + "?"
        return QA(question, shapes[event.actor.shape], shapes, kind)
    if kind == "first":
        return QA("What moved first?", shapes[event.actor.shape], shapes, kind)
    if kind == "count":
        return QA("How many objects are there?", COUNTS[len(clip.things) - 1], COUNTS, kind)
    if kind == "direction":
        sides = ("to the left", "to the right")
        answer = sides[event.direction == "right"]
        return QA(f"Which way does the {SHAPES[event.actor.shape]} move?", answer, sides, kind)
    if kind == "presence":
        return _presence(clip, rng)
    thing = clip.things[int(rng.integers(len(clip.things)))]
    if kind == "colour":
        return QA(f"What colour is the {SHAPES[thing.shape]}?", COLOURS[thing.colour], COLOURS, kind)
    return _exists(clip, thing, rng)


def _presence(clip: Clip, rng: np.random.Generator) -> QA:
    """Ask for one attribute."""
    of_shape = bool(rng.random() < 0.5)
    names = SHAPES if of_shape else COLOURS
    seen = {thing.shape if of_shape else thing.colour for thing in clip.things}
    present = bool(rng.random() < 0.5)
    name = names[rng.choice([value for value in range(len(names)) if (value in seen) == present])]
    question = f"Is there a {name}?" if of_shape else f"Is there anything {name}?"
    return QA(question, "yes" if present else "no", ("yes", "no"), "presence")


def _exists(clip: Clip, thing: Thing, rng: np.random.Generator) -> QA:
    """Ask for a shape and a colour together; where the answer is no, one of the two is there."""
    present = bool(rng.random() < 0.5)
    seen = {(t.shape, t.colour) for t in clip.things}
    shape, colour = thing.shape, thing.colour
    while not present and (shape, colour) in seen:
        if rng.random() < 0.5:
            shape = int(rng.integers(len(SHAPES)))
        else:
            colour = int(rng.integers(len(COLOURS)))
    return QA(f"Is there {noun(Thing(shape, colour))}?", "yes" if present else "no", ("yes", "no"), "exists")
