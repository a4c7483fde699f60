"""Sinks behind a network: events wait in an outbox, and a thread delivers them, however long the receiver is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from vljepa_runtime.events import Event
from vljepa_runtime.sinks.network.outbox import Outbox
from vljepa_runtime.sinks.network.outbox_rows import OutboxEntry
from vljepa_runtime.sinks.network.state import SinkCondition, SinkState
from vljepa_runtime.sinks.network.transport import DeliveryError, RejectedError, Transport
from vljepa_runtime.sinks.protocol import Sink
from vljepa_runtime.sources.live.deadline import Deadline
from vljepa_runtime.sources.live.source import Backoff

__all__ = ["NetworkSink"]

ATTEMPT_S = 20.0  # until an attempt counts as failed
IDLE_S = 1.0  # a connection without events is looked at this often
LAST_ATTEMPTS, LAST_PAUSE_S = 3, 0.1  # when the run ends
LINGER_S = 5.0  # what is left at the end gets so long
JOIN_S = 2.0
MAX_RETRY_S = 3600.0  # whatever a receiver asks for
BACKOFF = Backoff(first_s=0.5, cap_s=15.0)
HELP_S = 60.0  # between attempts where somebody has to change something


class NetworkSink(Sink):
    """Delivers events in order, at least once; `write` never waits for a network. See `Sink`.

    Args:
        kind: What people call it, such as `mqtt`.
        transport: Where events go.
        outbox: Folder in which they wait.
        on_change: Called when the state changes, on another thread.
        linger_s: How long `close` lets what is left be delivered; the rest waits for the next process.

    Raises:
        InputError: there cannot be such a folder.

    Examples:
        >>> from vljepa_runtime.sinks import NetworkSink, WebhookSink
        >>> issubclass(WebhookSink, NetworkSink)
        True
    """

    def __init__(
        self,
        kind: str,
        transport: Transport,
        *,
        outbox: Outbox,
        on_change: Callable[[SinkState], object] | None = None,
        linger_s: float = LINGER_S,
    ) -> None:
        self._name = f"{kind} {transport.name}"
        self._transport, self._outbox, self._linger_s = transport, outbox, linger_s
        self._on_change = on_change
        self._told: tuple[object, ...] = ()
        self._state: SinkCondition = "waiting"
        self._sentence = "no connection yet"
        self._refusal = ""
        self._upto: int | None = None  # the last event of a batch that may have arrived
        self._wake, self._stopped, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"deliver to {transport.name}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> SinkState:
        """How it is now; may be asked on any thread."""
        outbox = self._outbox
        waiting, dropped, rejected = outbox.waiting, outbox.dropped, outbox.rejected
        parts = [self._sentence]
        if waiting and self._state != "connected":
            parts.append(f"{_events(waiting)} waiting in {outbox.folder}")
        if dropped:
            parts.append(f"{_events(dropped)} dropped, as there was no room for more")
        if rejected:
            parts.append(f"{_events(rejected)} refused: {self._refusal or 'not readable'}")
        if outbox.trouble:
            parts.append(outbox.trouble)
        return SinkState(
            name=self._name,
            state=self._state,
            waiting=waiting,
            dropped=dropped,
            rejected=rejected,
            sentence="; ".join(parts),
        )

    def announce(self, stream: str, *, name: str | None = None, alerts: Sequence[str] = ()) -> None:
        """Expect a stream, so that a receiver knows its alerts before they begin; again where that changes.

        Args:
            stream: As its events name it.
            name: What people call it; None takes `stream`.
            alerts: What each of them looks for; those that were named before and are not any more are forgotten.
        """
        self._transport.announce(stream, name or stream, alerts)

    def write(self, event: Event) -> None:
        """Keep an event until it is delivered."""
        self._outbox.put(event)
        self._wake.set()

    def close(self) -> None:
        """Deliver what is left, as long as that goes well and in time; the rest waits for the next process."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._thread.join(self._linger_s)
        self._stopped.set()
        self._thread.join(JOIN_S)
        self._outbox.close()
        sentence = "closed"
        if self._outbox.waiting:
            sentence += f": the next process that uses {self._outbox.folder.parent} delivers the rest"
        elif not self._outbox.rejected:
            return  # all is told
        self._set("waiting" if self._state == "connected" else self._state, sentence)

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            last = self._closing.is_set()
            try:
                idle = self._deliver()
            except DeliveryError as error:
                failures += 1
                self._pause(error, BACKOFF.wait_s(failures))
                if last and failures >= LAST_ATTEMPTS:
                    break
                continue
            failures = 0
            if idle and last:
                break
            if idle:
                self._outbox.tidy()
                self._wake.wait(IDLE_S)
                self._wake.clear()
        self._transport.disconnect()
        self._outbox.tidy()

    def _deliver(self) -> bool:
        """Deliver the oldest events; whether there is none."""
        self._transport.connect(Deadline(ATTEMPT_S, stopped=self._stopped))
        self._set("connected", "connected")
        entries = self._outbox.first(self._transport.batch, upto=self._upto)
        if not entries:
            idle, self._upto = self._upto is None, None
            return idle
        self._upto = entries[-1].id
        try:
            self._send(entries)
        except RejectedError as error:
            if len(entries) > 1:  # which of them is it?
                self._deliver_each(entries)
            else:
                self._reject(entries[0], error)
        else:
            self._outbox.remove(upto=entries[-1].id)
        self._upto = None
        return False

    def _send(self, entries: Sequence[OutboxEntry]) -> None:
        self._transport.send(entries, Deadline(ATTEMPT_S, stopped=self._stopped))

    def _deliver_each(self, entries: Sequence[OutboxEntry]) -> None:
        for entry in entries:
            try:
                self._send([entry])
            except RejectedError as error:
                self._reject(entry, error)
            else:
                self._outbox.remove(upto=entry.id)

    def _reject(self, entry: OutboxEntry, error: RejectedError) -> None:
        self._refusal = str(error)
        self._outbox.reject(entry, str(error))
        self._set(self._state, self._sentence)

    def _pause(self, error: DeliveryError, wait_s: float) -> None:
        """Wait before the next attempt; the end of the run ends that."""
        if error.needs_help:
            wait_s = HELP_S
        wait_s = min(max(wait_s, error.retry_after_s), MAX_RETRY_S)
        self._set("failed" if error.needs_help else "waiting", str(error))
        self._outbox.tidy()
        if self._closing.is_set():
            self._stopped.wait(LAST_PAUSE_S)
        end_s = time.monotonic() + wait_s
        while not self._closing.is_set() and (left_s := end_s - time.monotonic()) > 0:
            self._closing.wait(min(IDLE_S, left_s))
            self._outbox.tidy()

    def _set(self, state: SinkCondition, sentence: str) -> None:
        """Note how it is, and tell it where that is news."""
        self._state, self._sentence = state, sentence
        outbox = self._outbox
        news = (state, sentence, outbox.trouble, outbox.dropped > 0, outbox.rejected > 0)
        if news != self._told:
            self._told = news
            if self._on_change is not None:
                self._on_change(self.state)


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"
