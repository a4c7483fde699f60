"""How late events are: from when a window's last frame was due, by a clock that a test turns."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.measure.tune.paced import ClockedSource, Lateness, TimedSession


class Frames(vj.Source):
    """A frame every quarter of a second, two of them late."""

    name, live = "door", True

    def frames(self, hints: Any = vj.EVERY_FRAME) -> Iterator[Any]:
        yield vj.SourceStatus(kind="connected", message="here")
        for index in range(12):
            yield vj.Frame(image=np.zeros((2, 2, 3), np.uint8), time_s=10 + index / 4, index=index)

    def close(self) -> None:
        """Nothing is held."""


def window(number: int, end_s: float) -> Any:
    return SimpleNamespace(index=number, end_s=end_s)


def test_it_counts_from_when_the_last_frame_was_due() -> None:
    now = [100.0]
    source = ClockedSource(Frames(), clock=lambda: now[0])
    late = Lateness(source, 0.25, clock=lambda: now[0])
    items = source.frames()
    for _ in range(10):  # one status, frames at 10.0 to 12.0 s of the stream; the clock says 100 at the first
        next(items)
    now[0] = 102.3
    late.told(
        window(0, 12.0)
    )  # its last frame is that of 11.75 s, which the one at 12.0 s ends: due at 102.0
    assert late.windows_ms == {0: pytest.approx(300)}
    now[0] = 102.4
    late.told(window(1, 12.25))
    assert late.windows_ms.keys() == {0}  # of a frame that never came: the end of the stream
    now[0] = 102.5
    late.told(window(0, 12.0))
    assert late.windows_ms == {0: pytest.approx(500)}
    assert source.due_s(11.8) == pytest.approx(102)


def test_the_clock_runs_from_the_first_frame_however_late_the_others_are_taken() -> None:
    now = [0.0]
    source = ClockedSource(Frames(), clock=lambda: now[0])
    for item in source.frames():
        now[0] += 5 if isinstance(item, vj.Frame) else 0
    assert source.due_s(10.0) == pytest.approx(0.25)


class Telling(TimedSession):
    """A session whose windows take as long as a clock is turned."""

    def __init__(self, late: Any) -> None:
        self.late = late


def test_words_count_for_the_window_that_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    event = vj.Event(stream="s", kind="segment")
    monkeypatch.setattr(vj.Session, "tell", lambda self, predicted: iter([event, lambda: [event, event]]))
    session = Telling(SimpleNamespace(told=lambda window: told.append(window.index)))
    waiting = []
    for number in range(2):
        predicted: Any = SimpleNamespace(window=window(number, 0.0))
        first, words = session.tell(predicted)
        assert first is event
        waiting.append(words)
    assert told == [0, 1]  # without their words
    assert [words() for words in waiting] == [[event, event]] * 2  # type: ignore[operator]
    assert told == [0, 1, 0, 1]
