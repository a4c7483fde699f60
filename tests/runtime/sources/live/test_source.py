"""A live source reconnects, gives up, ends and keeps to the rate that was asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Hints, SourceStatus
from vljepa_runtime.sources.live.deadline import ConnectionLostError
from vljepa_runtime.sources.live.source import Backoff, LiveSource

FAST = Backoff(first_s=0.05, cap_s=0.2)


def kinds(items: list[Frame | SourceStatus]) -> list[str]:
    return ["frame" if isinstance(item, Frame) else item.kind for item in items]


class Scripted:
    """A connection that gives some pictures and then breaks or waits."""

    note = ""

    def __init__(self, pictures: int, *, then: str = "lost", pause_s: float = 0.0) -> None:
        self.pictures_left = pictures
        self.then = then
        self.pause_s = pause_s
        self.closed = threading.Event()

    def pictures(self, interval_s: float | None = None) -> Iterator[Callable[[int | None], np.ndarray]]:
        for _ in range(self.pictures_left):
            time.sleep(self.pause_s)
            yield lambda short_side: np.zeros((4, 4, 3), np.uint8)
        if self.then == "lost":
            raise ConnectionLostError("rtsp://a:secret@h/ went away")
        if self.then == "bug":
            raise RuntimeError("unforeseen")

    def close(self) -> None:
        self.closed.set()


class TestLiveSource:
    def test_gives_up_when_it_never_worked(self) -> None:
        calls: list[int] = []

        def connect() -> Scripted:
            calls.append(1)
            raise ConnectionLostError("rtsp://a:secret@h/ refused")

        source = LiveSource("rtsp://a:secret@h/", connect, backoff=FAST)
        seen: list[SourceStatus | Frame] = []
        with pytest.raises(
            SourceError, match=r"rtsp://\*\*\*@h/: no picture after 3 attempts.*\*\*\*@h/ refused"
        ):
            seen.extend(source)
        assert len(calls) == 3
        source.close()

    def test_refusal_at_first_is_final_and_later_is_not(self) -> None:
        answers: list[Scripted | SourceError] = [
            Scripted(1),
            SourceError("no entry"),
            Scripted(1, then="end"),
        ]

        def connect() -> Scripted:
            answer = answers.pop(0) if answers else Scripted(0, then="end")
            if isinstance(answer, SourceError):
                raise answer
            return answer

        with LiveSource("cam", connect, backoff=FAST) as source:
            words = [kinds([item])[0] for _, item in zip(range(6), source)]
        assert words == ["connected", "frame", "reconnecting", "reconnecting", "connected", "frame"]

        def refuse() -> Scripted:
            raise SourceError("no entry")

        with LiveSource("cam", refuse) as source, pytest.raises(SourceError, match="no entry"):
            list(source)

    def test_a_bug_in_the_reader_is_not_silent(self) -> None:
        source = LiveSource("cam", lambda: Scripted(0, then="bug"))
        with source, pytest.raises(SourceError, match="cam: reading failed: unforeseen"):
            list(source)

    def test_close_ends_thread_and_iteration(self) -> None:
        connection, before = Scripted(10**6, pause_s=0.005), set(threading.enumerate())
        source = LiveSource("cam", lambda: connection)
        count = 0
        for item in source:
            count += isinstance(item, Frame)
            if count == 3:
                source.close()
        assert count == 3
        assert connection.closed.wait(1)
        assert set(threading.enumerate()) <= before

    def test_close_before_the_start(self) -> None:
        source = LiveSource("cam", lambda: Scripted(5))
        source.close()
        assert list(source) == []

    def test_close_during_a_long_wait(self) -> None:
        def connect() -> Scripted:
            raise ConnectionLostError("gone")

        source = LiveSource("cam", connect, backoff=Backoff(first_s=60, cap_s=60))
        assert next(iter(source)).kind == "reconnecting"  # type: ignore[union-attr]
        begun = time.monotonic()
        source.close()
        assert time.monotonic() - begun < 1.5

    def test_hint_limits_the_rate(self) -> None:
        hints = Hints(min_interval_s=0.2)
        with LiveSource("cam", lambda: Scripted(10**6, pause_s=0.002)) as source:
            frames = [item for _, item in zip(range(6), source.frames(hints)) if isinstance(item, Frame)]
        assert min(np.diff([f.time_s for f in frames])) >= 0.05

    def test_backoff_doubles_to_its_cap(self) -> None:
        plain = Backoff(first_s=0.5, cap_s=10, jitter=0)
        assert [plain.wait_s(n) for n in (1, 2, 3, 5, 6, 500)] == [0.5, 1, 2, 8, 10, 10]
        waits = [Backoff(first_s=4, jitter=0.5).wait_s(1) for _ in range(200)]
        assert 2 <= min(waits) < 2.5
        assert 3.5 < max(waits) <= 4
