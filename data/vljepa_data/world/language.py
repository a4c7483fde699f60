"""Captions of the world at three levels of detail, each with paraphrases; the first wording is the canonical one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np

from vljepa_data.world.vocabulary import (
    ACTIONS,
    COLOURS,
    DIGITS,
    DIRECTED,
    PAIRED,
    SHAPES,
    SIZES,
    TEXTURES,
    Event,
    Thing,
)  # fmt: skip

__all__ = [
    "LEVELS",
    "brief_caption",
    "brief_captions",
    "caption",
    "hand_caption",
    "meaning",
    "near_miss",
    "noun",
    "paraphrases",
    "vocabulary_texts",
]

LEVELS = ("classify", "caption", "retrieval")
"""Kinds of caption, named as the prompt that asks for them: brief, one sentence, detailed."""

VERBS: dict[str, tuple[str, ...]] = {
    "enter": ("{s} enters from the {o}", "{s} comes in from the {o}", "{s} appears from the {o}"),
    "leave": ("{s} leaves to the {d}", "{s} goes out to the {d}", "{s} exits to the {d}"),
    "roll": ("{s} rolls to the {d}", "{s} is rolling to the {d}", "{s} rolls {d}wards"),
    "bounce": ("{s} bounces", "{s} is bouncing", "{s} bounces up and down"),
    "jump": ("{s} jumps", "{s} is jumping", "{s} jumps up once"),
    "fall": ("{s} falls down", "{s} is falling", "{s} drops to the ground"),
    "turn": ("{s} turns", "{s} is turning", "{s} spins around"),
    "grow": ("{s} grows", "{s} is growing", "{s} gets bigger"),
    "collide": ("{s} moves {d} and hits {p}", "{s} collides with {p} going {d}", "{s} bumps {d} into {p}"),
    "pass": ("{s} passes {d} behind {p}", "{s} moves {d} behind {p}", "{s} goes behind {p} to the {d}"),
    "stack": ("{s} lands on top of {p}", "{s} is stacked on {p}", "{s} is put on {p}"),
    "stay": ("{s} stays still", "{s} does not move", "{s} is standing still"),
}
BRIEF: dict[str, tuple[str, ...]] = {
    "enter": ("{s} enters", "{s} comes in"), "leave": ("{s} leaves", "{s} goes out"),
    "roll": ("{s} rolls", "{s} is rolling"), "bounce": ("{s} bounces", "{s} is bouncing"),
    "jump": ("{s} jumps", "{s} is jumping"), "fall": ("{s} falls", "{s} is falling"),
    "turn": ("{s} turns", "{s} is turning"), "grow": ("{s} grows", "{s} is growing"),
    "collide": ("{s} collides", "{s} bumps into something"), "pass": ("{s} passes behind", "{s} goes behind something"),
    "stack": ("{s} is stacked", "{s} lands on something"), "stay": ("{s} stays", "{s} stays still"),
}  # fmt: skip
FRAMES = ("{c}", "{c}", "we see how {c}", "in this video {c}")
OPPOSITE = {"left": "right", "right": "left", "": ""}


def noun(thing: Thing, *, detailed: bool = False, article: str = "a") -> str:
    """Name an object: `a red ball`, or with size and texture `a small striped red ball`."""
    words = [COLOURS[thing.colour], SHAPES[thing.shape]]
    if detailed:
        words = [SIZES[thing.size], *([TEXTURES[thing.texture]] if thing.texture else []), *words]
    if article == "a" and words[0][0] in "aeiou":
        article = "an"
    return " ".join([article, *words]) if article else " ".join(words)


def _clauses(event: Event, level: str) -> tuple[str, ...]:
    table = BRIEF if level == "classify" else VERBS
    detailed = level == "retrieval"
    other = noun(event.other, detailed=detailed) if event.other else ""
    names = {
        "s": noun(event.actor, detailed=detailed),
        "p": other,
        "d": event.direction,
        "o": OPPOSITE[event.direction],
    }
    return tuple(template.format(**names) for template in table[event.action])


def paraphrases(events: Sequence[Event], level: str, *, aside: Sequence[Thing] = ()) -> tuple[str, ...]:
    """All wordings of one caption, the canonical one first.

    Args:
        events: What happens, in order (one or two events).
        level: One of LEVELS.
        aside: Objects that only stand by; named in detailed captions alone.
    """
    lists = [_clauses(event, level) for event in events]
    count = max(len(clauses) for clauses in lists)
    tail = "".join(f", with {noun(thing)} standing by" for thing in aside[:1]) if level == "retrieval" else ""
    return tuple(", then ".join(c[i % len(c)] for c in lists) + tail for i in range(count))


def caption(
    events: Sequence[Event],
    level: str,
    rng: np.random.Generator | None = None,
    *,
    aside: Sequence[Thing] = (),
) -> str:
    """One wording: drawn by `rng`, or the canonical one without it."""
    words = paraphrases(events, level, aside=aside)
    if rng is None:
        return words[0]
    text = words[int(rng.integers(len(words)))]
    return text if level == "classify" else FRAMES[int(rng.integers(len(FRAMES)))].format(c=text)


def brief_caption(thing: Thing, action: str) -> str:
    """The canonical label of shape x colour x action.

    Examples:
        >>> from vljepa_data.world import COLOURS, SHAPES, Thing, brief_caption
        >>> brief_caption(Thing(SHAPES.index("ball"), COLOURS.index("red")), "roll")
        'a red ball rolls'
    """
    return BRIEF[action][0].format(s=noun(thing))


def brief_captions() -> tuple[str, ...]:
    """Every label of shape x colour x action: what a clip is classified with.

    Examples:
        >>> from vljepa_data.world import brief_captions
        >>> len(brief_captions()), brief_captions()[0]
        (768, 'a red ball enters')
    """
    return tuple(
        brief_caption(Thing(shape, colour), action)
        for shape in range(len(SHAPES))
        for colour in range(len(COLOURS))
        for action in ACTIONS
    )


def hand_caption(digits: Sequence[int], rng: np.random.Generator | None = None) -> str:
    """Caption of a hand that shows one digit, or one and then another.

    Examples:
        >>> from vljepa_data.world import hand_caption
        >>> hand_caption([3, 7])
        'a hand shows the digit three, then the digit seven'
    """
    names = [DIGITS[digit] for digit in digits]
    choices = (
        "a hand shows the digit " + ", then the digit ".join(names),
        "a hand showing the digit " + " and then ".join(names),
        "a hand makes the sign for " + " and then for ".join(names),
    )
    return choices[0 if rng is None else int(rng.integers(len(choices)))]


def near_miss(event: Event, rng: np.random.Generator, *, level: str = "caption") -> Event:
    """The same event with one thing changed that a caption of this level names: a hard negative."""
    kinds = ["shape", "colour", "action", "action"]
    if level != "classify":
        kinds += (["direction"] * 2 if event.direction else []) + (["other"] if event.other else [])
    kind = kinds[int(rng.integers(len(kinds)))]
    actor = event.actor
    if kind == "shape":
        return replace(event, actor=replace(actor, shape=_another(actor.shape, len(SHAPES), rng)))
    if kind == "colour":
        return replace(event, actor=replace(actor, colour=_another(actor.colour, len(COLOURS), rng)))
    if kind == "direction":
        return replace(event, direction=OPPOSITE[event.direction])
    if kind == "other" and event.other:
        return replace(
            event, other=replace(event.other, colour=_another(event.other.colour, len(COLOURS), rng))
        )
    paired = event.action in PAIRED
    pool = [a for a in ACTIONS if a != event.action and (a in PAIRED) == paired]
    action = pool[int(rng.integers(len(pool)))]
    direction = (event.direction or ("left", "right")[int(rng.integers(2))]) if action in DIRECTED else ""
    return replace(event, action=action, direction=direction)


def _another(value: int, count: int, rng: np.random.Generator) -> int:
    return int((value + 1 + rng.integers(count - 1)) % count)


def meaning(text: str) -> int:
    """A stable 63-bit number for a canonical text: texts of the same meaning are not negatives of each other.

    Examples:
        >>> from vljepa_data.world import meaning
        >>> meaning("a red ball rolls") == meaning("a red box rolls")
        False
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def vocabulary_texts() -> list[str]:
    """Texts in which every word of the world occurs: what the tokenizer is trained on.

    Examples:
        >>> from vljepa_data.world import vocabulary_texts
        >>> len({word for text in vocabulary_texts() for word in text.split()})
        140
    """
    texts = []
    for shape in range(len(SHAPES)):
        for colour in range(len(COLOURS)):
            thing = Thing(shape, colour, shape % 2, 1 + colour % 2)
            other = Thing((shape + 1) % 8, (colour + 3) % 8, 1 - shape % 2, 0)
            for action in ACTIONS:
                for direction in ("left", "right"):
                    event = Event(thing, action, direction, other)
                    for level in LEVELS:
                        texts += [
                            f.format(c=t) for f in FRAMES for t in paraphrases([event], level, aside=[other])
                        ]
    return texts + [hand_caption([a, b]) for a in range(10) for b in range(10)]
