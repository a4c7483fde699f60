"""Read a caption back into what it claims: objects with colour and shape, actions, directions, digits.

It reads words rather than whole sentences, so text that a decoder made up is read as far as it makes sense.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vljepa_data.world import COLOURS, DIGITS, DIRECTED, SHAPES, SIZES, TEXTURES, Clip, Event, Thing

__all__ = ["Claim", "Described", "Description", "describe", "matches", "parse"]

ACTION_WORDS = {
    "enter": r"enters|comes in|appears",
    "leave": r"leaves|goes out|exits",
    "roll": r"rolls|rolling",
    "bounce": r"bounces|bouncing",
    "jump": r"jumps|jumping",
    "fall": r"falls|falling|drops",
    "turn": r"turns|turning|spins",
    "grow": r"grows|growing|gets bigger",
    "collide": r"hits|collides|bumps",
    "pass": r"passes|behind",
    "stack": r"lands on|stacked|put on",
    "stay": r"stays|does not move|standing still",
}
ACTION = {name: re.compile(rf"\b(?:{words})\b") for name, words in ACTION_WORDS.items()}
NOUN = re.compile(
    rf"\b(?:({'|'.join(SIZES)}) )?(?:({'|'.join(TEXTURES)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})\b"
)
ASIDE = re.compile(r"\bwith ((?:(?!\bwith\b).)+?) standing by\b")
SIDE = re.compile(r"\b(left|right)(?:wards)?\b")
OPPOSITE = {"left": "right", "right": "left"}


@dataclass(frozen=True, slots=True)
class Described:
    """An object as named; size and texture are empty where the words leave them out."""

    colour: str
    shape: str
    size: str = ""
    texture: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An event as described; what the words leave open is None or empty."""

    actor: Described | None = None
    action: str = ""
    direction: str = ""
    other: Described | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """All that a caption says."""

    claims: tuple[Claim, ...] = ()
    aside: tuple[Described, ...] = ()
    digits: tuple[int, ...] = ()


def parse(text: str) -> Description:
    """Read a caption in any of the world's wordings.

    Args:
        text: One event, or two with `then` between them.

    Returns:
        What it says; an action is empty when a clause names none or several.

    Examples:
        >>> from vljepa_evaluation.tasks import parse
        >>> parse("a red ball rolls leftwards")
        Description(claims=(Claim(actor=Described(colour='red', shape='ball', ...), action='roll', direction='left', ...
    """
    lower = " ".join(text.lower().split())
    if re.search(r"\bhand\b", lower):
        return Description(
            digits=tuple(DIGITS.index(word) for word in re.findall(r"[a-z]+", lower) if word in DIGITS)
        )
    aside = tuple(thing for named in ASIDE.findall(lower) for thing in _things(named))
    clauses = re.split(r",? then ", ASIDE.sub("", lower))
    return Description(claims=tuple(_claim(clause) for clause in clauses), aside=aside)


def describe(clip: Clip, level: str = "caption") -> Description:
    """What a perfect caption of a clip would say at a level of detail (`language.LEVELS`)."""
    detailed = level == "retrieval"
    claims = tuple(_truth(event, level, detailed) for event in clip.events)
    aside = tuple(_named(thing, False) for thing in clip.aside[:1]) if detailed else ()
    return Description(claims=claims, aside=aside, digits=clip.digits)


def matches(said: Description, truth: Description) -> dict[str, float]:
    """Which attributes are right in every event.

    Args:
        said: What was decoded.
        truth: What happened.

    Returns:
        1.0 or 0.0 per attribute that the truth has, and for `all`.

    Examples:
        >>> from vljepa_data.world import Split, make_clip
        >>> from vljepa_evaluation.tasks import describe, matches, parse
        >>> matches(parse("a yellow ball rolls to the right"), describe(make_clip(8, Split.TEST)))
        {'colour': 1.0, 'shape': 0.0, 'action': 1.0, 'direction': 1.0, 'all': 0.0}
    """
    if truth.digits:
        return {"digit": float(said.digits == truth.digits), "all": float(said == truth)}
    pairs = list(zip(said.claims, truth.claims)) if len(said.claims) == len(truth.claims) else []
    result = {
        "colour": _every(pairs, lambda s, t: bool(s.actor and t.actor and s.actor.colour == t.actor.colour)),
        "shape": _every(pairs, lambda s, t: bool(s.actor and t.actor and s.actor.shape == t.actor.shape)),
        "action": _every(pairs, lambda s, t: s.action == t.action),
    }
    if any(claim.direction for claim in truth.claims):
        result["direction"] = _every(pairs, lambda s, t: s.direction == t.direction)
    if any(claim.other for claim in truth.claims):
        result["other"] = _every(pairs, lambda s, t: s.other == t.other)
    return result | {"all": float(said == truth)}


def _every(pairs: Sequence[tuple[Claim, Claim]], same: Callable[[Claim, Claim], bool]) -> float:
    return float(bool(pairs) and all(same(said, true) for said, true in pairs))


def _claim(clause: str) -> Claim:
    things = _things(clause)
    found = [name for name, words in ACTION.items() if words.search(clause)]
    action = found[0] if len(found) == 1 else ""
    side = SIDE.search(clause)
    direction = side[1] if side and action in DIRECTED else ""
    if direction and action == "enter":  # it is said where it comes from
        direction = OPPOSITE[direction]
    return Claim(things[0] if things else None, action, direction, things[1] if len(things) > 1 else None)


def _things(text: str) -> tuple[Described, ...]:
    return tuple(Described(m[3], m[4], m[1] or "", m[2] or "") for m in NOUN.finditer(text))


def _truth(event: Event, level: str, detailed: bool) -> Claim:
    if level == "classify":
        return Claim(_named(event.actor, False), event.action)
    other = _named(event.other, detailed) if event.other else None
    return Claim(_named(event.actor, detailed), event.action, event.direction, other)


def _named(thing: Thing, detailed: bool) -> Described:
    size = SIZES[thing.size] if detailed else ""
    texture = TEXTURES[thing.texture] if detailed and thing.texture else ""
    return Described(COLOURS[thing.colour], SHAPES[thing.shape], size, texture)
