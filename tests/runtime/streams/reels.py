"""Sources from memory and a model that waits, to run groups of streams with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import vljepa_runtime as vj
from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints, Item, Source, SourceStatus

PATIENCE_S = 30.0


class Reel(Source):
    """Coloured noise from memory at 8 fps; may break, speak or wait on its way."""

    def __init__(
        self,
        seconds: float = 6.0,
        *,
        seed: int = 0,
        live: bool = False,
        extra: dict[int, BaseException | SourceStatus | Callable[[], object]] | None = None,
    ) -> None:
        self.name, self.live = f"reel {seed}", live
        self.given = self.closed = 0
        self._count, self._seed, self._extra = round(seconds * 8), seed, extra or {}

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        noise = np.random.RandomState(self._seed)
        for index in range(self._count):
            extra = self._extra.get(index)
            if isinstance(extra, BaseException):
                raise extra
            if isinstance(extra, SourceStatus):
                yield extra
            elif extra is not None:
                extra()
            image = noise.randint(0, 40, (16, 24, 3)).astype(np.uint8)
            image[..., 3 * index // self._count] += 200
            self.given += 1
            yield Frame(image=image, time_s=index / 8, index=index)

    def close(self) -> None:
        self.closed += 1


class Slow:
    """A model that asks before it encodes a window, and tells what it was asked to decode."""

    def __init__(self, model: vj.Model, before: Callable[[], object] = lambda: None) -> None:
        self._model, self.before = model, before
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode_on_device(self, patches: Any, positions: Any) -> Any:
        self.batches.append(1)
        self.before()
        return self._model.encode_on_device(patches, positions)

    def encode_batch(self, patches: Any, positions: Any) -> Any:
        self.batches.append(len(patches))
        self.before()
        return self._model.encode_batch(patches, positions)

    def session(self, **options: Any) -> vj.Session:
        return vj.Session(self, **options)  # type: ignore[arg-type]


def told(event: vj.Event) -> tuple[object, ...]:
    """What an event says, without its clocks."""
    return event.kind, event.start_s, event.end_s, event.text, event.query, event.score, event.embedding


def run(group: vj.SessionGroup) -> dict[str, list[vj.Event]]:
    """The events of each stream."""
    found: dict[str, list[vj.Event]] = {name: [] for name in group.stats}
    for event in group.run():
        found[event.stream].append(event)
    return found


def alone(model: vj.Model, source: Source, **options: Any) -> list[vj.Event]:
    with model.session(**options) as session:
        return list(session.run(source))


def pending(event: vj.Event) -> bool:
    return event.kind == "segment"


def runs(group: vj.SessionGroup) -> tuple[threading.Thread, list[vj.Event]]:
    """The group on a thread of its own, and the events that it has given."""
    found: list[vj.Event] = []
    thread = threading.Thread(target=lambda: found.extend(group.run(until_stopped=True)), daemon=True)
    thread.start()
    return thread, found


def wait_for(holds: Callable[[], object]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)
