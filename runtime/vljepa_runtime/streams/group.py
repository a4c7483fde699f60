"""Several sessions as one: their streams are read side by side, their windows take turns on one model.

Knows who is next and what becomes of it; how a stream is read is `reader.py`, what a window comes to `session.py`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from vljepa_runtime.arguments import instance, number, text, whole
from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event, Told
from vljepa_runtime.session import OnWindow, Session
from vljepa_runtime.sources.naming import source_name
from vljepa_runtime.sources.protocol import Frame, Source, SourceStatus
from vljepa_runtime.streams.naming import numbered
from vljepa_runtime.streams.reader import Ended, Opened, Plan, StreamReader, Waiting
from vljepa_runtime.streams.statistics import StreamStats
from vljepa_runtime.streams.words import Words
from vljepa_runtime.streams.workers import Outcome, Workers, predict_each

__all__ = ["SessionGroup"]

WAKE_S = 0.5  # so that Ctrl-C works everywhere
PENDING_S = 2.0  # what a reader gets after `stop` to give what is pending
Job = list[tuple[StreamReader, Waiting, Outcome]]


class SessionGroup(Closing):
    """Runs several streams through one model; use it in a `with` block, `add` streams and `run` it once.

    Streams may come and go while it runs: `add` and `remove` are for any thread. Each has a session, and gives the
    events that it would give alone. Windows go through the model by turns, one of each stream. Files lose none: each is
    read as far as its turn has come. Of a live stream the newest window waits and replaces an older one, so that what
    it tells is late by one turn of all at most. A stream that fails says so in an event of the kind `error`, and the
    others go on.

    Args:
        batch: Windows of several streams that go through the graphs at once. Above 1 an embedding differs by the
            engine's tolerance from that of a stream alone; on CPUs nothing is gained.
        workers: Windows, or batches of them, that are predicted at the same time while the words of others are made.

    Attributes:
        failures: What ended each stream that failed, by its name.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model = vj.load("tiny")
        >>> with vj.SessionGroup() as group:
        ...     for name in ("door", "yard"):
        ...         group.add("clip.mp4", model.session(), name=name, max_seconds=3)
        ...     events = list(group.run())
        'door'
        'yard'
        >>> sorted((event.stream, event.text) for event in events if event.kind == "segment")
        [('door', 'a white box bounces'), ('yard', 'a white box bounces')]
        >>> yard: vj.StreamStats = group.stats["yard"]
        >>> yard.state, yard.session.windows, yard.dropped
        ('ended', 2, 0)
    """

    def __init__(self, *, batch: int = 1, workers: int = 2) -> None:
        self.failures: dict[str, Exception] = {}
        self._batch, self._count = whole(batch, "batch", least=1), whole(workers, "workers", least=1)
        self._changed = threading.Condition()
        self._readers: dict[str, StreamReader] = {}
        self._turns: deque[StreamReader] = deque()
        self._telling: deque[tuple[StreamReader, Iterator[Told]]] = deque()
        self._workers: Workers[Job] | None = None
        self._words: Words | None = None
        self._runner: int | None = None  # the thread that takes the events
        self._until_stopped = self._stopped = self._ended = False
        self._every = 1

    def __repr__(self) -> str:
        states = ", ".join(f"{reader.plan.name} {reader.state}" for reader in self._all())
        return f"<SessionGroup of {len(self._readers)} streams: {states}>"

    @property
    def stats(self) -> Mapping[str, StreamStats]:
        """How each stream fares, by its name; may be read while the group runs."""
        return {reader.plan.name: reader.stats for reader in self._all()}

    def add(
        self,
        source: Source | str | Path | int,
        session: Session,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
        stretch: bool = False,
        loop: bool = False,
        fps: float | None = None,
        realtime: bool = False,
        hwaccel: str = "none",
        patient: bool = False,
        on_open: Callable[[Source], object] | None = None,
        on_frame: Callable[[Frame], object] | None = None,
        frame_side: int | None = None,
        on_window: OnWindow | None = None,
    ) -> str:
        """Add a stream, before `run` or while it goes on.

        Args:
            source: What `open_source` takes, or an open source. What is named is opened when the group runs: a camera
                or server that is not there is tried again as long as another stream of the group gives pictures, and
                three times at least.
            session: Its state, of the model that all share; queries and policies may differ.
            name: What its events name; None takes the source's own name, with a number behind it if that is taken.
            max_seconds: See `Session.run`.
            stretch: See `open_source`.
            loop: The same.
            fps: The same.
            realtime: The same.
            hwaccel: The same.
            patient: Try a server that does not answer for ever, whatever the others do, and what refuses (no such
                device, a wrong password) a few times; `stats` says which attempt it is and when the next one is.
            on_open: Called with the source once it is open, before it is read; on the thread that runs the group.
            on_frame: See `Session.run`; called on the thread that reads this stream.
            frame_side: Shorter side of the frames that `on_frame` is content with, at the rate that windows need; None
                asks for every frame, and all of it.
            on_window: See `Session.run`; called on the thread that runs the group.

        Returns:
            The name.

        Raises:
            InputError: the name is taken, this FFmpeg knows no such `hwaccel`, the session has run or is of another
                model, or the group was stopped.
            SourceError: nothing has the name of the source.
        """
        instance(session, "session", Session)
        if max_seconds is not None:
            number(max_seconds, "max_seconds", above=0)
        if name is not None:
            text(name, "name")
        if hwaccel != "none":  # a camera needs no FFmpeg
            from vljepa_runtime.sources.video.hardware import check_hwaccel

            check_hwaccel(hwaccel)
        plan = Plan(
            name=name or (source.name if isinstance(source, Source) else source_name(source)),
            source=source,
            session=session,
            max_seconds=max_seconds,
            stretch=stretch,
            loop=loop,
            fps=fps,
            realtime=realtime,
            hwaccel=hwaccel,
            patient=patient,
            on_open=on_open,
            on_frame=on_frame,
            frame_side=frame_side,
            on_window=on_window,
        )
        with self._changed:
            return self._add(plan, is_named=name is not None)

    def _add(self, plan: Plan, *, is_named: bool) -> str:
        """Take a stream in, and begin it where the group runs."""
        if self._stopped or self._ended:
            raise InputError("the group has ended: open another")
        if any(reader.session.model is not plan.session.model for reader in self._readers.values()):
            raise InputError("expected sessions of one model, got two models: open a group for each")
        if not is_named:
            plan = replace(plan, name=numbered(plan.name, self._readers))
        elif plan.name in self._readers:
            raise InputError(f"expected a name for each stream, got {plan.name!r} twice")
        reader = StreamReader(plan, self._changed, partial(self._others_run, plan.name))
        reader.slow(self._every, None)
        if self._workers is not None:
            first = plan.session.begin(plan.name, on_window=plan.on_window)
            reader.begin()
            self._telling.append((reader, iter((first,))))
            self._turns.append(reader)
            reader.start()
            self._changed.notify_all()
        self._readers[plan.name] = reader
        self.failures.pop(plan.name, None)
        return plan.name

    def remove(self, name: str) -> None:
        """End a stream, give what is pending, and forget it; its name is free when this returns.

        That takes a few seconds at most, whatever its source does. On the thread that takes the events it is only asked
        for, and done by the time the next events come.

        Raises:
            InputError: there is no stream of that name.
        """
        with self._changed:
            if (reader := self._readers.get(name)) is None:
                raise InputError(f"there is no stream {name!r} in the group")
            reader.is_leaving = True
            reader.stop()
            self._changed.notify_all()
            if self._workers is None or self._ended:
                self._forget()
            while self._runner != threading.get_ident() and not self._ended and name in self._readers:
                if self._readers[name] is not reader:
                    break
                self._changed.wait(WAKE_S)
        if self._runner != threading.get_ident():
            reader.close()

    def slow(self, every: int, *, why: str = "") -> None:
        """Predict only every so many-th window of live streams from now on, so that a hot device does less.

        Files lose nothing. May be called from any thread, before `run` and while it goes on.

        Args:
            every: 1 predicts all of them again.
            why: What each live stream tells in a `status` event; empty tells nothing.

        Examples:
            >>> import vljepa_runtime as vj
            >>> with vj.SessionGroup() as group:
            ...     group.slow(2, why="the processor has 84 °C")
            ...     group.slow(1)
        """
        whole(every, "every", least=1)
        told = SourceStatus(kind="restored" if every == 1 else "warning", message=why) if why else None
        with self._changed:
            self._every = every
            for reader in self._readers.values():
                reader.slow(every, told)

    def _forget(self) -> None:
        """Let go of streams that were removed and have nothing more to tell."""
        telling = {id(reader) for reader, _ in self._telling}
        if self._words is not None:
            telling |= {id(reader) for reader in self._words.readers}
        waits_for_none = self._workers is None or self._ended
        for name, reader in tuple(self._readers.items()):
            if reader.is_leaving and (waits_for_none or (reader.is_over and id(reader) not in telling)):
                del self._readers[name]
                if reader in self._turns:
                    self._turns.remove(reader)
                self._changed.notify_all()

    def stop(self) -> None:
        """End all streams after the items in work, giving what is pending. Safe from a signal handler."""
        self._stopped = True
        for reader in self._all():
            reader.stop()

    def close(self) -> None:
        """Close all sources, also those of a run that was left early."""
        readers = self._all()
        with self._changed:
            self._stopped = self._ended = True
            for reader in readers:
                reader.leave()
            self._changed.notify_all()
        for reader in readers:
            reader.close()
        if self._workers is not None:
            self._workers.close()
        if self._words is not None:
            self._words.close()

    def run(self, *, until_stopped: bool = False) -> Iterator[Event]:
        """Run all streams to their ends; the events of each come in its order, those of several as they happen.

        The first event of each is a status that names engine, bundle and stream. On Ctrl-C what is pending in all of
        them is given before the interrupt goes on. That a stream failed raises nothing: see `failures`.

        Args:
            until_stopped: Go on when all streams have ended, and without any: others may be added.

        Raises:
            InputError: there is no stream, or the group or one of the sessions ran before.
        """
        with self._changed:
            if not self._readers and not until_stopped:
                raise InputError("expected streams to run: add them first")
            if self._workers is not None or self._ended:
                raise InputError("a group runs once: open another")
            readers = self._all()
            plans = [reader.plan for reader in readers]
            first = [plan.session.begin(plan.name, on_window=plan.on_window) for plan in plans]
            self._workers, self._words = Workers(self._count, self._changed), Words(self._changed)
            self._until_stopped = until_stopped
            self._turns.extend(readers)
        return self._closing(self._run(first, readers, self._workers, self._words))

    def _all(self) -> tuple[StreamReader, ...]:
        """The streams as they are now; without a lock, for a signal handler may ask."""
        return tuple(self._readers.values())

    def _closing(self, events: Iterator[Event]) -> Iterator[Event]:
        try:
            yield from events
        finally:
            self.close()

    def _run(
        self,
        first: list[Event],
        readers: tuple[StreamReader, ...],
        workers: Workers[Job],
        words: Words,
    ) -> Iterator[Event]:
        self._runner = threading.get_ident()
        yield from first
        for reader in readers:
            reader.start()
        try:
            yield from self._events(workers, words)
        except KeyboardInterrupt:
            self.stop()
            yield from self._events(workers, words)
            raise

    def _events(self, workers: Workers[Job], words: Words) -> Iterator[Event]:
        """One event of each stream in turn; those that wait for their words hold up no other stream and no window."""
        while words or self._goes_on():
            with self._changed:
                self._collect(workers)
                self._hand_out(workers)
                self._give_up()
                self._forget()
                event = words.take(self._fail)
                turn = self._telling.popleft() if self._telling else None
                if event is None and turn is None:
                    self._changed.wait(WAKE_S)
            if event is not None:
                yield event
            if turn is not None and (event := self._next_event(*turn, words)) is not None:
                yield event

    def _goes_on(self) -> bool:
        if self._telling or (self._until_stopped and not self._stopped):
            return True
        return not all(reader.is_over for reader in self._all())

    def _next_event(self, reader: StreamReader, told: Iterator[Told], words: Words) -> Event | None:
        """The next event of what is told of a stream, unless it waits for its words; with the last one it may go on."""
        item = None
        try:
            item = next(told, None)
        except Exception as error:
            self._fail(reader, error)
        finally:
            if item is None:
                with self._changed:
                    words.handled(reader)
        if item is None:
            return None
        self._telling.append((reader, told))
        with self._changed:
            return words.through(reader, item)

    def _collect(self, workers: Workers[Job]) -> None:
        """Take what was predicted."""
        while (done := workers.take()) is not None:
            for reader, waiting, outcome in done:
                if reader.is_over:
                    continue
                if isinstance(outcome, Exception):
                    self._fail(reader, outcome)
                else:
                    reader.predicted(waiting.since_s)
                    self._telling.append((reader, reader.session.tell(outcome)))

    def _hand_out(self, workers: Workers[Job]) -> None:
        """Give what waits to those who work on it."""
        for reader in self._turns:
            item = reader.head()
            if isinstance(item, SourceStatus):
                reader.take()
                note = reader.session.note("status", f"{item.kind}: {item.message}")
                self._telling.append((reader, iter((note,))))
            elif isinstance(item, Opened):
                reader.take()
                self._telling.append((reader, _opening(reader, item.source)))
            elif isinstance(item, Ended):
                reader.take()
                self._telling.append((reader, self._ending(reader, item.error)))
        while workers.idle and (windows := self._next_batch()):
            workers.submit(partial(_predict, windows))

    def _next_batch(self) -> list[tuple[StreamReader, Waiting]]:
        """The windows whose turn it is: one of each stream, those whose turn was longest ago first."""
        taken: list[tuple[StreamReader, Waiting]] = []
        for reader in tuple(self._turns):
            item = reader.head()
            if isinstance(item, Waiting) and (not taken or _go_together(taken[0], (reader, item))):
                reader.take()
                taken.append((reader, item))
                self._turns.remove(reader)
                self._turns.append(reader)
            if len(taken) == self._batch:
                break
        return taken

    def _ending(self, reader: StreamReader, error: BaseException | None) -> Iterator[Told]:
        """What comes last of a stream."""
        if isinstance(error, Exception):
            self._fail(reader, error)
            return
        yield from reader.session.finish()
        with self._changed:
            reader.end()
        if error is not None:
            raise error

    def _fail(self, reader: StreamReader, error: Exception) -> None:
        """Tell that a stream ends here by an error."""
        with self._changed:
            reader.end(error)
        self.failures[reader.plan.name] = error
        note = reader.session.note("error", f"{type(error).__name__}: {error}")
        self._telling.append((reader, iter((note,))))

    def _give_up(self) -> None:
        """Some time after a stream was stopped, wait no longer for what hangs."""
        for reader in self._readers.values():
            if not reader.is_over and reader.is_idle and reader.was_stopped(PENDING_S):
                self._telling.append((reader, self._ending(reader, None)))

    def _others_run(self, name: str) -> bool:
        return any(each.state == "running" for each in self._all() if each.plan.name != name)


def _opening(reader: StreamReader, source: Source) -> Iterator[Event]:
    """Nothing is told when a source opens."""
    if reader.plan.on_open is not None:
        reader.plan.on_open(source)
    yield from ()


def _predict(windows: list[tuple[StreamReader, Waiting]]) -> Job:
    session = windows[0][0].session
    outcomes = predict_each(session.model, [waiting.window for _, waiting in windows], session.queries)
    return [(reader, waiting, outcome) for (reader, waiting), outcome in zip(windows, outcomes)]


def _go_together(one: tuple[StreamReader, Waiting], other: tuple[StreamReader, Waiting]) -> bool:
    first, second = one[1].window, other[1].window
    same_size = first.patches.shape == second.patches.shape and first.completes == second.completes
    return same_size and one[0].session.queries == other[0].session.queries
