"""The demo's run: one source through the runtime's public API, every told event noted, every frame drawn on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_apps.demo.lettering import Colour, text_width, wrapped, write
from vljepa_apps.demo.timeline import Bar, Mark, Thumbnails
from vljepa_apps.demo.truth import Truth, compare
from vljepa_apps.watched import Watched
from vljepa_runtime.sinks import JsonlSink, VideoSink
from vljepa_runtime.sources import Frame

if TYPE_CHECKING:
    from vljepa_runtime import Event, Model, SessionStats
    from vljepa_runtime.selection import Policy
    from vljepa_runtime.sources import Source

__all__ = ["STRIDE_S", "Told", "Viewing", "enlarged", "watch"]

UInt8 = npt.NDArray[np.uint8]

STRIDE_S = 1.0
SHORT_SIDE = 640  # smaller videos are drawn this large, or the words on them could not be read
WHITE: Colour = (255, 255, 255)
PALE: Colour = (190, 200, 210)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One decoded event.

    Attributes:
        start_s: Where its first window begins.
        end_s: Where the last window known at its decoding ends.
        written_s: Time of the stream at which the Y-decoder wrote it.
        text: What it wrote.
        true_text: What was going on then; empty without truth.
        mark: How well the two agree.
    """

    start_s: float
    end_s: float
    written_s: float
    text: str
    true_text: str = ""
    mark: Mark = Mark.NONE

    @property
    def time_s(self) -> float:
        """The moment it stands for."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """All that a run gave.

    Attributes:
        told: Decoded events in order.
        seconds: Length of what was seen.
        stats: The session's counts and times.
        pictures: Small pictures of it.
        interrupted: Ended by Ctrl-C.
    """

    told: tuple[Told, ...]
    seconds: float
    stats: SessionStats
    pictures: Thumbnails
    interrupted: bool

    @property
    def bars(self) -> tuple[Bar, ...]:
        """For the timeline: what was told last holds until the next begins."""
        starts = [0.0, *(told.start_s for told in self.told[1:]), self.seconds]
        return tuple(
            Bar(start_s=begin, end_s=max(begin, end), text=told.text, mark=told.mark)
            for told, begin, end in zip(self.told, starts, starts[1:])
        )


def watch(
    model: Model,
    source: Source,
    *,
    truth: Truth | None,
    select: Policy,
    video: Path,
    events: Path,
    limit_s: float | None = None,
    on_told: Callable[[Told], None] = lambda told: None,
    on_time: Callable[[float], None] = lambda time_s: None,
) -> Viewing:
    """Run a source to its end.

    Args:
        model: With a Y-decoder.
        source: Is closed at the end.
        truth: What it shows, when known.
        select: When to decode.
        video: The annotated video; replaced.
        events: The events as JSON lines; replaced.
        limit_s: Stop after this much of the stream.
        on_told: Called with each decoded event.
        on_time: Called with the time of each frame.
    """
    told: list[Told] = []
    interrupted = False
    with ExitStack() as stack:
        jsonl = stack.enter_context(JsonlSink(events, overwrite=True))
        session = stack.enter_context(model.session(select=select, stride_s=STRIDE_S, decode="always"))
        sink = stack.enter_context(VideoSink(video, overwrite=True))
        screen = _Screen(sink, truth=truth, on_time=on_time)
        try:
            for event in session.run(Watched(source, on_frame=screen.show, max_seconds=limit_s)):
                jsonl.write(event)
                sink.write(event)
                if event.kind == "segment":
                    told.append(_judged(event, screen.now_s, truth))
                    screen.decodings = len(told)
                    on_told(told[-1])
        except KeyboardInterrupt:
            interrupted = True
        stats = session.stats
    return Viewing(
        told=tuple(told),
        seconds=round(screen.end_s, 3),
        stats=stats,
        pictures=screen.pictures,
        interrupted=interrupted,
    )


def _judged(event: Event, now_s: float, truth: Truth | None) -> Told:
    told = Told(start_s=event.start_s, end_s=event.end_s, written_s=now_s, text=event.text)
    if truth is None:
        return told
    true_text = truth.at(told.time_s)
    return replace(told, true_text=true_text, mark=compare(told.text, true_text))


class _Screen:
    """Takes every frame: keeps the time and small pictures, and draws the truth and a count on the video."""

    def __init__(
        self,
        sink: VideoSink,
        *,
        truth: Truth | None,
        on_time: Callable[[float], None],
    ) -> None:
        self.pictures = Thumbnails()
        self.now_s = self.end_s = 0.0
        self.decodings = 0
        self._sink = sink
        self._truth = truth
        self._on_time = on_time

    def show(self, frame: Frame) -> None:
        """Draw one frame and write it."""
        self.now_s = frame.time_s
        self.end_s = frame.time_s + (frame.duration_s or 0.0)
        self.pictures.offer(frame.image, frame.time_s)
        self._sink.write_frame(replace(frame, image=self._drawn(frame)))
        self._on_time(frame.time_s)

    def _drawn(self, frame: Frame) -> UInt8:
        canvas = enlarged(frame.image)
        size = max(14, round(min(canvas.shape[:2]) / 32))
        top = 0
        if self._truth is not None:
            top = _plate(canvas, "truth", self._truth.at(frame.time_s), 0, size)
        count = f"{self.decodings} decoding{'' if self.decodings == 1 else 's'}"
        _plate(canvas, count, "", top, size)
        return canvas


def _plate(canvas: UInt8, name: str, text: str, top: int, size: int) -> int:
    """Write on a darkened plate: over the whole width with a text, else as wide as the name, at the right.

    Returns:
        Where the plate ends, in pixels from the top.
    """
    margin, wide = round(size * 0.7), text_width(name, size=size)
    left = 0 if text else max(0, canvas.shape[1] - wide - 2 * margin)
    plate = canvas[top : top + 2 * size, left:]
    plate[:] = plate // 3
    baseline = top + round(size * 1.35)
    write(canvas, name, left + margin, baseline, size=size, colour=PALE)
    begin = left + margin + wide + size // 2
    for line in wrapped(text, canvas.shape[1] - margin - begin, size=size, lines=1):
        write(canvas, line, begin, baseline, size=size, colour=WHITE)
    return top + 2 * size


def enlarged(image: UInt8) -> UInt8:
    """A copy of an image (H, W, 3), scaled up until its short side has SHORT_SIDE pixels; never down."""
    short = min(image.shape[:2])
    if short >= SHORT_SIDE:
        return image.copy()
    scale = SHORT_SIDE / short
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
