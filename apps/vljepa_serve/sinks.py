"""Receivers behind a network, as the configuration names them: opened, changed and closed while cameras go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from vljepa_runtime import Event, VljepaError
from vljepa_runtime.closing import Closing
from vljepa_runtime.redaction import redact
from vljepa_runtime.sinks import NETWORK_SINKS, NetworkSink
from vljepa_serve.config import Config

__all__ = ["Sinks"]


class Sinks(Closing):
    """What events are sent to.

    Args:
        outbox: Folder of what waits to be delivered.
        problem: Is told which receiver cannot be opened.
    """

    def __init__(self, outbox: Path, problem: Callable[[str, str], object]) -> None:
        self._outbox, self._problem = outbox, problem
        self._lock = threading.Lock()
        self._open: list[tuple[Mapping[str, Any], NetworkSink]] = []

    def apply(self, config: Config) -> None:
        """Take over a configuration: receivers that stay are left alone."""
        with self._lock:
            before, kept = self._open, []
            for index, values in enumerate(config.sink):
                found = next((sink for old, sink in before if old == values), None)
                if found is None:
                    found = self._opened(index, values)
                if found is not None:
                    kept.append((values, found))
            self._open = kept
            gone = [sink for _, sink in before if all(sink is not other for _, other in kept)]
        for sink in gone:
            sink.close()
        for camera in config.camera:
            alerts = [alert for alert in config.alert if alert.watches(camera.id)]
            for values, sink in kept:
                words = [alert.query for alert in alerts if alert.tells(values["kind"])]
                sink.announce(camera.id, name=camera.name, alerts=words)

    def _opened(self, index: int, values: Mapping[str, Any]) -> NetworkSink | None:
        options = dict(values)
        kind, address = options.pop("kind", ""), options.pop("address", "")
        form = next((each for each in NETWORK_SINKS if each.option == kind), None)
        about = f"sink {index + 1}"
        try:
            if form is None:
                known = ", ".join(each.option for each in NETWORK_SINKS)
                raise VljepaError(f"expected kind to be one of {known}, got {str(kind)[:40]!r}")
            opened = form.open(address, outbox=self._outbox, **options)
        except (VljepaError, TypeError) as error:
            self._problem(about, f"Nothing is sent to receiver {index + 1}: {redact(str(error))}")
            return None
        self._problem(about, "")
        return opened

    def write(self, event: Event, *, only: Collection[str] | None = None) -> None:
        """Send an event to all, or only to receivers of some kinds; never waits."""
        for values, sink in self._open:
            if only is None or values["kind"] in only:
                sink.write(event)

    def states(self) -> list[dict[str, Any]]:
        """How they are."""
        found = [sink.state for _, sink in self._open]
        return [
            {
                "name": each.name,
                "state": each.state,
                "waiting": each.waiting,
                "dropped": each.dropped,
                "rejected": each.rejected,
                "sentence": each.sentence,
            }
            for each in found
        ]

    def close(self) -> None:
        """Let go of all; what waits is delivered by the next process."""
        with self._lock:
            opened, self._open = self._open, []
        for _, sink in opened:
            sink.close()
