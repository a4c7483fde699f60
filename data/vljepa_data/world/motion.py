"""How each action moves its objects: poses as functions of time, in units of the frame's side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_data.world.vocabulary import Event, Thing

__all__ = ["Pose", "Track", "radius", "stage_event"]

Float = npt.NDArray[np.float32]
RADII = ((0.125, 0.15), (0.19, 0.225))
TWO_PI = 2 * np.pi


@dataclass(frozen=True, slots=True)
class Pose:
    """Where one object is at T instants: centre (T,), scale (T,) and angle in radians (T,)."""

    x: Float
    y: Float
    scale: Float
    angle: Float


@dataclass(frozen=True, slots=True)
class Track:
    """One object, its radius (in frame sides), its poses, and whether it is drawn before the others (behind)."""

    thing: Thing
    radius: float
    pose: Pose
    action: str
    direction: str = ""
    behind: bool = False


def radius(thing: Thing, rng: np.random.Generator) -> float:
    """Draw a radius for the object's size class; the two classes do not overlap."""
    return float(rng.uniform(*RADII[thing.size]))


def still(x: float, y: float, u: Float, angle: float = 0.0) -> Pose:
    """A pose that does not change."""
    one = np.ones_like(u)
    return Pose(x * one, y * one, one, angle * one)


def ease(u: Float) -> Float:
    """Smooth 0..1 ramp, clipped outside."""
    c = np.clip(u, 0, 1)
    return np.asarray(c * c * (3 - 2 * c), np.float32)


def hop(u: Float, height: float) -> Float:
    """Height above the ground of one hop during u in 0..1."""
    c = np.clip(u, 0, 1)
    return np.asarray(4 * height * c * (1 - c), np.float32)


def stage_event(
    event: Event, u: Float, ground: float, rng: np.random.Generator, *, place: float | None = None
) -> tuple[Track, ...]:
    """Turn an event into moving objects.

    Args:
        event: Who does what, and where to.
        u: (T,) instants; the action takes place in 0..1 and holds its first or last pose outside.
        ground: Height of the ground line, 0 at the top, 1 at the bottom.
        rng: Draws radii, places and speeds.
        place: Where the actor stands (x); drawn when None.

    Returns:
        One track for the actor and, for paired actions, one for the other object.
    """
    r = radius(event.actor, rng)
    sign = -1.0 if event.direction == "left" else 1.0
    x = float(rng.uniform(0.3, 0.7)) if place is None else place
    y = ground - r
    angle = float(rng.uniform(-0.2, 0.2))
    moves = {
        "enter": _enter, "leave": _leave, "roll": _roll, "bounce": _bounce, "jump": _jump,
        "fall": _fall, "turn": _turn, "grow": _grow, "stay": _stay,
    }  # fmt: skip
    if event.other is None:
        pose = moves[event.action](u, x, y, r, sign, angle, rng)
        return (Track(event.actor, r, pose, event.action, event.direction),)
    paired = {"collide": _collide, "pass": _pass, "stack": _stack}
    pose, other_pose, other_r = paired[event.action](u, r, ground, sign, angle, event.other, rng)
    actor = Track(event.actor, r, pose, event.action, event.direction, behind=event.action == "pass")
    return actor, Track(event.other, other_r, other_pose, "other")


def _stay(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    return still(x, y, u, angle)


def _enter(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    outside = -r * 1.3 if sign > 0 else 1 + r * 1.3
    way = ease(u / rng.uniform(0.65, 0.85))
    return Pose(outside + (x - outside) * way, *_rest(u, y, angle))


def _leave(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    outside = 1 + r * 1.3 if sign > 0 else -r * 1.3
    late = rng.uniform(0.15, 0.35)
    return Pose(x + (outside - x) * ease((u - late) / (0.95 - late)), *_rest(u, y, angle))


def _roll(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    length = rng.uniform(0.4, 0.55)
    start = 0.5 - sign * length / 2 + rng.uniform(-0.08, 0.08)
    way = sign * length * np.clip(u, 0, 1).astype(np.float32)
    return Pose(start + way, np.full_like(u, y), np.ones_like(u), way / r)


def _bounce(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    hops, height = rng.uniform(2.6, 3.4), rng.uniform(0.2, 0.3)
    inside = np.clip(u, 0, 1)
    up = hop((inside * hops + rng.uniform(0, 1)) % 1.0, height) * ((u > 0) & (u < 1))
    return Pose(np.full_like(u, x), y - up, np.ones_like(u), np.full_like(u, angle))


def _jump(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    start, length = rng.uniform(0.1, 0.3), rng.uniform(0.5, 0.6)
    up = hop((u - start) / length, min(rng.uniform(0.3, 0.42), y - r))
    return Pose(np.full_like(u, x), y - up, np.ones_like(u), np.full_like(u, angle))


def _fall(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    top, end = -r * 1.1, rng.uniform(0.6, 0.8)
    way = np.clip(u / end, 0, 1) ** 1.7
    return Pose(
        np.full_like(u, x),
        (top + (y - top) * way).astype(np.float32),
        np.ones_like(u),
        np.full_like(u, angle),
    )


def _turn(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    turns = rng.uniform(0.6, 1.0) * (1 if rng.random() < 0.5 else -1)
    spin = angle + TWO_PI * turns * np.clip(u, 0, 1)
    return Pose(np.full_like(u, x), np.full_like(u, y), np.ones_like(u), spin.astype(np.float32))


def _grow(
    u: Float, x: float, y: float, r: float, sign: float, angle: float, rng: np.random.Generator
) -> Pose:
    small = rng.uniform(0.4, 0.5)
    scale = small + (1 - small) * ease(u / 0.95)
    return Pose(np.full_like(u, x), (y + r * (1 - scale)).astype(np.float32), scale, np.full_like(u, angle))


def _rest(u: Float, y: float, angle: float) -> tuple[Float, Float, Float]:
    one = np.ones_like(u)
    return y * one, one, angle * one


def _collide(
    u: Float, r: float, ground: float, sign: float, angle: float, other: Thing, rng: np.random.Generator
) -> tuple[Pose, Pose, float]:
    r2 = radius(other, rng)
    x2 = 0.5 + sign * rng.uniform(0.12, 0.2)
    touch = x2 - sign * (r + r2) * 0.9
    outside = -r * 0.5 if sign > 0 else 1 + r * 0.5
    hit = rng.uniform(0.45, 0.6)
    before = np.clip(u / hit, 0, 1)
    after = ease((u - hit) / (1 - hit))
    x = outside + (touch - outside) * before - sign * 0.14 * after
    actor = Pose(x.astype(np.float32), *_rest(u, ground - r, angle))
    return actor, Pose((x2 + sign * 0.1 * after).astype(np.float32), *_rest(u, ground - r2, 0.0)), r2


def _pass(
    u: Float, r: float, ground: float, sign: float, angle: float, other: Thing, rng: np.random.Generator
) -> tuple[Pose, Pose, float]:
    r2 = max(radius(other, rng), 0.19)
    x2 = rng.uniform(0.44, 0.56)
    span = rng.uniform(0.36, 0.42)
    way = np.clip(u, 0, 1)
    x = (x2 + sign * span * (2 * way - 1)).astype(np.float32)
    actor = Pose(x, *_rest(u, ground - max(r, r2 * 0.9), angle))
    return actor, still(x2, ground - r2, u), r2


def _stack(
    u: Float, r: float, ground: float, sign: float, angle: float, other: Thing, rng: np.random.Generator
) -> tuple[Pose, Pose, float]:
    r2 = radius(other, rng)
    x2 = rng.uniform(0.35, 0.65)
    start_x = x2 + (0.3 if x2 < 0.5 else -0.3)
    top = ground - 2 * r2 - r * 0.9
    across, down = ease(u / 0.5), ease((u - 0.45) / 0.35)
    x = start_x + (x2 - start_x) * across
    y = max(top - 0.22, r * 0.6) + (top - max(top - 0.22, r * 0.6)) * down
    return (
        Pose(x.astype(np.float32), y.astype(np.float32), np.ones_like(u), angle * (1 - down)),
        still(x2, ground - r2, u),
        r2,
    )
