"""Streams that come, go and are slowed while the others run."""

from __future__ import annotations

import threading

import pytest
from reels import PATIENCE_S, Reel, alone, run, runs, wait_for

import vljepa_runtime as vj


def test_streams_come_and_go_while_the_others_run(model: vj.Model) -> None:
    gate = threading.Event()
    with vj.SessionGroup() as group:
        thread, found = runs(group)
        group.add(Reel(6.0, seed=1), model.session(embeddings=True), name="first")
        wait_for(lambda: group.stats["first"].state == "ended")
        group.add(Reel(6.0, seed=2, live=True, extra={40: gate.wait}), model.session(), name="waits")
        wait_for(lambda: group.stats["waits"].session.windows)
        group.add(Reel(6.0, seed=3), model.session(), name="third")
        group.remove("first")
        assert set(group.stats) == {"waits", "third"}
        group.add(Reel(3.0, seed=1), model.session(), name="first")  # its name is free again
        wait_for(lambda: group.stats["first"].state == "ended")
        wait_for(lambda: group.stats["third"].state == "ended")
        gate.set()
        wait_for(lambda: group.stats["waits"].state == "ended")
        assert thread.is_alive()
        group.stop()
        thread.join(PATIENCE_S)
    expected = alone(model, Reel(6.0, seed=1), embeddings=True)
    first = [event for event in found if event.stream == "first"]
    said = [(event.kind, event.start_s, event.end_s, event.text, event.embedding) for event in first]
    assert said[1 : len(expected)] == [
        (event.kind, event.start_s, event.end_s, event.text, event.embedding) for event in expected[1:]
    ]
    assert [event.kind for event in first].count("status") == 2
    assert {event.stream for event in found} == {"first", "waits", "third"}


def test_what_is_removed_gives_what_is_pending_and_closes_its_source(model: vj.Model) -> None:
    gate = threading.Event()
    reel = Reel(6.0, live=True, extra={40: gate.wait})
    with vj.SessionGroup() as group:
        thread, found = runs(group)
        group.add(reel, model.session(decode="never"), name="door")
        wait_for(lambda: group.stats["door"].session.windows >= 1)
        group.remove("door")
        assert found[-1].kind == "segment"  # it hung, and what it had shown is told
        assert reel.closed
        assert group.stats == {}
        with pytest.raises(vj.InputError, match="no stream 'door'"):
            group.remove("door")
        gate.set()
        group.stop()
        thread.join(PATIENCE_S)


def test_a_stream_may_be_removed_where_its_events_are_taken(model: vj.Model) -> None:
    with vj.SessionGroup() as group:
        group.add(Reel(20.0, seed=1), model.session(select="every"), name="short")
        group.add(Reel(6.0, seed=2), model.session(), name="whole")
        for event in group.run():
            if event.stream == "short" and event.kind == "segment" and "short" in group.stats:
                group.remove("short")
        assert set(group.stats) == {"whole"}
        assert group.stats["whole"].state == "ended"


def test_a_stream_removed_before_the_run_is_not_run(model: vj.Model) -> None:
    with vj.SessionGroup() as group:
        for name in ("one", "other"):
            group.add(Reel(2.0), model.session(), name=name)
        group.remove("one")
        assert set(run(group)) == {"other"}


def test_a_group_that_is_slowed_leaves_windows_of_live_streams_out_and_none_of_files() -> None:
    model = vj.load("tiny", threads=1)
    is_there, goes_on = threading.Event(), threading.Event()
    live = Reel(8, live=True, seed=1, extra={20: lambda: (is_there.set(), goes_on.wait(PATIENCE_S))})
    events: list[vj.Event] = []
    with vj.SessionGroup() as group:
        group.add(live, model.session(decode="never"), name="live")
        group.add(Reel(8, seed=2), model.session(decode="never"), name="file")
        group.slow(4)
        thread = threading.Thread(target=lambda: events.extend(group.run()))
        thread.start()
        assert is_there.wait(PATIENCE_S)
        group.slow(2, why="the processor has 84 °C")
        goes_on.set()
        thread.join(PATIENCE_S)
        slowed, file = group.stats["live"], group.stats["file"]
    assert (file.left_out, file.dropped) == (0, 0)
    assert slowed.left_out >= file.session.windows // 2 - 1
    assert slowed.left_out + slowed.dropped + slowed.session.windows == file.session.windows
    told = [(event.stream, event.text) for event in events if "84 °C" in event.text]
    assert told == [("live", "warning: the processor has 84 °C")]
