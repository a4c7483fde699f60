"""Pictures that a reference carries: of odd sizes, not square, at times of their own, the same on every machine."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_data.world import EventStream, Split, make_stream
from vljepa_evaluation.tasks.protocol import UInt8
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing import Preprocess, Window, WindowSampler
from vljepa_runtime.sources import EVERY_FRAME, Frame, Hints, Source

__all__ = ["Footage", "draw_footage", "footage_labels", "footage_windows"]

BITS = 5  # kept of a colour: what noise there is in the others would be nine tenths of the file
MAX_FRAMES, MAX_SIDE = 512, 1024
MAX_BYTES = 16 << 20  # of pixels, unpacked
FPS = 5.0  # of no model here, so that pictures are held and left out
SECONDS = 8.0
SHAPES = ((101, 131), (121, 77))  # height and width of each piece
FIRST_SEED = 7_000
LEFT_OUT = 0.25  # share of the frames, so that times are not regular
LATE_S = 0.083  # the first frame comes after the beginning of the tracks, as in files with an edit list
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footage:
    """Recorded pictures.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        times_s: (T + 1,) when each appears, and when the last one is no longer shown.
    """

    frames: UInt8
    times_s: Float64

    def __post_init__(self) -> None:
        count, *sides, channels = self.frames.shape if self.frames.ndim == 4 else (0, 0, 0)
        if not 0 < count <= MAX_FRAMES or channels != 3 or not all(0 < side <= MAX_SIDE for side in sides):
            raise InputError(f"expected frames (T, H, W, 3) of a recording, got {self.frames.shape}")
        if self.times_s.shape != (count + 1,) or not (np.diff(self.times_s) > 0).all():
            raise InputError(f"expected {count + 1} rising times, got {self.times_s.shape}")

    def source(self) -> Source:
        """As a stored video is read."""
        return _FootageSource(self)

    def packed(self) -> npt.NDArray[np.uint8]:
        """The pixels as one row of bytes, deflated."""
        return np.frombuffer(zlib.compress(_kept(self.frames).tobytes(), 9), np.uint8)

    @classmethod
    def unpacked(cls, data: npt.NDArray[Any], shape: tuple[int, ...], times_s: npt.NDArray[Any]) -> Footage:
        """Read what `packed` gave.

        Raises:
            InputError: it is something else, or of another size than `shape`.
        """
        size = int(np.prod([min(side, 1 << 16) for side in shape], dtype=np.float64))
        if len(shape) != 4 or not 0 < size <= MAX_BYTES:
            raise InputError(f"expected frames (T, H, W, 3) of a recording, got {shape}")
        inflate = zlib.decompressobj()
        try:
            pixels = inflate.decompress(data.astype(np.uint8).tobytes(), size + 1)
        except zlib.error as error:
            raise InputError(f"expected deflated pixels, got {error}") from error
        if len(pixels) != size:
            raise InputError(f"expected {size} bytes of pixels, got {len(pixels)} or more")
        return cls(frames=_restored(np.frombuffer(pixels, np.uint8).reshape(shape)), times_s=times_s)


class _FootageSource(Source):
    """Gives every frame, with its time on show."""

    name = "recorded footage"

    def __init__(self, footage: Footage) -> None:
        self._footage = footage

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Frame]:
        """See `Source`."""
        times_s = self._footage.times_s.tolist()
        for index, (image, start_s, end_s) in enumerate(zip(self._footage.frames, times_s, times_s[1:])):
            yield Frame(image=image, time_s=start_s, index=index, duration_s=end_s - start_s)

    def close(self) -> None:
        """Nothing is held."""


@lru_cache(maxsize=1)
def draw_footage() -> tuple[Footage, ...]:
    """What is recorded into a reference: streams of the world, cut and thinned out.

    Examples:
        >>> from vljepa_evaluation.gates import Footage, draw_footage
        >>> landscape: Footage = draw_footage()[0]
        >>> landscape.frames.shape[1:], len(landscape.times_s) - len(landscape.frames)
        ((101, 131, 3), 1)
        >>> [item.time_s for item in landscape.source()][:2]
        [0.083, 0.283]
    """
    return tuple(_draw(FIRST_SEED + index, *shape) for index, shape in enumerate(SHAPES))


def footage_labels() -> tuple[str, ...]:
    """What happens in it, as brief captions."""
    events = [event for index in range(len(SHAPES)) for event in _stream(FIRST_SEED + index, 1).events]
    return tuple(dict.fromkeys(event.brief for event in events))


def footage_windows(footage: Footage, pre: Preprocess, stride_s: float) -> Iterator[Window]:
    """The windows that a session cuts from it."""
    sampler = WindowSampler(pre, stride_s)
    for frame in _FootageSource(footage).frames():
        yield from sampler.push(frame)
    yield from sampler.flush()


def _stream(seed: int, side: int) -> EventStream:
    return make_stream(seed, Split.TEST, minutes=SECONDS / 60, size=side, fps=FPS)


def _draw(seed: int, height: int, width: int) -> Footage:
    side = max(height, width)
    stream = _stream(seed, 2 * side)
    top, left = (side - height) // 2, (side - width) // 2
    rng = np.random.default_rng([13, seed])
    frames: list[UInt8] = []
    times_s: list[float] = []
    for index, image in enumerate(stream):
        if not frames or rng.random() >= LEFT_OUT:
            small = image.reshape(side, 2, side, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
            frames.append(small[top : top + height, left : left + width])
            times_s.append(round(LATE_S + index / FPS, 3))
    times_s.append(round(LATE_S + len(stream) / FPS, 3))
    return Footage(frames=_restored(_kept(np.stack(frames))), times_s=np.array(times_s))


def _kept(frames: UInt8) -> UInt8:
    return np.asarray(frames >> (8 - BITS), np.uint8)


def _restored(kept: UInt8) -> UInt8:
    """Colours of 8 bits, black and white among them."""
    return np.asarray(kept << (8 - BITS) | kept >> (2 * BITS - 8), np.uint8)
