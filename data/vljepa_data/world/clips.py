"""Seeded clips of the world with their whole truth: what is on stage, what happens, and what covers each tubelet."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_data.world.hands import Hand, HandBank, hand_path
from vljepa_data.world.motion import Float, Track, stage_event, still
from vljepa_data.world.render import background, composite, degrade, draw_camera, render_tracks, sprite
from vljepa_data.world.vocabulary import (
    ACTIONS,
    COLOURS,
    DIRECTED,
    PAIRED,
    SHAPES,
    SWIFT,
    TEXTURES,
    Event,
    Split,
    Thing,
    is_held_out,
)  # fmt: skip

__all__ = ["Clip", "Kind", "draw_events", "make_clip"]

Kind = str
"""`single` (one event), `pair` (two events, one after the other) or `hand` (a hand shows digits)."""

FRAMES = 8
TRAIN_SHARES, OTHER_SHARES = (0.28, 0.36), (0.24, 0.18)  # of hands, where there are photographs, and of pairs
ASIDES = ((0.15, 0.17), (0.85, 0.17), (0.15, 0.47))
ASIDE_RADII = (0.12, 0.145)


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip and its truth.

    Attributes:
        frames: (T, S, S, 3) uint8 RGB.
        events: What happens, in order; empty for hands.
        aside: Objects that only stand by.
        digits: What a hand shows, in order; empty otherwise.
        tracks: Where everything is at each frame; empty for hands.
        hand: Centre x (T,), y (T,) and half-width of a hand, and when its digit changes (frame index).
    """

    frames: npt.NDArray[np.uint8]
    events: tuple[Event, ...] = ()
    aside: tuple[Thing, ...] = ()
    digits: tuple[int, ...] = ()
    tracks: tuple[Track, ...] = ()
    hand: tuple[Float, Float, float, int] | None = field(default=None)

    @property
    def things(self) -> tuple[Thing, ...]:
        """Every object on stage: actors, their counterparts, and those standing by."""
        pairs = ((event.actor, event.other) for event in self.events)
        return tuple(thing for pair in pairs for thing in pair if thing) + self.aside


def make_clip(
    seed: int,
    split: Split,
    *,
    kind: Kind | None = None,
    hands: HandBank | None = None,
    size: int = 96,
    frames: int = FRAMES,
) -> Clip:
    """Make the clip of a seed.

    Args:
        seed: Any non-negative integer; the same seed and split give the same clip.
        split: TRAIN and TEST draw from the trained combinations, COMPOSITION from the held-out ones only.
        kind: Forces a kind; drawn when None (hands only when photographs are given). TRAIN draws more hands and pairs,
            which take longest to learn.
        hands: Photographs for `hand` clips.
        size: Side of the frames in pixels.
        frames: Frames over the two seconds of a window.

    Returns:
        The clip with its truth.

    Examples:
        >>> from vljepa_data.world import Split, make_clip
        >>> make_clip(10, Split.TEST, size=32)
        Clip(frames=array(...), events=(Event(actor=Thing(shape=...), action='grow', direction='', other=None),), ...)
    """
    rng = np.random.default_rng([split.stream, seed])
    drawn = rng.random()
    if kind is None:
        hand, pair = _shares(split)
        kind = "hand" if hands and drawn < hand else "pair" if drawn > 1 - pair else "single"
    wide = 0.3 if split is Split.TRAIN and rng.random() < 0.25 else 0.1
    rate = rng.uniform(0.85, 1.1)
    even = (np.arange(frames) + 0.5) / frames - 0.5
    u = np.asarray(even * rate + 0.5 + rng.uniform(-wide, wide), np.float32)
    ground = float(rng.uniform(0.74, 0.86))
    scenery = background(size, ground, rng)
    if kind == "hand":
        if hands is None:
            raise ValueError("hand clips need photographs: pass hands=HandBank.load(folder, split)")
        return _hand_clip(scenery, u, hands, rng)
    events, aside = _draw_pair(rng, split) if kind == "pair" else _draw_single(rng, split)
    tracks = _stage(events, aside, u, ground, rng)
    pictures = [sprite(track.thing, max(8, round(2.2 * track.radius * size)), rng) for track in tracks]
    camera = draw_camera(frames, rng)
    images = [render_tracks(scenery, tracks, pictures, i, camera.shake[i]) for i in range(frames)]
    clean = np.stack([degrade(image, camera, i, rng) for i, image in enumerate(images)])
    return Clip(clean, events, aside, tracks=tracks)


def draw_events(rng: np.random.Generator, split: Split) -> tuple[Event, ...]:
    """What might happen in a clip of a split, without the clip: one or two events, as often as clips have two.

    Args:
        rng: Draws them.
        split: TRAIN and TEST draw from the trained combinations, COMPOSITION from the held-out ones only.

    Examples:
        >>> import numpy as np
        >>> from vljepa_data.world import Split, caption, draw_events
        >>> caption(draw_events(np.random.default_rng(4), Split.TRAIN), "caption")
        'a blue moon enters from the right, then a purple box jumps'
    """
    _, pair = _shares(split)
    events, _ = (_draw_pair if rng.random() > 1 - pair else _draw_single)(rng, split)
    return events


def draw_thing(rng: np.random.Generator, used: list[Thing]) -> Thing:
    """Draw an object whose shape and colour are not on stage yet."""
    shapes = [s for s in range(len(SHAPES)) if s not in {t.shape for t in used}]
    colours = [c for c in range(len(COLOURS)) if c not in {t.colour for t in used}]
    shape, colour = shapes[int(rng.integers(len(shapes)))], colours[int(rng.integers(len(colours)))]
    texture = int(rng.choice(len(TEXTURES), p=[0.5, 0.25, 0.25]))
    thing = Thing(shape, colour, int(rng.integers(2)), texture)
    used.append(thing)
    return thing


def draw_event(rng: np.random.Generator, split: Split, used: list[Thing], pool: tuple[str, ...]) -> Event:
    """Draw an actor and an action that its split allows."""
    while True:
        trial = list(used)
        actor = draw_thing(rng, trial)
        action = pool[int(rng.integers(len(pool)))]
        if action == "turn" and SHAPES[actor.shape] in ("ball", "ring") and actor.texture == 0:
            actor = Thing(actor.shape, actor.colour, actor.size, 1)
            trial[-1] = actor
        if is_held_out(actor, action) == (split is Split.COMPOSITION):
            break
    used[:] = trial
    direction = ("left", "right")[int(rng.integers(2))] if action in DIRECTED else ""
    other = draw_thing(rng, used) if action in PAIRED else None
    return Event(actor, action, direction, other)


def _shares(split: Split) -> tuple[float, float]:
    return TRAIN_SHARES if split is Split.TRAIN else OTHER_SHARES


def _draw_single(rng: np.random.Generator, split: Split) -> tuple[tuple[Event, ...], tuple[Thing, ...]]:
    total = int(rng.integers(1, 5))
    used: list[Thing] = []
    pool = ACTIONS if total > 1 else tuple(a for a in ACTIONS if a not in PAIRED)
    event = draw_event(rng, split, used, pool)
    aside = tuple(draw_thing(rng, used) for _ in range(total - len(used)))
    return (event,), aside


def _draw_pair(rng: np.random.Generator, split: Split) -> tuple[tuple[Event, ...], tuple[Thing, ...]]:
    used: list[Thing] = []
    return tuple(draw_event(rng, split, used, SWIFT) for _ in range(2)), ()


def _stage(
    events: tuple[Event, ...], aside: tuple[Thing, ...], u: Float, ground: float, rng: np.random.Generator
) -> tuple[Track, ...]:
    if len(events) == 1:
        tracks = list(stage_event(events[0], u, ground, rng))
    else:
        places = (0.27, 0.73) if rng.random() < 0.5 else (0.73, 0.27)
        first = stage_event(events[0], u / 0.48, ground, rng, place=places[0])
        second = stage_event(events[1], (u - 0.52) / 0.48, ground, rng, place=places[1])
        tracks = [*first, *second]
    spots = [ASIDES[i] for i in rng.permutation(len(ASIDES))]
    for thing, (x, y) in zip(aside, spots, strict=False):
        r = float(rng.uniform(*ASIDE_RADII))
        tracks.append(Track(thing, r, still(x, y, u, float(rng.uniform(-0.2, 0.2))), "stay", behind=True))
    return tuple(tracks)


def _hand_clip(scenery: npt.NDArray[np.uint8], u: Float, hands: HandBank, rng: np.random.Generator) -> Clip:
    digits = [int(rng.integers(10))]
    if rng.random() < 0.25:
        digits.append(int((digits[0] + rng.integers(1, 10)) % 10))
    shown = [hands.draw(digit, rng) for digit in digits]
    return _show_hands(scenery, u, shown, rng)


def _show_hands(
    scenery: npt.NDArray[np.uint8], u: Float, shown: list[Hand], rng: np.random.Generator
) -> Clip:
    size, steps = scenery.shape[0], len(u)
    x, y = hand_path(u, rng)
    half = float(rng.uniform(0.36, 0.46))
    change = steps // 2 if len(shown) > 1 else steps
    camera = draw_camera(steps, rng)
    angle = float(rng.uniform(-0.25, 0.25))
    mirror = rng.random() < 0.5
    light = rng.uniform(0.8, 1.15)
    side = max(8, round(2.1 * half * size))
    shrunk = [tone(hand.picture[:, ::-1] if mirror else hand.picture, side, light) for hand in shown]
    frames = []
    for i in range(steps):
        picture = shrunk[min(i // max(change, 1), len(shown) - 1)]
        frame = scenery.copy()
        where = (float(x[i]) * size, float(y[i]) * size)
        composite(frame, picture, *where, half * size, angle)
        frames.append(degrade(frame, camera, i, rng))
    return Clip(np.stack(frames), digits=tuple(hand.digit for hand in shown), hand=(x, y, half, change))


def tone(picture: npt.NDArray[np.uint8], side: int, light: float) -> npt.NDArray[np.uint8]:
    """Scale a premultiplied RGBA picture to (side, side, 4) and change its brightness."""
    way = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(picture, (side, side), interpolation=way), np.uint8)
    toned = np.minimum(small[..., :3] * np.float32(light), small[..., 3:]).astype(np.uint8)
    return np.concatenate([toned, small[..., 3:]], axis=2)
