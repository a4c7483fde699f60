"""Sources that are not there: which are waited for, and how long."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
from reels import PATIENCE_S, Reel, pending, run, runs, wait_for

import vljepa_runtime as vj
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.protocol import Source
from vljepa_runtime.streams import reader as reading


class Door:
    """What stands in for `open_source`: refuses so many times, then gives a live reel."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.asked = refusals, 0

    def __call__(self, spec: object, **options: object) -> Source:
        self.asked += 1
        if self.asked <= self.refusals:
            raise vj.SourceError("nobody answers")
        return Reel(3.0, seed=7, live=True)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    made = Door(refusals=5)
    monkeypatch.setattr(reading, "open_source", made)
    monkeypatch.setattr(reading, "Backoff", partial(Backoff, first_s=0.01, cap_s=0.01))
    return made


def test_a_server_that_is_not_there_yet_is_waited_for_while_others_run(model: vj.Model, door: Door) -> None:
    def others_wait() -> None:
        end_s = time.monotonic() + PATIENCE_S
        while door.asked <= door.refusals and time.monotonic() < end_s:
            time.sleep(0.01)

    with vj.SessionGroup() as group:
        group.add(Reel(seed=1, extra={20: others_wait}), model.session(select="every", decode="never"))
        group.add("http://127.0.0.1:9/live", model.session(select="every", decode="never"), name="late")
        found = run(group)
    remarks = [event.text for event in found["late"] if event.kind == "status"][1:]
    assert len(remarks) == 5
    assert remarks[0].startswith("reconnecting: nobody answers; trying again in 0.0 s")
    assert sum(map(pending, found["late"])) > 0
    assert (group.failures, group.stats["late"].reconnects) == ({}, 5)


def test_where_none_runs_a_server_is_given_up(model: vj.Model, door: Door) -> None:
    door.refusals = 10**9
    with vj.SessionGroup() as group:
        for name in ("one", "two"):
            group.add("rtsp://127.0.0.1:9/live", model.session(), name=name)
        found = run(group)
    for events in found.values():
        assert [event.kind for event in events] == ["status", "status", "status", "error"]
        assert events[-1].text == "SourceError: nobody answers"
    assert door.asked == 6


def test_a_file_that_cannot_be_opened_is_not_waited_for(model: vj.Model, tmp_path: Any) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with vj.SessionGroup() as group:
        name = group.add(broken, model.session())
        group.add(Reel(seed=1), model.session(select="every"))
        found = run(group)
    assert [event.kind for event in found[name]] == ["status", "error"]
    assert len(found["reel 1"]) == 7


class Unplugged:
    """Opens a source only after some attempts."""

    def __init__(self, error: Exception, attempts: int) -> None:
        self.error, self.left = error, attempts

    def __call__(self, spec: object, **options: object) -> Source:
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return Reel(3.0)


@pytest.mark.parametrize(
    ("error", "attempts", "state"),
    [
        pytest.param(vj.UnreachableError("no answer"), 9, "ended", id="not-there-yet"),
        pytest.param(vj.SourceError("no camera 7"), 3, "ended", id="refused-at-first"),
        pytest.param(vj.SourceError("no camera 7"), 9, "failed", id="refused"),
    ],
)
def test_a_patient_stream_waits_for_what_may_come(
    model: vj.Model, monkeypatch: pytest.MonkeyPatch, error: Exception, attempts: int, state: str
) -> None:
    monkeypatch.setattr(reading, "open_source", Unplugged(error, attempts))
    monkeypatch.setattr(Backoff, "wait_s", lambda self, attempt: 0.02)
    with vj.SessionGroup() as group:
        group.add(7, model.session(), name="door", patient=True)
        events = list(group.run())
        assert group.stats["door"].state == state
        lost = [event for event in events if event.text.startswith("reconnecting")]
        assert group.stats["door"].reconnects == len(lost) == (4 if state == "failed" else attempts)


def test_how_a_lost_stream_is_tried_again_is_told(model: vj.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "open_source", Unplugged(vj.UnreachableError("no answer"), 99))
    with vj.SessionGroup() as group:
        thread, _ = runs(group)
        group.add(7, model.session(), name="door", patient=True)
        wait_for(lambda: group.stats["door"].attempt >= 2)
        stats = group.stats["door"]
        assert stats.state == "reconnecting"
        assert stats.lost.startswith("no answer; trying again in")
        assert stats.retry_at is not None
        assert abs(stats.retry_at - time.time()) < PATIENCE_S
        group.stop()
        thread.join(PATIENCE_S)
