"""One stream, from source to events: a window is encoded once, asked every query, put into words when asked.

Owns a stream's state and clocks; borrows the shared model; knows no codec and no sink.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np

from vljepa_runtime.arguments import choice, instance, text, texts, whole
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event, LatencyMs
from vljepa_runtime.sampling import Window, WindowSampler, hints_for
from vljepa_runtime.selection.protocol import Decision, Observation, Policy, State
from vljepa_runtime.sources.protocol import Frame, Source, SourceStatus

if TYPE_CHECKING:
    from vljepa_runtime.model import Model
    from vljepa_runtime.patches import Preprocess

__all__ = ["STAGES", "Session", "SessionStats", "StageStats"]

Stage = Literal["capture", "fit", "encode", "predict", "select", "decode"]
STAGES: tuple[Stage, ...] = ("capture", "fit", "encode", "predict", "select", "decode")
INFERENCE: tuple[Stage, ...] = ("encode", "predict", "decode")
DECODE_MODES = ("auto", "always", "never")
SAMPLES_KEPT = 4096  # for p50 and p95; sums count everything


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStats:
    """Time of one stage: per window for capture and fit, per call for the others.

    Attributes:
        count: How often it ran.
        total_ms: All of it.
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
        windows: Windows encoded; a held picture counts once, however long.
        queries: Queries asked of each window.
        decisions: Segments that selection gave.
        decodings: Times the Y-decoder ran.
        media_s: Time of the stream covered.
        busy_s: Time the session worked, without waiting for a live source or for whoever takes the events.
        p50_ms: Median time of a window from capture to the last query's prediction.
        p95_ms: 95th percentile of the same.
        latency: Per stage: capture (waiting for a file's next frame, which a thread decodes meanwhile;
            not when live), fit (resizing, cutting windows and patches), encode, predict, select, decode.
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


class Session:
    """The state of one stream; use it in a `with` block and `run` it once.

    Args:
        model: Shared with other sessions.
        query: One or several; None takes the bundle's caption prompt.
        select: When to decode; None takes `OnlineSelection()`.
        stride_s: Seconds between windows.
        decode: `auto` decodes what selection gives when the bundle has a Y-decoder, `always` insists on one,
            `never` leaves the text empty.
        keep: Encode only this many tubelets of each window.

    Raises:
        InputError: a query is empty or given twice, or `decode` is none of the three.
    """

    def __init__(
        self,
        model: Model,
        *,
        query: str | Iterable[str] | None = None,
        select: Policy | None = None,
        stride_s: float = 1.0,
        decode: str = "auto",
        keep: int | None = None,
    ) -> None:
        if not callable(getattr(model, "encode_patches", None)):
            raise InputError(
                f"expected a model, got {model!r}: vj.load opens one, model.session() the session"
            )
        choice(decode, "decode", DECODE_MODES)
        if decode == "always" and not model.has_decoder:
            raise InputError(f"decode='always', but {model.bundle.name} has no Y-decoder: use auto or never")
        if select is not None and not callable(getattr(select, "start", None)):
            raise InputError(
                f"expected a selection policy or None, got {select!r}: parse_policy reads one from text"
            )
        self.model = model
        self.queries = _queries(model, query)
        self._policy = select if select is not None else _default_policy()
        self._states: list[State] = [self._policy.start() for _ in self.queries]
        self._sampler = WindowSampler(
            model.preprocess, stride_s, max_gap_s=max(2.0, 2 * model.preprocess.seconds)
        )
        self._decodes = decode != "never" and model.has_decoder
        self._keep = None if keep is None else whole(keep, "keep", least=1)
        self._clock = _Clock()
        self._windows = self._decisions = self._decodings = 0
        self._media_s = 0.0
        self._source: Source | None = None
        self._started = self._stopped = False

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def stats(self) -> SessionStats:
        """Counts and times so far; may be read while the session runs."""
        return SessionStats(
            windows=self._windows,
            queries=len(self.queries),
            decisions=self._decisions,
            decodings=self._decodings,
            media_s=self._media_s,
            busy_s=self._clock.busy_s,
            p50_ms=percentile(self._clock.windows, 50),
            p95_ms=percentile(self._clock.windows, 95),
            latency=self._clock.summaries(),
        )

    def stop(self) -> None:
        """End the stream after the item in work, giving what is pending. Safe from a signal handler."""
        self._stopped = True

    def close(self) -> None:
        """Close the source of a run that was left early."""
        self._stopped = True
        if self._source is not None:
            self._source.close()
            self._source = None

    def run(self, source: Source) -> Iterator[Event]:
        """Run one stream to its end and close the source.

        The first event is a status that names engine, bundle and source. When the stream breaks, an error
        event comes before the exception; on Ctrl-C what is pending is given before the interrupt goes on.

        Args:
            source: From `open_source`. Unless its hints say otherwise it is asked for the frames that the
                windows need.

        Raises:
            InputError: the session ran before.
            VljepaError: whatever stopped the stream.
        """
        if not isinstance(source, Source):
            raise InputError(f"expected a source, got {source!r}: open it with open_source(...)")
        if self._started:
            raise InputError("a session runs one stream: open another with model.session()")
        self._started, self._source = True, source
        if source.hints.min_interval_s is None:
            source.hints = hints_for(self.model.preprocess)
        return self._timed(self._events(source))

    def _timed(self, events: Iterator[Event]) -> Iterator[Event]:
        """The same events; the time they take is work, the time their consumer takes is not."""
        clock = self._clock
        try:
            while True:
                begun, waited_s = time.perf_counter(), clock.waited_s
                event = next(events, None)
                clock.busy_s += time.perf_counter() - begun - (clock.waited_s - waited_s)
                if event is None:
                    return
                yield event
        finally:
            self.close()

    def _events(self, source: Source) -> Iterator[Event]:
        name = source.name
        model, windows = self.model.bundle.name, _windows_text(self.model.preprocess)
        yield self._status(name, f"{model} on {self.model.engine_text} reading {name}, {windows}")
        try:
            try:
                yield from self._stream_events(source)
            except KeyboardInterrupt:
                yield from self._last_events(name)
                raise
            yield from self._last_events(name)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            yield Event(stream=name, kind="error", start_s=self._media_s, end_s=self._media_s, text=text)
            raise

    def _stream_events(self, source: Source) -> Iterator[Event]:
        for item in self._items(source):
            if isinstance(item, SourceStatus):
                if item.kind == "waiting":  # it came so that `stop` is seen
                    continue
                yield self._status(source.name, f"{item.kind}: {item.message}")
                continue
            instance(item, f"an item of {source.name}", Frame, SourceStatus)
            for window in self._clocked(self._sampler.push(item)):
                yield from self._window_events(source.name, window)

    def _items(self, source: Source) -> Iterator[Frame | SourceStatus]:
        """Items of the source until it ends or the session is stopped; waiting for a live one is not work."""
        items = iter(source)
        while not self._stopped:
            begun = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            spent_s = time.perf_counter() - begun
            if source.live:
                self._clock.waited_s += spent_s
            else:
                self._clock.add("capture", spent_s)
            yield item

    def _clocked(self, windows: Iterator[Window]) -> Iterator[Window]:
        """Windows of the sampler, its time booked as fit."""
        while True:
            begun = time.perf_counter()
            window = next(windows, None)
            self._clock.add("fit", time.perf_counter() - begun)
            if window is None:
                return
            yield window

    def _last_events(self, name: str) -> Iterator[Event]:
        """Windows and segments that were still open at the end."""
        for window in self._clocked(self._sampler.flush()):
            yield from self._window_events(name, window)
        for query, state in zip(self.queries, self._states):
            for decision in self._select(state.finish):
                yield self._event(name, query, decision, LatencyMs())

    def _window_events(self, name: str, window: Window) -> Iterator[Event]:
        clock = self._clock
        with clock.stage("fit"):
            patches, positions = self.model.patches(window.clip, keep=self._keep)
        capture_ms = clock.end_window()
        with clock.stage("encode") as encode:
            visual = self.model.encode_patches(patches, positions)
        spent_ms = capture_ms + encode.ms
        self._windows += 1
        self._media_s = max(self._media_s, window.end_s)
        for query, state in zip(self.queries, self._states):
            with clock.stage("predict") as predict:
                embedding = self.model.predict(visual, query)
            seen = Observation(
                index=window.index,
                start_s=window.start_s,
                end_s=window.end_s,
                embedding=embedding,
                held=window.held,
            )
            spent_ms += predict.ms
            spent = LatencyMs(capture=capture_ms, encode=encode.ms, predict=predict.ms)
            for decision in self._select(partial(state.push, seen)):
                yield self._event(name, query, decision, spent)
        clock.windows.append(spent_ms)

    def _select(self, ask: Callable[[], list[Decision]]) -> list[Decision]:
        with self._clock.stage("select"):
            decisions = ask()
        self._decisions += len(decisions)
        return decisions

    def _event(self, name: str, query: str, decision: Decision, spent: LatencyMs) -> Event:
        text, decode_ms = "", None
        if self._decodes:
            with self._clock.stage("decode") as decode:
                text = self.model.decode(decision.embedding)
            decode_ms = decode.ms
            self._decodings += 1
        return Event(
            stream=name,
            kind="segment",
            start_s=decision.start_s,
            end_s=decision.end_s,
            text=text,
            query=query,
            score=decision.score,
            decoded=self._decodes,
            latency_ms=LatencyMs(
                capture=spent.capture, encode=spent.encode, predict=spent.predict, decode=decode_ms
            ),
        )

    def _status(self, name: str, text: str) -> Event:
        return Event(stream=name, kind="status", start_s=self._media_s, end_s=self._media_s, text=text)


def _windows_text(pre: Preprocess) -> str:
    """What a session cuts a stream into, and where that is not what the model was trained on."""
    text = f"windows of {pre.frames} frames over {pre.seconds:g} s"
    if pre.sampling == "frames":
        text += "; its model was trained on frames spread over whole clips"
    return text


def _queries(model: Model, query: str | Iterable[str] | None) -> tuple[str, ...]:
    if query is None:
        if "caption" not in model.prompts:
            raise InputError(f"{model.bundle.name} has no prompt for caption: pass query=...")
        return (model.prompts["caption"],)
    queries = (text(query, "query"),) if isinstance(query, str) else texts(query, "queries")
    if len(set(queries)) != len(queries):
        raise InputError(f"expected each query once, got {query!r}")
    return queries


def _default_policy() -> Policy:
    from vljepa_runtime.selection import OnlineSelection

    return OnlineSelection()


@dataclass(slots=True)
class _Timed:
    """One run of a stage, readable after its `with` block."""

    clock: _Clock
    name: Stage
    begun: float = 0.0
    ms: float = 0.0

    def __enter__(self) -> _Timed:
        self.begun = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        spent = time.perf_counter() - self.begun
        self.ms = spent * 1000
        self.clock.add(self.name, spent)


@dataclass(slots=True)
class _Clock:
    """Sums and the last samples per stage. Capture and fit gather until a window is complete."""

    counts: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    totals: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    samples: dict[Stage, deque[float]] = field(
        default_factory=lambda: {stage: deque(maxlen=SAMPLES_KEPT) for stage in STAGES}
    )
    windows: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))
    open_s: dict[Stage, float] = field(default_factory=lambda: {"capture": 0.0, "fit": 0.0})
    busy_s: float = 0.0
    waited_s: float = 0.0

    def stage(self, name: Stage) -> _Timed:
        """Time a `with` block."""
        return _Timed(self, name)

    def add(self, name: Stage, spent_s: float) -> None:
        """Book time on a stage."""
        self.totals[name] += spent_s
        if name in self.open_s:
            self.open_s[name] += spent_s
        else:
            self.counts[name] += 1
            self.samples[name].append(spent_s * 1000)

    def end_window(self) -> float:
        """Close what capture and fit gathered for a window; returns both together in ms."""
        for name, spent_s in self.open_s.items():
            self.counts[name] += 1
            self.samples[name].append(spent_s * 1000)
        together = sum(self.open_s.values()) * 1000
        self.open_s = dict.fromkeys(self.open_s, 0.0)
        return together

    def summaries(self) -> dict[str, StageStats]:
        """Counts, sums and percentiles per stage."""
        return {
            name: StageStats(
                count=self.counts[name],
                total_ms=self.totals[name] * 1000,
                p50_ms=percentile(self.samples[name], 50),
                p95_ms=percentile(self.samples[name], 95),
            )
            for name in STAGES
        }


def percentile(samples: Sequence[float], rank: float) -> float:
    """A percentile in the samples' unit, 0 where there is none."""
    return float(np.percentile(samples, rank)) if samples else 0.0
