"""Questions about a clip, each with its answer and all answer candidates; answers are balanced by construction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vljepa_data.world.clips import Clip
from vljepa_data.world.language import BRIEF, noun
from vljepa_data.world.vocabulary import COLOURS, COUNTS, DIGITS, SHAPES, Thing

__all__ = ["QA", "QUESTION_TYPES", "answers", "ask", "question_types", "wordings"]

QUESTION_TYPES = ("what", "colour", "count", "presence", "exists", "direction", "first", "digit")
ANSWERS = {
    "what": tuple(f"the {shape}" for shape in SHAPES),
    "first": tuple(f"the {shape}" for shape in SHAPES),
    "colour": COLOURS,
    "count": COUNTS,
    "presence": ("yes", "no"),
    "exists": ("yes", "no"),
    "direction": ("to the left", "to the right"),
    "digit": DIGITS,
}
FIRST, COUNT, DIGIT = "What moved first?", "How many objects are there?", "Which digit does the hand show?"


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
    candidates = ANSWERS[kind]
    event = clip.events[0] if clip.events else None
    if event is None:
        return QA(DIGIT, DIGITS[clip.digits[0]], candidates, kind)
    if kind == "what":
        return QA(_what(event.action), candidates[event.actor.shape], candidates, kind)
    if kind == "first":
        return QA(FIRST, candidates[event.actor.shape], candidates, kind)
    if kind == "count":
        return QA(COUNT, candidates[len(clip.things) - 1], candidates, kind)
    if kind == "direction":
        answer = candidates[event.direction == "right"]
        return QA(_direction(SHAPES[event.actor.shape]), answer, candidates, kind)
    if kind == "presence":
        return _presence(clip, rng)
    thing = clip.things[int(rng.integers(len(clip.things)))]
    if kind == "colour":
        return QA(_colour(SHAPES[thing.shape]), COLOURS[thing.colour], candidates, kind)
    return _exists(clip, thing, rng)


def answers(kind: str) -> tuple[str, ...]:
    """All that a question of a type may be answered with, in the order of `QA.candidates`."""
    return ANSWERS[kind]


def wordings(kind: str) -> tuple[str, ...]:
    """Every question of a type that `ask` may make.

    Examples:
        >>> from vljepa_data.world import answers, wordings
        >>> wordings("direction")[0], answers("direction")
        ('Which way does the ball move?', ('to the left', 'to the right'))
    """
    every = {
        "what": map(_what, BRIEF),
        "first": (FIRST,),
        "colour": map(_colour, SHAPES),
        "count": (COUNT,),
        "presence": (*map(_has_shape, SHAPES), *map(_has_colour, COLOURS)),
        "exists": (_is_there(Thing(s, c)) for s in range(len(SHAPES)) for c in range(len(COLOURS))),
        "direction": map(_direction, SHAPES),
        "digit": (DIGIT,),
    }
    return tuple(every[kind])


def _presence(clip: Clip, rng: np.random.Generator) -> QA:
    """Ask for one attribute."""
    of_shape = bool(rng.random() < 0.5)
    names = SHAPES if of_shape else COLOURS
    seen = {thing.shape if of_shape else thing.colour for thing in clip.things}
    present = bool(rng.random() < 0.5)
    name = names[rng.choice([value for value in range(len(names)) if (value in seen) == present])]
    question = _has_shape(name) if of_shape else _has_colour(name)
    return QA(question, _yes_or_no(present), ANSWERS["presence"], "presence")


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
    return QA(_is_there(Thing(shape, colour)), _yes_or_no(present), ANSWERS["exists"], "exists")


def _what(action: str) -> str:
    return BRIEF[action][0].format(s="What") + "?"


def _colour(shape: str) -> str:
    return f"What colour is the {shape}?"


def _direction(shape: str) -> str:
    return f"Which way does the {shape} move?"


def _is_there(thing: Thing) -> str:
    return f"Is there {noun(thing)}?"


def _has_shape(shape: str) -> str:
    return f"Is there a {shape}?"


def _has_colour(colour: str) -> str:
    return f"Is there anything {colour}?"


def _yes_or_no(present: bool) -> str:
    return "yes" if present else "no"
