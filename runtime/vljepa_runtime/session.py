"""One stream, from source to events: a window is encoded once, asked every query, put into words when asked.

Owns a stream's state and clocks; borrows the shared model; knows no codec and no sink.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vljepa_runtime.alerts.clips import ClipFolder, ClipRecorder
from vljepa_runtime.alerts.rule import Alert
from vljepa_runtime.alerts.watch import AlertChange, AlertWatch
from vljepa_runtime.arguments import choice, instance, number
from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event, LatencyMs, Told, in_turn, wall_clock
from vljepa_runtime.heap import trimmer
from vljepa_runtime.novelty import JudgedWindows
from vljepa_runtime.predicting import PredictedWindow, PreparedWindow, predict_windows
from vljepa_runtime.preparing import WindowPreparer
from vljepa_runtime.preprocessing.health import PictureHealth, PictureState
from vljepa_runtime.preprocessing.sampling import Window, WindowSampler, hints_for
from vljepa_runtime.preprocessing.token_policies import TokenPolicy
from vljepa_runtime.queries import queries_or_prompt
from vljepa_runtime.selecting import choose_selecting
from vljepa_runtime.selection.protocol import Decision, Observation, Policy, State
from vljepa_runtime.sources.limited import limited_frames
from vljepa_runtime.sources.opening import open_source
from vljepa_runtime.sources.protocol import Frame, Item, Source, SourceStatus
from vljepa_runtime.states import States
from vljepa_runtime.statistics import SessionStats, StatsRecorder
from vljepa_runtime.wording import Wording

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vljepa_runtime.model import Model
    from vljepa_runtime.preprocessing.preprocess import Preprocess

__all__ = ["OnWindow", "Session"]

DECODE_MODES = ("auto", "always", "never")

OnWindow = Callable[[Window, str, "npt.NDArray[np.float32]"], object]


class Session(Closing):
    """The state of one stream; use it in a `with` block and `run` it once.

    Args:
        model: Shared with other sessions.
        query: One or several; None takes the bundle's caption prompt.
        select: When to decode: a policy, or what `parse_policy` reads, such as `online:6`; None takes `online`.
            Without a threshold of its own, `OnlineSelection` sees the changes that the bundle's own network sees, where
            that was fitted to such windows (`Model.boundaries`); so does `OfflineSelection`.
        stride_s: Seconds between windows.
        decode: `auto` decodes what selection gives when the bundle has a Y-decoder, `always` insists on one,
            `never` leaves the text empty. Segments that show nothing the model knows are decoded with `always` alone.
        tokens: Which tubelets of each window are encoded: a token policy, or what `parse_tokens` reads.
        carry_s: A window that shows nothing else than the last encoded one keeps its embedding, for so many seconds at
            most; 0 encodes every window.
        labels: Answers in your own words, one of which each query then gets instead of a decoding: an event of the
            kind `answer` whenever the best one changes (`BestLabel`). Without a query they answer the bundle's
            classify prompt.
        min_score: Cosine below which none of the labels holds; None names the best one always.
        embeddings: Put the embedding of each segment and answer into its event.
        states: What `vljepa teach` wrote, or its file: the state that holds is told like a label (`BestState`), and
            "unsure" like a state. They bring their own query.
        alerts: Standing queries; each gives an event of the kind `alert` when it begins and when it ends.
        clips: Where clips of alerts go, from before they began; a source without encoded packets gives none.

    Raises:
        InputError: a query is empty or given twice, `decode` is none of the three, labels or states come with a policy,
            with words to decode or with each other, or states were taught with another model.
        BundleError: labels are given and the bundle has no Y-encoder.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model = vj.load("tiny")
        >>> with vj.Session(model, query="What is the action shown?", select="uniform:3") as session:
        ...     for event in session.run("clip.mp4", max_seconds=2):
        ...         print(event.kind, event.text)
        status tiny on ... reading clip.mp4, windows of 8 frames over 2 s
        segment a white box bounces
        >>> stats: vj.SessionStats = session.stats
        >>> stats.windows, stats.decodings, stats.media_s
        (1, 1, 2.0)
        >>> session
        <Session of tiny on onnxruntime:cpu, reading clip.mp4: Uniform, 1 windows, 1 decodings>
    """

    def __init__(
        self,
        model: Model,
        *,
        query: str | Iterable[str] | None = None,
        select: Policy | str | None = None,
        stride_s: float = 1.0,
        decode: str = "auto",
        tokens: TokenPolicy | str = "all",
        carry_s: float = 0.0,
        labels: Iterable[str] | None = None,
        min_score: float | None = None,
        embeddings: bool = False,
        states: States | str | Path | None = None,
        alerts: Iterable[Alert] | None = None,
        clips: ClipFolder | None = None,
    ) -> None:
        if not callable(getattr(model, "encode_on_device", None)):
            raise InputError(
                f"expected a model, got {model!r}: vj.load opens one, model.session() the session"
            )
        choice(decode, "decode", DECODE_MODES)
        if decode == "always" and not model.has_decoder:
            raise InputError(f"decode='always', but {model.bundle.name} has no Y-decoder: use auto or never")
        self.model = model
        self.queries, self._selecting = choose_selecting(
            model,
            query=query,
            select=select,
            labels=labels,
            min_score=min_score,
            states=states,
            decode=decode,
        )
        self._preparer = WindowPreparer(model, tokens=tokens, carry_s=carry_s, pools=self._selecting.pools)
        self._judged = JudgedWindows()
        self._embeddings = embeddings
        self._watch, self._recorder = _watch(model, self.queries, alerts, clips)
        self._states = {query: self._selecting.begin(query) for query in self.queries}
        self._left: deque[tuple[str, State]] = deque()  # queries that are asked no more, and what was open
        self._sampler = WindowSampler(
            model.preprocess, stride_s, max_gap_s=max(2.0, 2 * model.preprocess.seconds)
        )
        self._decodes, self._insists = decode != "never" and model.has_decoder, decode == "always"
        self._wording = Wording(model.decode, goes_on=False)
        self._is_wordless = decode == "auto" and labels is states is None and not model.has_decoder
        self._stats = StatsRecorder()
        self._source: Source | None = None
        self._health: PictureHealth | None = None  # of a live stream
        self._on_window: OnWindow | None = None
        self._stream = ""
        self._started = self._stopped = False

    def __repr__(self) -> str:
        model, stats, policy = self.model, self.stats, type(self._selecting.policy).__name__
        reading = f", reading {self._stream}" if self._stream else ""
        done = f"{stats.windows} windows, {stats.decodings} decodings"
        return f"<Session of {model.bundle.name} on {model.engine_name}{reading}: {policy}, {done}>"

    @property
    def stats(self) -> SessionStats:
        """Counts and times so far; may be read while the session runs."""
        return self._stats.snapshot(queries=len(self.queries))

    def ask(self, queries: Iterable[str], *, silent: Iterable[str] = ()) -> None:
        """Ask other queries from the next window on; from any thread. What was open of one that is left out is told.

        Args:
            queries: All that are asked, as `query` was.
            silent: Asked too, for `on_window` alone: nothing is selected of what comes, nothing put into words.

        Raises:
            InputError: a query is empty or given twice, or an alert of this session looks at one that is left out.

        Examples:
            >>> import vljepa_runtime as vj
            >>> with vj.load("tiny").session(query="What happens?", decode="never") as session:
            ...     for event in session.run("clip.mp4"):
            ...         if event.kind == "status":
            ...             session.ask(["What is there?"], silent=["What colour is it?"])
            >>> session.queries
            ('What is there?', 'What colour is it?')
        """
        told = queries_or_prompt(self.model, tuple(queries))
        everything = queries_or_prompt(self.model, (*told, *silent))
        if self._watch is not None and not {*self._watch.queries} <= {*everything}:
            raise InputError("an alert looks at a query that would be asked no more: go on asking it")
        before = self._states
        self._states = {query: before.get(query) or self._selecting.begin(query) for query in told}
        self.queries = everything
        self._left.extend((query, state) for query, state in before.items() if query not in told)

    @property
    def picture(self) -> PictureState:
        """Whether the pictures of a live stream are frozen or black; may be read while the session runs."""
        return PictureState() if self._health is None else self._health.state

    def stop(self) -> None:
        """End the stream after the item in work, giving what is pending. Safe from a signal handler."""
        self._stopped = True

    def close(self) -> None:
        """Close the source of a run that was left early."""
        self._stopped = True
        if self._recorder is not None:
            self._recorder.finish()
        if self._source is not None:
            self._source.close()
            self._source = None

    def run(
        self,
        source: Source | str | Path | int,
        *,
        max_seconds: float | None = None,
        on_frame: Callable[[Frame], object] | None = None,
        on_window: OnWindow | None = None,
    ) -> Iterator[Event]:
        """Run one stream to its end and close the source.

        The first event is a status that names engine, bundle and source. When the stream breaks, an error
        event comes before the exception; on Ctrl-C what is pending is given before the interrupt goes on.

        Args:
            source: What `open_source` takes, or an open source; it is asked for the frames that the windows need.
            max_seconds: End after so much of the source's own time, or of the clock when it is live.
            on_frame: Called with every frame on its way, as `VideoSink.write_frame` wants them; then the source is
                asked for all.
            on_window: Called with every window, each query and its predicted embedding (S,), before what selection
                makes of it; what a log keeps. `Window.unknown` says whether it shows nothing that the model knows.

        Raises:
            InputError: the session ran before.
            SourceError: the source cannot be opened.
            VljepaError: whatever stopped the stream.
        """
        if self._started:
            raise InputError("a session runs one stream: open another with model.session()")
        if max_seconds is not None:
            number(max_seconds, "max_seconds", above=0)
        if on_frame is not None and not callable(on_frame):
            raise InputError(f"expected on_frame as a function or None, got {on_frame!r}")
        if on_window is not None and not callable(on_window):
            raise InputError(f"expected on_window as a function or None, got {on_window!r}")
        opened = source if isinstance(source, Source) else open_source(source)
        first = self.begin(opened.name, on_window=on_window)
        items = self.items(opened, max_seconds=max_seconds, on_frame=on_frame)
        return self._closing(self._stats.busy(self._events(first, items)))

    def begin(self, stream: str, *, on_window: OnWindow | None = None) -> Event:
        """First step of `run`, for whoever takes a stream step by step, as `SessionGroup` does.

        Args:
            stream: What its events name.
            on_window: See `run`.

        Returns:
            The status that names engine, bundle and stream.

        Raises:
            InputError: the session ran before.
        """
        if self._started:
            raise InputError("a session runs one stream: open another with model.session()")
        self._started, self._stream, self._on_window = True, stream, on_window
        model, windows = self.model.bundle.name, _windows_text(self.model.preprocess)
        wordless = "; it has no Y-decoder, so segments come without words" if self._is_wordless else ""
        return self.note(
            "status", f"{model} on {self.model.engine_text} reading {stream}, {windows}{wordless}"
        )

    def items(
        self,
        source: Source,
        *,
        max_seconds: float | None = None,
        on_frame: Callable[[Frame], object] | None = None,
        frame_side: int | None = None,
    ) -> Iterator[Item]:
        """Items of an open source until it ends or the session is stopped; waiting for a live one is not work."""
        self._source = source
        if source.live:
            self._health = PictureHealth()
            self._wording = Wording(self.model.decode, goes_on=not self._insists)
        if self._recorder is not None:
            source.keep_packets(self._recorder.ring)
        hints = hints_for(self.model.preprocess)
        read = limited_frames(
            source, hints, max_seconds=max_seconds, on_frame=on_frame, frame_side=frame_side
        )
        return self._until_stopped(self._stats.each(None if source.live else "capture", read))

    def prepare(self, frame: Frame | None) -> Iterator[PreparedWindow | SourceStatus]:
        """Windows that a frame completes; with None, at the end of the stream, those that were still open.

        Of a live stream also remarks: its pictures are frozen, black, or well again.
        """
        if frame is not None:
            instance(frame, f"an item of {self._stream}", Frame, SourceStatus)
        windows = self._sampler.flush() if frame is None else self._sampler.push(frame)
        for window in self._stats.each("fit", windows):
            with self._stats.stage("fit"):
                prepared = self._preparer.prepared(window, self.queries)
            yield replace(prepared, capture_ms=self._stats.complete_window())
            if self._health is not None and (remark := self._health.push(window)):
                yield remark

    def _until_stopped(self, items: Iterator[Item]) -> Iterator[Item]:
        while not self._stopped and (item := next(items, None)) is not None:
            if self._health is not None and isinstance(item, SourceStatus) and item.kind == "reconnecting":
                self._health.reset()
            yield item

    def _closing(self, events: Iterator[Event]) -> Iterator[Event]:
        try:
            yield from events
        finally:
            self.close()

    def _events(self, first: Event, items: Iterator[Item]) -> Iterator[Event]:
        """Everything told of a stream: what runs, then what comes of it, to its end or its failure."""
        yield first
        try:
            try:
                yield from self._stream_events(items)
            except KeyboardInterrupt:
                yield from self._last_events()
                raise
            yield from self._last_events()
        except Exception as error:
            yield self.note("error", f"{type(error).__name__}: {error}")
            raise

    def _stream_events(self, items: Iterator[Item]) -> Iterator[Event]:
        for item in items:
            if isinstance(item, SourceStatus):
                yield from self._remark(item)
            else:
                yield from self._events_of(item)

    def _remark(self, said: SourceStatus) -> Iterator[Event]:
        if said.kind != "waiting":  # that came so that `stop` is seen
            yield self.note("status", f"{said.kind}: {said.message}")

    def _last_events(self) -> Iterator[Event]:
        """Windows and segments that were still open at the end."""
        yield from self._events_of(None)
        yield from in_turn(self.finish())

    def _events_of(self, frame: Frame | None) -> Iterator[Event]:
        for item in self.prepare(frame):
            if isinstance(item, SourceStatus):
                yield from self._remark(item)
            else:
                (predicted,) = predict_windows(self.model, [item], self.queries)
                yield from in_turn(self.tell(predicted))

    def tell(self, predicted: PredictedWindow) -> Iterator[Told]:
        """What comes of a window: each query has its own policy state and segments.

        What is to be put into words first is given as a call that does so and returns its events: from one thread for
        each session, in the order given.
        """
        stats, window = self._stats, predicted.window
        self._preparer.predicted(predicted)
        if not window.carried:
            stats.took("encode", predicted.encode_ms or 0.0)
        stats.told_window(window.end_s, tokens=predicted.encoded_tokens, of=self.model.preprocess.tokens)
        spent_ms = predicted.capture_ms + (predicted.encode_ms or 0.0)
        self._judged.add((window.start_s + window.end_s) / 2, window.unknown, weight=max(1, window.held))
        yield from self._last_of_left()
        states = self._states
        for query, embedding, predict_ms in zip(
            predicted.queries, predicted.embeddings, predicted.predict_ms
        ):
            if predict_ms is not None:
                stats.took("predict", predict_ms)
                spent_ms += predict_ms
            if self._on_window is not None:
                self._on_window(window, query, embedding)
            observation = Observation(
                index=window.index,
                start_s=window.start_s,
                end_s=window.end_s,
                embedding=embedding,
                held=window.held,
                tokens=predicted.tokens,
            )
            latency = partial(predicted.latency_ms, predict_ms)  # few windows are told
            if (state := states.get(query)) is not None:
                for decision in self._selected(partial(state.push, observation)):
                    yield self._segment(query, decision, latency())
            if self._watch is not None:
                for change in self._watch.push(query, observation):
                    yield self._alert(query, change, latency())
        if self._recorder is not None:
            if window.index == 0 and self._recorder.ring.track is None:
                yield from self._warnings([f"{self._stream} gives no encoded packets: alerts have no clips"])
            yield from self._warnings(self._recorder.advance(window.end_s))
        stats.predicted_window(spent_ms)
        trimmer.told_window()

    def finish(self) -> Iterator[Told]:
        """Last step: segments and alerts that were still open at the end, as `tell` gives them."""
        self._left.extend(self._states.items())
        yield from self._last_of_left()
        for query, change in self._watch.finish() if self._watch is not None else ():
            yield self._alert(query, change, LatencyMs())
        if self._recorder is not None:
            yield from self._warnings(self._recorder.finish())

    def _last_of_left(self) -> Iterator[Told]:
        """What was open of queries that are asked no more."""
        while self._left:
            query, state = self._left.popleft()
            for decision in self._selected(state.finish):
                yield self._segment(query, decision, LatencyMs())

    def _selected(self, ask: Callable[[], list[Decision]]) -> list[Decision]:
        with self._stats.stage("select"):
            decisions = ask()
        self._stats.decisions += len(decisions)
        return decisions

    def _segment(self, query: str, decision: Decision, latency: LatencyMs) -> Told:
        """A segment that the policy gave, in its own words or to be put into those of the decoder."""
        unknown = self._judged.unknown(decision.start_s, decision.end_s)
        self._stats.unknown += bool(unknown)
        event = Event(
            stream=self._stream,
            kind="segment" if decision.text is None else "answer",
            start_s=decision.start_s,
            end_s=decision.end_s,
            time=wall_clock(),
            text=decision.text or "",
            query=query,
            score=decision.score,
            change=decision.change,
            unknown=unknown,
            latency_ms=latency,
            embedding=tuple(decision.embedding.tolist()) if self._embeddings else None,
        )
        decodes = self._decodes and decision.text is None and (self._insists or not unknown)
        return partial(self._worded, event, decision.embedding) if decodes else event

    def _worded(self, event: Event, embedding: npt.NDArray[np.float32]) -> list[Event]:
        """A segment in the decoder's words, behind what is to be told of the decoder."""
        with self._stats.stage("decode") as decode:
            text, told = self._wording.words(embedding)
        if text is not None:
            self._stats.decodings += 1
            latency = replace(event.latency_ms, decode=decode.ms)
            event = replace(event, text=text, decoded=True, latency_ms=latency)
        remarks = [self.note("status", told)] if told else []
        return [*remarks, replace(event, time=wall_clock())]

    def _alert(self, query: str, change: AlertChange, latency: LatencyMs) -> Event:
        return Event(
            stream=self._stream,
            kind="alert",
            start_s=change.start_s,
            end_s=change.end_s,
            time=wall_clock(),
            text=change.alert.text,
            query=query,
            score=change.score,
            unknown=self._judged.unknown(change.start_s, change.end_s),
            latency_ms=latency,
            active=change.active,
            clip=None if self._recorder is None else self._recorder.name_for(change),
        )

    def _warnings(self, texts: Iterable[str]) -> Iterator[Event]:
        return (self.note("status", f"warning: {text}") for text in texts)

    def note(self, kind: Literal["status", "error"], text: str) -> Event:
        """An event that tells something of the stream as a whole."""
        now_s = self._stats.media_s
        return Event(stream=self._stream, kind=kind, start_s=now_s, end_s=now_s, time=wall_clock(), text=text)


def _windows_text(pre: Preprocess) -> str:
    """What a session cuts a stream into, and where that is not what the model was trained on."""
    text = f"windows of {pre.frames} frames over {pre.seconds:g} s"
    if pre.sampling == "frames":
        text += "; its model was trained on frames spread over whole clips"
    return text


def _watch(
    model: Model, queries: tuple[str, ...], alerts: Iterable[Alert] | None, clips: ClipFolder | None
) -> tuple[AlertWatch | None, ClipRecorder | None]:
    """What looks for alerts, and what keeps their clips."""
    if alerts is None:
        if clips is not None:
            raise InputError("clips are of alerts: give alerts, too")
        return None, None
    watch = AlertWatch(alerts, model.embed_text, queries=queries)
    if clips is None:
        return watch, None
    instance(clips, "clips", ClipFolder)
    hold_s = max((alert.hold_s for alert in watch.alerts), default=0.0)
    return watch, ClipRecorder(clips, longest_s=hold_s + model.preprocess.seconds)
