"""Long streams of events with exact times: what a fixed camera would see, rendered frame by frame in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_data.world.clips import ASIDE_RADII, ASIDES, draw_event, draw_thing, tone
from vljepa_data.world.hands import Hand, HandBank, hand_path
from vljepa_data.world.language import brief_caption, caption, hand_caption, meaning
from vljepa_data.world.motion import Float, Track, stage_event, still
from vljepa_data.world.render import (
    Camera,
    background,
    composite,
    degrade,
    draw_camera,
    render_tracks,
    sprite,
)
from vljepa_data.world.vocabulary import ACTIONS, PAIRED, Event, Split, Thing

__all__ = ["EventStream", "StreamEvent", "make_stream"]

UInt8 = npt.NDArray[np.uint8]
WINDOW_S = 2.0
"""Length of the clips that a model is trained on; one-off actions take about this long."""
LASTING = frozenset({"stay", "bounce", "turn"})
"""Actions that may go on for longer than a window."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An annotation of a stream.

    Attributes:
        start_s: When it begins, in seconds from the start of the stream.
        end_s: When it ends.
        text: Canonical caption.
        brief: Canonical brief caption (shape, colour, action).
        key: Meaning of `text`; see `language.meaning`.
    """

    start_s: float
    end_s: float
    text: str
    brief: str
    key: int


@dataclass(frozen=True, slots=True)
class _Act:
    """One event with everything needed to draw it."""

    event: Event | None
    hand: Hand | None
    aside: tuple[Thing, ...]
    start_s: float
    end_s: float
    scene: int
    seed: int

    @property
    def annotation(self) -> StreamEvent:
        if self.event is not None:
            text, brief = caption([self.event], "caption"), brief_caption(self.event.actor, self.event.action)
        else:
            digit = self.hand.digit if self.hand else 0
            text = brief = hand_caption([digit])
        return StreamEvent(self.start_s, self.end_s, text, brief, meaning(text))


@dataclass(frozen=True, slots=True)
class EventStream:
    """A stream: iterate it for its frames (size, size, 3) uint8 RGB; the same every time.

    Attributes:
        events: Annotations in order; they cover the stream without gaps.
        fps: Frames per second.
        size: Side of the frames in pixels.
        seconds: Length of the stream.
    """

    acts: tuple[_Act, ...]
    fps: float
    size: int
    seconds: float
    seed: int

    @property
    def events(self) -> tuple[StreamEvent, ...]:
        """What happens and when."""
        return tuple(act.annotation for act in self.acts)

    def __len__(self) -> int:
        return round(self.seconds * self.fps)

    def __iter__(self) -> Iterator[UInt8]:
        """Render frame after frame."""
        index = 0
        for act in self.acts:
            last = min(round(act.end_s * self.fps), len(self))
            times = np.arange(index, last) / self.fps - act.start_s
            yield from _render(act, times.astype(np.float32), self.size, self.seed)
            index = last


def make_stream(
    seed: int,
    split: Split = Split.TEST,
    *,
    minutes: float,
    size: int = 96,
    fps: float = 8.0,
    hands: HandBank | None = None,
) -> EventStream:
    """Plan a stream; nothing is rendered until it is iterated.

    Args:
        seed: The same seed and split give the same stream.
        split: Which combinations and which random streams it draws from.
        minutes: Length of the stream.
        size: Side of the frames in pixels.
        fps: Frames per second.
        hands: Photographs for occasional hand signs.

    Returns:
        The stream with its annotations. Scenery and camera change every few events, as cuts between cameras do.

    Examples:
        >>> from vljepa_data.world import make_stream
        >>> stream = make_stream(3, minutes=0.1)
        >>> stream
        EventStream(acts=..., fps=8.0, size=96, seconds=6.0, seed=3)
        >>> stream.events[0]
        StreamEvent(start_s=0.0, end_s=3.437, text='a white box bounces', brief='a white box bounces', key=...)
        >>> len(stream), next(iter(stream)).shape
        (48, (96, 96, 3))
    """
    rng = np.random.default_rng([100 + split.stream, seed])
    seconds = minutes * 60
    acts: list[_Act] = []
    now, scene, left_in_scene = 0.0, 0, int(rng.integers(3, 7))
    while now < seconds:
        event, hand, length, aside = _plan(rng, split, hands)
        end = min(now + length, seconds)
        acts.append(_Act(event, hand, aside, round(now, 3), round(end, 3), scene, int(rng.integers(1 << 31))))
        now, left_in_scene = round(end, 3), left_in_scene - 1
        if left_in_scene == 0:
            scene, left_in_scene = scene + 1, int(rng.integers(3, 7))
    return EventStream(tuple(acts), fps, size, seconds, seed)


def _plan(
    rng: np.random.Generator, split: Split, hands: HandBank | None
) -> tuple[Event | None, Hand | None, float, tuple[Thing, ...]]:
    if hands is not None and rng.random() < 0.12:
        return None, hands.draw(int(rng.integers(10)), rng), float(rng.uniform(3, 7)), ()
    used: list[Thing] = []
    event = draw_event(rng, split, used, ACTIONS)
    spare = int(rng.integers(0, 3 - (event.action in PAIRED)))
    aside = tuple(draw_thing(rng, used) for _ in range(spare))
    lasting = event.action in LASTING
    length = rng.uniform(3, 12) if lasting else rng.uniform(2.4, 4.0)
    return event, None, float(length), aside


def _render(act: _Act, times: Float, size: int, seed: int) -> Iterator[UInt8]:
    scene_rng = np.random.default_rng([seed, 17, act.scene])
    ground = float(scene_rng.uniform(0.74, 0.86))
    scenery = background(size, ground, scene_rng)
    camera = draw_camera(1, scene_rng)
    rng = np.random.default_rng(act.seed)
    length = act.end_s - act.start_s
    if act.event is None:
        yield from _render_hand(act, scenery, camera, times / length, rng)
        return
    u = times / WINDOW_S if act.event.action in LASTING else times / length
    tracks = _tracks(act, u, length, ground, rng)
    pictures = [sprite(track.thing, max(8, round(2.2 * track.radius * size)), rng) for track in tracks]
    still_camera = np.zeros(2, np.float32)
    for step in range(len(times)):
        yield degrade(render_tracks(scenery, tracks, pictures, step, still_camera), camera, 0, rng)


def _tracks(act: _Act, u: Float, length: float, ground: float, rng: np.random.Generator) -> tuple[Track, ...]:
    if act.event is None:
        return ()
    if act.event.action in LASTING:
        u = np.asarray(u % 1.0, np.float32) if act.event.action != "turn" else _to_and_fro(u)
    tracks = list(stage_event(act.event, u, ground, rng))
    for thing, where in zip(act.aside, rng.permutation(3), strict=False):
        x, y = ASIDES[where]
        tracks.append(Track(thing, float(rng.uniform(*ASIDE_RADII)), still(x, y, u), "stay", behind=True))
    return tuple(tracks)


def _to_and_fro(u: Float) -> Float:
    """0..1 and back again, so that a long turn never jumps."""
    return np.asarray(1 - np.abs(u % 2.0 - 1), np.float32)


def _render_hand(
    act: _Act, scenery: UInt8, camera: Camera, u: Float, rng: np.random.Generator
) -> Iterator[UInt8]:
    if act.hand is None:
        return
    x, y = hand_path(u, rng, sway=0.002)
    half = float(rng.uniform(0.36, 0.46))
    picture = tone(act.hand.picture, round(2.1 * half * scenery.shape[0]), 1.0)
    for step in range(len(u)):
        frame = scenery.copy()
        composite(frame, picture, float(x[step]) * len(frame), float(y[step]) * len(frame), half * len(frame))
        yield degrade(frame, camera, 0, rng)
