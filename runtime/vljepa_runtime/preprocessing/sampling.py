"""Frames of any rate become windows of fixed length, at regular times, in bounded memory.

Knows nothing about where frames come from; times are those the frames carry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import number
from vljepa_runtime.preprocessing.patches import Clip, FittedFrame, fit_frame
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.sources.protocol import TOLERANCE_S, Frame, Hints, due_index, is_instant

__all__ = ["Window", "WindowSampler", "hints_for"]

UInt8 = npt.NDArray[np.uint8]
WAKE_S = 0.5  # a live source without pictures lets its consumer look at the clock so often


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """One window of a stream.

    Attributes:
        clip: The frames, fitted to the model's geometry.
        start_s: Time of the first sample.
        end_s: One sampling period after the last sample taken from the stream, or where the stream ends.
        index: 0, 1, 2, ... in the order of giving.
        unknown: Whether it shows nothing that the model knows; None before it was judged, and where nobody can.
        held: 0 where it shows several pictures. Else it shows one, `start_s` and `end_s` are that picture's
            time on show, and this many windows that show nothing else were made one.
        carried: Whether it kept the embedding of a window before, which shows the same.
    """

    clip: Clip
    start_s: float
    end_s: float
    index: int
    held: int = 0
    unknown: bool | None = None
    carried: bool = False


class WindowSampler:
    """Cuts a stream into windows of `pre.frames` samples at `pre.fps`, one every `stride_s`.

    Sampling instants are the first frame's time and every `1 / pre.fps` seconds after it. At each the frame on
    show is taken. So a fast source is thinned out, a slow or variable one is held, and a frame is resized once
    however often it is used. The sampler keeps `pre.frames` fitted samples and one raw frame, whatever the
    length of the stream.

    A frame that says how long it is on show (`Frame.duration_s`) is held that long. Windows that show nothing
    else are given as one, so a hole of hours costs one window; where windows touch or overlap, a frame held for
    the length of a window gets one of its own wherever it falls between the strides.

    A pause longer than `max_gap_s` after a frame that does not say so, or time running backwards, ends a run: no
    window spans it. Each run gives at least one window (a short one repeats its last sample) and, when windows
    touch or overlap, a last one that ends with its last sample.

    Args:
        pre: The model's geometry.
        stride_s: Seconds between starts of windows; rounded to whole sampling periods, at least one.
        max_gap_s: The longest pause of a live source to fill by holding the last frame.

    Examples:
        >>> from vljepa_runtime import Preprocess, open_source
        >>> from vljepa_runtime.preprocessing import Window, WindowSampler
        >>> sampler = WindowSampler(Preprocess(frames=8, fps=4), stride_s=2)
        >>> windows: list[Window] = []
        >>> with open_source("clip.mp4") as source:
        ...     for frame in source:
        ...         windows.extend(sampler.push(frame))
        >>> windows.extend(sampler.flush())
        >>> [(window.start_s, window.end_s) for window in windows]
        [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]
    """

    def __init__(self, pre: Preprocess, stride_s: float = 1.0, *, max_gap_s: float = 60.0) -> None:
        stride_s = number(stride_s, "stride_s", above=0)
        max_gap_s = number(max_gap_s, "max_gap_s", above=0)
        self.pre = pre
        self.interval_s = 1 / pre.fps
        self.stride = max(1, round(stride_s * pre.fps))
        self._max_gap_s = max_gap_s
        self._samples: deque[FittedFrame] = deque(maxlen=pre.frames)
        self._current: Frame | None = None
        self._fitted: FittedFrame | None = None
        self._ready: Window | None = None  # complete, unless the stream ends before it
        self._origin_s = 0.0  # time of instant number 0
        self._next = 0  # number of the next sampling instant
        self._window_start = 0  # number of the instant at which the next window begins
        self._covered = 0  # instants before this one are in a window already given
        self._run_has_window = False
        self._count = 0

    @property
    def stride_s(self) -> float:
        """Seconds between windows after rounding."""
        return self.stride * self.interval_s

    def push(self, frame: Frame) -> Iterator[Window]:
        """Take the next frame and give every window that it completes.

        Args:
            frame: Any size; `frame.image` may be reused by the caller once the next frame is pushed.
        """
        if self._current is not None:
            if self._is_broken_by(frame):
                yield from self.flush()
            else:
                until = due_index(frame.time_s - self._origin_s, self.interval_s)
                yield from self._advance(self._current, until, self._end_s(self._current, frame.time_s))
        if self._current is None:
            self._origin_s = frame.time_s
            self._next = self._window_start = self._covered = 0
        self._current, self._fitted = frame, None
        if self._ready is not None and self._end_s(frame, frame.time_s) >= self._ready.end_s - TOLERANCE_S:
            yield from self._release()

    def flush(self) -> Iterator[Window]:
        """End of the stream: give what remains and start anew with the next frame."""
        if (frame := self._current) is None:
            return
        began, until = self._next, self._last_instant(frame)
        end_s = self._end_s(frame, self._instant_s(until))
        yield from self._advance(frame, until, end_s)
        unseen = self._next > self._covered
        if self._ready is not None:
            self._ready = replace(self._ready, end_s=min(self._ready.end_s, end_s) if unseen else end_s)
            yield from self._release()
        if not self._run_has_window or (unseen and self.stride <= self.pre.frames):
            first = self._next - len(self._samples)
            held = first >= began
            yield self._window(frame.time_s if held else self._instant_s(first), end_s, held=int(held))
        self._samples.clear()
        self._run_has_window = False
        self._current = self._fitted = None

    def _is_broken_by(self, frame: Frame) -> bool:
        assert self._current is not None
        pause_s = frame.time_s - self._current.time_s
        return pause_s < 0 or (self._current.duration_s is None and pause_s > self._max_gap_s)

    def _end_s(self, frame: Frame, otherwise_s: float) -> float:
        return otherwise_s if frame.duration_s is None else round(frame.time_s + frame.duration_s, 9)

    def _last_instant(self, frame: Frame) -> int:
        """Number of the instant after the last one that shows the last frame of a run.

        It begins at that instant, or is on show for half a sampling period after it: a few milliseconds at the
        end of a stream are no reason for a window more.
        """
        since_s = frame.time_s - self._origin_s
        until = self._next + (is_instant(since_s, self._next, self.interval_s) or not self._samples)
        if frame.duration_s is None:
            return until
        return max(until, due_index(since_s + frame.duration_s - self.interval_s / 2, self.interval_s))

    def _instant_s(self, number: int) -> float:
        return self._origin_s + number * self.interval_s

    def _release(self) -> Iterator[Window]:
        """Give the window that waits to see whether the stream goes on to its end."""
        ready, self._ready = self._ready, None
        if ready is not None:
            yield ready

    def _advance(self, frame: Frame, until: int, end_s: float) -> Iterator[Window]:
        """Take a frame, which is on show until `end_s`, for every instant before number `until`."""
        began, size = self._next, self.pre.frames
        own = False
        while self._next < until:
            if self._window_start >= began and until - self._window_start >= size:
                more = (until - self._window_start - size) // self.stride
                self._take(frame, self._window_start + more * self.stride + size)
                self._window_start += (more + 1) * self.stride
                own = True
                yield from self._release()
                yield self._window(frame.time_s, end_s, held=more + 1)
                self._covered = until
                continue
            self._take(frame, min(until, self._window_start + size))
            if self._next == self._window_start + size:
                yield from self._release()
                self._ready = self._window(self._instant_s(self._window_start), self._instant_s(self._next))
                self._window_start += self.stride
                if frame.duration_s is None:
                    yield from self._release()
        if not own and until - began >= size >= self.stride:
            yield from self._release()
            yield self._window(frame.time_s, end_s, held=1)

    def _take(self, frame: Frame, until: int) -> None:
        self._samples.extend([self._fit(frame)] * min(until - self._next, self.pre.frames))
        self._next = until

    def _fit(self, frame: Frame) -> FittedFrame:
        if self._fitted is None:
            made = frame.prepared
            if not isinstance(made, FittedFrame) or made.preprocess != self.pre:
                made = _fitted(frame.image, self.pre)
            self._fitted = made
        return self._fitted

    def _window(self, start_s: float, end_s: float, *, held: int = 0) -> Window:
        samples = list(self._samples)
        samples += [samples[-1]] * (self.pre.frames - len(samples))
        self._covered = self._next
        self._run_has_window = True
        self._count += 1
        return Window(
            clip=Clip.of(samples, self.pre),
            start_s=start_s,
            end_s=end_s,
            index=self._count - 1,
            held=held,
        )


def _fitted(image: UInt8, pre: Preprocess) -> FittedFrame:
    return FittedFrame(fit_frame(image, pre), pre)


def hints_for(pre: Preprocess) -> Hints:
    """What a window sampler will use of a source: `source.frames(hints_for(model.preprocess))`.

    The windows stay exactly the same; only unused frames are left unconverted, which took 40 s of 640x360 H.264
    from 0.86 to 0.69 s of CPU time on two server cores, decoding included. `short_side` is left out: it changes
    pixels by one to three levels on average and saves nothing measurable once so few frames are converted. A file's
    frames are fitted by the thread that decodes them.

    Examples:
        >>> import vljepa_runtime as vj
        >>> pre = vj.Preprocess(frames=8, fps=2)
        >>> with vj.open_source("clip.mp4") as source:
        ...     frames = list(source.frames(vj.hints_for(pre)))
        >>> len(frames), vj.hints_for(pre).min_interval_s  # of 48 at 8 a second; and the last
        (13, 0.5)
    """
    return Hints(min_interval_s=1 / pre.fps, wake_s=WAKE_S, prepare=partial(_fitted, pre=pre))
