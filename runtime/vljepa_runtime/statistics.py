"""What a session did and where its time went: counted while it runs, given as plain numbers.

Knows stages and windows; no model, no source.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

__all__ = ["STAGES", "SessionStats", "StageStats", "StatsRecorder"]

Stage = Literal["capture", "fit", "encode", "predict", "select", "decode"]
STAGES: tuple[Stage, ...] = ("capture", "fit", "encode", "predict", "select", "decode")
PER_WINDOW: tuple[Stage, ...] = ("capture", "fit")  # gathered over frames until a window is complete
INFERENCE: tuple[Stage, ...] = ("encode", "predict", "decode")
SAMPLES_KEPT = 4096  # for percentiles; sums count everything
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStats:
    """Time of one stage: per window for capture and fit, per call for the others.

    Attributes:
        count: How often it ran.
        total_ms: Sum of all its times.
        p50_ms: Median of the last few thousand.
        p95_ms: 95th percentile of the same.
    """

    count: int
    total_ms: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """What a session did so far.

    Attributes:
        windows: Windows with an embedding; a held picture counts once, however long.
        queries: Queries asked of each window.
        decisions: Segments that selection gave.
        decodings: Times the Y-decoder ran.
        unknown: Segments that showed nothing the model knows.
        carried: Windows that were not encoded, since they showed the same as one before.
        tokens: Tubelets that were encoded, of all windows together.
        tokens_of: Tubelets that these windows have.
        media_s: Time of the stream covered.
        busy_s: Time the session worked, without waiting for a live source or for whoever takes the events.
        p50_ms: Median time of a window from capture to the last query's prediction.
        p95_ms: 95th percentile of the same.
        p99_ms: 99th percentile of the same.
        latency: Per stage: capture (waiting for a file's next frame, which a thread decodes and resizes meanwhile;
            not when live), fit (resizing what is not yet, cutting windows and patches), encode, predict, select,
            decode.
    """

    windows: int
    queries: int
    decisions: int
    decodings: int
    media_s: float
    busy_s: float
    p50_ms: float
    p95_ms: float
    latency: Mapping[str, StageStats]
    unknown: int = 0
    p99_ms: float = 0.0
    carried: int = 0
    tokens: int = 0
    tokens_of: int = 0

    @property
    def tokens_saved(self) -> float:
        """Share of the tubelets that were not encoded."""
        return 1 - self.tokens / self.tokens_of if self.tokens_of else 0.0

    @property
    def decodings_saved(self) -> float:
        """Share of the windows (times queries) that needed no decoding."""
        asked = self.windows * self.queries
        return 1 - self.decodings / asked if asked else 0.0

    @property
    def inference_s(self) -> float:
        """Time inside the graphs."""
        return sum(self.latency[stage].total_ms for stage in INFERENCE) / 1000

    @property
    def capture_s(self) -> float:
        """Time reading and decoding video."""
        return self.latency["capture"].total_ms / 1000

    @property
    def overhead(self) -> float:
        """Share of the busy time that is neither inference nor reading video."""
        return max(0.0, self.busy_s - self.inference_s - self.capture_s) / self.busy_s if self.busy_s else 0.0

    @property
    def overhead_with_capture(self) -> float:
        """Share of the busy time that is not inference."""
        return max(0.0, self.busy_s - self.inference_s) / self.busy_s if self.busy_s else 0.0


@dataclass(slots=True)
class Timer:
    """Time of one `with` block, known after it."""

    ms: float = 0.0


@dataclass(slots=True)
class StatsRecorder:
    """Counts and clocks of one session while it runs; `snapshot` gives them as they stand."""

    decisions: int = 0
    decodings: int = 0
    unknown: int = 0
    media_s: float = 0.0
    _windows: int = 0
    _carried: int = 0
    _tokens: int = 0
    _tokens_of: int = 0
    _busy_s: float = 0.0
    _waited_s: float = 0.0
    _windows_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))
    _counts: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    _totals_s: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    _samples_ms: dict[Stage, deque[float]] = field(
        default_factory=lambda: {stage: deque(maxlen=SAMPLES_KEPT) for stage in STAGES}
    )
    _open_s: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(PER_WINDOW, 0.0))

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[Timer]:
        """Time a `with` block of a stage."""
        timer = Timer()
        begun = time.perf_counter()
        try:
            yield timer
        finally:
            spent_s = time.perf_counter() - begun
            timer.ms = spent_s * 1000
            self._add(stage, spent_s)

    def took(self, stage: Stage, spent_ms: float) -> None:
        """Count a stage that somebody else timed."""
        self._add(stage, spent_ms / 1000)

    def each(self, stage: Stage | None, items: Iterator[Item]) -> Iterator[Item]:
        """The same items; the time they take counts as a stage, or as waiting where there is none."""
        while True:
            begun = time.perf_counter()
            item = next(items, None)
            spent_s = time.perf_counter() - begun
            if stage is None:
                self._waited_s += spent_s
            else:
                self._add(stage, spent_s)
            if item is None:
                return
            yield item

    def busy(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items; the time they take is work but for the waiting, the time their consumer takes is not."""
        while True:
            begun, waited_s = time.perf_counter(), self._waited_s
            item = next(items, None)
            self._busy_s += time.perf_counter() - begun - (self._waited_s - waited_s)
            if item is None:
                return
            yield item

    def complete_window(self) -> float:
        """A window is cut: close what capture and fit gathered for it; returns both together in ms."""
        for stage, spent_s in self._open_s.items():
            self._count(stage, spent_s)
        together_s = sum(self._open_s.values())
        self._open_s = dict.fromkeys(PER_WINDOW, 0.0)
        return together_s * 1000

    def told_window(self, end_s: float, *, tokens: int, of: int) -> None:
        """A window that ends there has its embeddings, for which so many of its tubelets were encoded."""
        self._windows += 1
        self._carried += not tokens
        self._tokens += tokens
        self._tokens_of += of
        self.media_s = max(self.media_s, end_s)

    def predicted_window(self, spent_ms: float) -> None:
        """All queries of a window have their embedding, that long after its first frame was asked for."""
        self._windows_ms.append(spent_ms)

    def snapshot(self, *, queries: int) -> SessionStats:
        """All of it so far."""
        return SessionStats(
            windows=self._windows,
            queries=queries,
            decisions=self.decisions,
            decodings=self.decodings,
            unknown=self.unknown,
            carried=self._carried,
            tokens=self._tokens,
            tokens_of=self._tokens_of,
            media_s=self.media_s,
            busy_s=self._busy_s or sum(self._totals_s.values()),
            p50_ms=percentile(self._windows_ms, 50),
            p95_ms=percentile(self._windows_ms, 95),
            p99_ms=percentile(self._windows_ms, 99),
            latency={stage: self._summary(stage) for stage in STAGES},
        )

    def _add(self, stage: Stage, spent_s: float) -> None:
        self._totals_s[stage] += spent_s
        if stage in self._open_s:
            self._open_s[stage] += spent_s
        else:
            self._count(stage, spent_s)

    def _count(self, stage: Stage, spent_s: float) -> None:
        self._counts[stage] += 1
        self._samples_ms[stage].append(spent_s * 1000)

    def _summary(self, stage: Stage) -> StageStats:
        return StageStats(
            count=self._counts[stage],
            total_ms=self._totals_s[stage] * 1000,
            p50_ms=percentile(self._samples_ms[stage], 50),
            p95_ms=percentile(self._samples_ms[stage], 95),
        )


def percentile(samples: Sequence[float], rank: float) -> float:
    """A percentile in the samples' unit, 0 where there is none."""
    held = tuple(samples)  # in one step, since another thread may add to them
    return float(np.percentile(held, rank)) if held else 0.0
