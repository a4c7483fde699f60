"""How streams of a group end: Ctrl-C, a stop, a loop that is left."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
from reels import PATIENCE_S, Reel, pending, run

import vljepa_runtime as vj
from vljepa_runtime.sources.protocol import Frame


@pytest.mark.parametrize("live", [False, True])
def test_ctrl_c_gives_what_is_pending_in_all_and_goes_on(model: vj.Model, live: bool) -> None:
    interrupted = Reel(seed=1, live=live, extra={26: KeyboardInterrupt()})
    forever = Reel(
        3600.0, seed=2, live=live, extra=dict.fromkeys(range(30, 28800), partial(time.sleep, 0.02))
    )
    events: list[vj.Event] = []
    with vj.SessionGroup() as group:
        for source in (interrupted, forever):
            group.add(source, model.session(select="ward:2", decode="never"))
        with pytest.raises(KeyboardInterrupt):
            events.extend(group.run())
    assert {event.stream for event in events if pending(event)} == {"reel 1", "reel 2"}
    assert {event.kind for event in events} == {"status", "segment"}
    assert group.failures == {}
    assert forever.closed


def test_stop_ends_all_and_gives_what_is_pending(model: vj.Model) -> None:
    with vj.SessionGroup() as group:
        for seed in (1, 2):
            group.add(Reel(3600.0, seed=seed), model.session(select="ward:2", decode="never"))
        seen = 0

        def stop_soon(frame: Frame) -> None:
            nonlocal seen
            seen += 1
            if seen == 100:
                group.stop()

        group.add(Reel(3600.0, seed=3), model.session(select="ward:2", decode="never"), on_frame=stop_soon)
        found = run(group)
    assert all(any(map(pending, events)) for events in found.values())
    assert group.failures == {}


def test_stop_does_not_wait_for_a_source_that_hangs(model: vj.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.streams.group.PENDING_S", 0.3)
    hangs, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        let_go.wait(PATIENCE_S)

    with vj.SessionGroup() as group:
        group.add(Reel(seed=1, extra={30: hang}), model.session(select="ward:1", decode="never"))
        threading.Thread(target=lambda: (hangs.wait(PATIENCE_S), group.stop()), daemon=True).start()
        found = run(group)
        assert not let_go.is_set()
        let_go.set()
    assert [event.kind for event in found["reel 1"]] == ["status", "segment"]


def test_leaving_the_loop_closes_all(model: vj.Model) -> None:
    sources = [Reel(3600.0, seed=seed) for seed in (1, 2)]
    before = threading.active_count()
    with vj.SessionGroup() as group:
        for source in sources:
            group.add(source, model.session(select="every"))
        for event in group.run():
            if event.kind == "segment":
                break
    assert all(source.closed for source in sources)
    deadline = time.monotonic() + PATIENCE_S
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
