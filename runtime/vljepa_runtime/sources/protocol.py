"""What a source of frames is: the frames, the remarks it makes in between, and the hints it may use.

Nothing here opens or decodes anything; the modules beside this one do.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import instance, number, whole
from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_runtime.sources.ring.packet_ring import PacketRing

__all__ = [
    "DEFAULT_RATE", "EVERY_FRAME", "TOLERANCE_S", "Announced", "Frame", "Hints", "Item", "Source", "SourceStatus",
    "StatusKind", "due_index", "is_instant",
]  # fmt: skip

UInt8 = npt.NDArray[np.uint8]
StatusKind = Literal["connected", "reconnecting", "warning", "waiting", "frozen", "black", "restored"]

DEFAULT_RATE = 25.0  # pictures a second, where nothing tells
TOLERANCE_S = 1e-3  # containers such as Matroska round times to a millisecond


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One upright picture. It is on show from `time_s` until the next one's, the last one for its own duration.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        time_s: Seconds since the stream began, as a player counts them: the start of all tracks of a file, so
            a video track that starts late has its first frame late; the first picture of a live source.
            Never goes back.
        index: Position in the stream, counting frames that were dropped or left unconverted.
        duration_s: How long it is on show: until the stream's next picture (given or left out by `Hints`), the
            last one for its own duration. 0 where a later picture has the same time; None where the end is not
            known when the picture is given (live sources).
        prepared: What `Hints.prepare` made of this image; None where the source did not call it, and of a copy
            (`dataclasses.replace`), whose image may be another.
    """

    image: UInt8
    time_s: float
    index: int
    duration_s: float | None = None
    prepared: object = field(default=None, init=False)

    def __post_init__(self) -> None:
        image = self.image
        instance(image, "the image of a frame", np.ndarray)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise InputError(f"expected an image (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
        number(self.time_s, "the time of a frame")
        if self.duration_s is not None:
            number(self.duration_s, "how long a frame is on show", least=0)

    def prepare(self, make: Callable[[UInt8], object]) -> None:
        """Keep what is made of the image, once, before anybody else has the frame."""
        object.__setattr__(self, "prepared", make(self.image))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """A remark of a source between two frames; its message never holds a password.

    `waiting` only comes where `Hints.wake_s` asks for it, and is nothing to tell people.

    Attributes:
        kind: What happened.
        message: For people.
        attempt: With `reconnecting`, how often it was tried since it was lost.
        wait_s: With `reconnecting`, seconds until it is tried again.
    """

    kind: StatusKind
    message: str
    attempt: int = 0
    wait_s: float = 0.0


Item = Frame | SourceStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the consumer will use of a source, so that the rest can be left undone; see `Source.frames`.

    Attributes:
        min_interval_s: Only the frames on show at the first frame's time and each multiple of this after it are
            wanted. A file then gives exactly the frames that a sampler at this interval would pick, and its
            last one; a live source gives at most four times as many. None: every frame.
        short_side: Pictures may be shrunk until their shorter side has this many pixels. None: full size.
        wanted: Asked in order for every picture, with its `Frame.index`, `time_s` and `duration_s`, whether it is
            wanted; instead of `min_interval_s`. A source need not ask. May be called from another thread.
        wake_s: A live source shall say `waiting` when it has had nothing for so long, so that its consumer can look
            at the clock. None: it waits in silence.
        prepare: What the consumer makes of each image that it wants, for `Frame.prepared`. A source that reads ahead
            calls it from its own thread, so that the consumer need not wait for it; others need not.
    """

    min_interval_s: float | None = None
    short_side: int | None = None
    wanted: Callable[[int, float, float | None], bool] | None = None
    wake_s: float | None = None
    prepare: Callable[[UInt8], object] | None = None

    def __post_init__(self) -> None:
        if self.min_interval_s is not None:
            number(self.min_interval_s, "min_interval_s", above=0)
        if self.short_side is not None:
            whole(self.short_side, "short_side", least=1)
        for name in ("wanted", "prepare"):
            if (value := getattr(self, name)) is not None and not callable(value):
                raise InputError(f"expected {name} as a function or None, got {type(value).__name__}")
        if self.wake_s is not None:
            number(self.wake_s, "wake_s", above=0)


EVERY_FRAME = Hints()


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a stored source says of itself before it is read, true or not: `frames` pictures `step_s` apart."""

    frames: int
    step_s: float


class Source(Closing):
    """A stream of frames: read it once, then close it, or use it in a `with` block.

    A source of one's own derives from this, as below.

    Attributes:
        name: What the user opened, without credentials.
        live: True when frames are lost if nobody takes them in time.
        loop: True while it begins again at its end, and so has none.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.sources import EVERY_FRAME, Frame, Source, SourceStatus
        >>> class Dark(Source):
        ...     name = "dark"
        ...
        ...     def frames(self, hints=EVERY_FRAME):
        ...         yield SourceStatus(kind="connected", message="nobody is at home")
        ...         for index in range(3):
        ...             yield Frame(image=np.zeros((48, 64, 3), np.uint8), time_s=index / 25, index=index)
        ...
        ...     def close(self):
        ...         print("closed")
        >>> with Dark() as source:
        ...     [type(item).__name__ for item in source]
        ['SourceStatus', 'Frame', 'Frame', 'Frame']
        closed
    """

    name: str
    live: bool = False
    loop: bool = False

    @abstractmethod
    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """Frames in order, with remarks between them.

        Args:
            hints: What the consumer will use. A source that cannot leave out the rest gives all.

        Raises:
            SourceError: it cannot be read, or not any more.
        """

    def keep_packets(self, ring: PacketRing) -> None:
        """Have encoded packets put into a ring as they are read; asked for before `frames`.

        A source of raw pictures or stills has none and leaves the ring empty.
        """

    def announced(self) -> Announced | None:
        """What it says of its length, to be asked for before it is read; None where it says nothing."""
        return None

    def __iter__(self) -> Iterator[Item]:
        return self.frames()


def due_index(time_s: float, interval_s: float) -> int:
    """Number of the first sampling instant (a multiple of `interval_s`) at or after `time_s`.

    A frame that lasts from `a` to `b` is the one on show at the instants `due_index(a)` to
    `due_index(b) - 1`, all times counted from the first frame; sources and the window sampler share this
    rule, so they agree on every frame.
    """
    return math.ceil((time_s - _tolerance(interval_s)) / interval_s)


def is_instant(time_s: float, number: int, interval_s: float) -> bool:
    """Whether sampling instant `number` falls on `time_s`."""
    return abs(number * interval_s - time_s) <= _tolerance(interval_s)


def _tolerance(interval_s: float) -> float:
    return min(TOLERANCE_S, interval_s / 20)
