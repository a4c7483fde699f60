"""Several streams through one model: what each gives, who waits for whom, and how they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.selection.protocol import Decision, Observation
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints, Item, Source, SourceStatus
from vljepa_runtime.streams import reader as reading

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


@pytest.mark.parametrize("workers", [1, 3])
def test_each_stream_gives_what_it_gives_alone(model: vj.Model, workers: int) -> None:
    lengths = (3.0, 6.0, 9.5, 0.2)
    options = {"query": ["what is red ?", "what is there ?"], "embeddings": True, "stride_s": 0.5}
    with vj.SessionGroup(workers=workers) as group:
        for seed, seconds in enumerate(lengths):
            group.add(Reel(seconds, seed=seed), model.session(**options))  # type: ignore[arg-type]
        found = run(group)
    for seed, seconds in enumerate(lengths):
        expected = alone(model, Reel(seconds, seed=seed), **options)
        assert [told(event) for event in found[f"reel {seed}"]] == [told(event) for event in expected]
    assert group.failures == {}
    assert {stats.state for stats in group.stats.values()} == {"ended"}


def test_a_batch_gives_nearly_the_same(model: vj.Model) -> None:
    shared = Slow(model, before=partial(time.sleep, 0.01))
    with vj.SessionGroup(batch=3, workers=1) as group:
        for seed in range(3):
            group.add(Reel(9.0, seed=seed), shared.session(select="every", embeddings=True))
        found = run(group)
    assert max(shared.batches) > 1
    assert sum(shared.batches) == 27
    for seed in range(3):
        expected = alone(model, Reel(9.0, seed=seed), select="every", embeddings=True)
        assert [event.start_s for event in found[f"reel {seed}"]] == [event.start_s for event in expected]
        for one, other in zip(found[f"reel {seed}"][1:], expected[1:]):
            assert one.embedding == pytest.approx(other.embedding, abs=1e-5)


def test_streams_with_other_questions_are_not_batched_together(model: vj.Model) -> None:
    shared = Slow(model)
    with vj.SessionGroup(batch=2) as group:
        for query in ("what is red ?", "what is there ?"):
            group.add(Reel(4.0), shared.session(query=query, select="every"), name=query)
        found = run(group)
    assert set(shared.batches) == {1}
    for query, events in found.items():
        assert {event.query for event in events[1:]} == {query}


def test_of_a_live_stream_the_newest_window_waits_and_a_file_loses_none(model: vj.Model) -> None:
    read = threading.Event()
    live = Reel(20.0, seed=1, live=True, extra={159: read.set})
    file = Reel(20.0, seed=2)
    shared = Slow(model, before=lambda: read.wait(PATIENCE_S))
    with vj.SessionGroup() as group:
        for source in (live, file):
            group.add(source, shared.session(select="every", decode="never"))
        found = run(group)
    stats = group.stats
    starts = [event.start_s for event in found[live.name][1:]]
    assert starts == sorted(starts)
    assert starts[-1] == alone(model, Reel(20.0, seed=1), select="every")[-1].start_s
    assert stats[live.name].dropped > 10
    assert stats[live.name].dropped + stats[live.name].session.windows == stats[file.name].session.windows
    assert stats[file.name].dropped == 0
    assert len(found[file.name]) == 1 + stats[file.name].session.windows


def test_a_file_is_read_no_further_than_its_turn_has_come(model: vj.Model) -> None:
    files = [Reel(60.0, seed=seed) for seed in range(3)]
    ahead: list[int] = []

    def look() -> None:
        time.sleep(0.05)
        ahead.append(max(file.given for file in files))

    shared = Slow(model, before=look)
    with vj.SessionGroup(workers=1) as group:
        for file in files:
            group.add(file, shared.session(decode="never", select="every"))
        for event in group.run():
            if event.kind == "segment":
                break
    assert max(ahead) <= 8 * 5  # windows of two seconds, one a second


def test_the_death_of_a_stream_is_its_own(model: vj.Model) -> None:
    cut = Reel(seed=1, extra={20: vj.SourceError("the cable is out")})
    with vj.SessionGroup() as group:
        for source in (cut, Reel(seed=2)):
            group.add(source, model.session(select="every"))
        found = run(group)
    assert [event.kind for event in found["reel 1"]] == ["status", "segment", "segment", "error"]
    assert found["reel 1"][-1].text == "SourceError: the cable is out"
    expected = alone(model, Reel(seed=2), select="every")
    assert [told(event) for event in found["reel 2"]] == [told(event) for event in expected]
    assert [str(error) for error in group.failures.values()] == ["the cable is out"]
    assert (group.stats["reel 1"].state, group.stats["reel 1"].error) == ("failed", "the cable is out")
    assert group.stats["reel 2"].state == "ended"
    assert cut.closed


@pytest.mark.parametrize("batch", [1, 2])
def test_what_an_engine_cannot_do_ends_its_stream_alone(model: vj.Model, batch: int) -> None:
    class Picky(Slow):
        def encode_on_device(self, patches: Any, positions: Any) -> Any:
            self._refuse(patches)
            return super().encode_on_device(patches, positions)

        def encode_batch(self, patches: Any, positions: Any) -> Any:
            self._refuse(patches)
            return super().encode_batch(patches, positions)

        def _refuse(self, patches: Any) -> None:
            if patches.max() == 255:
                raise vj.RunError("no white, please")

    class White(Reel):
        def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
            for index in range(48):
                yield Frame(image=np.full((16, 24, 3), 255, np.uint8), time_s=index / 8, index=index)

    shared = Picky(model)
    with vj.SessionGroup(batch=batch) as group:
        for source in (White(seed=1), Reel(seed=2)):
            group.add(source, shared.session(select="every"))
        found = run(group)
    assert [event.kind for event in found["reel 1"]] == ["status", "error"]
    assert [event.kind for event in found["reel 2"]] == ["status", *["segment"] * 6]
    assert list(group.failures) == ["reel 1"]


def test_a_callback_that_fails_ends_its_stream_alone(model: vj.Model) -> None:
    def refuse(window: vj.Window, query: str, embedding: Any) -> None:
        raise vj.OutputError("the disk is full")

    with vj.SessionGroup() as group:
        group.add(Reel(seed=1), model.session(select="every"), on_window=refuse)
        group.add(Reel(seed=2), model.session(select="every"))
        found = run(group)
    assert [event.kind for event in found["reel 1"]] == ["status", "error"]
    assert len(found["reel 2"]) == 7


@pytest.mark.parametrize("live", [False, True])
def test_an_open_source_is_shown_before_its_first_window(model: vj.Model, live: bool) -> None:
    seen: list[object] = []
    source = Reel(3.0, live=live)
    with vj.SessionGroup() as group:
        group.add(
            source,
            model.session(select="every"),
            on_open=lambda opened: seen.append((opened, threading.current_thread())),
            on_window=lambda window, query, embedding: seen.append(window.index),
        )
        list(group.run())
    assert seen[0] == (source, threading.current_thread())
    assert seen[1:] == sorted(seen[1:])  # type: ignore[type-var]
    assert len(seen) > 1


class Many:
    """A policy that gives one window twenty times."""

    def start(self) -> Many:
        return self

    def push(self, seen: Observation) -> list[Decision]:
        embedding = np.asarray(seen.embedding, np.float32)
        time_s = seen.time_s
        return [
            Decision(start_s=seen.start_s, end_s=seen.end_s, time_s=time_s, embedding=embedding, score=0.0)
        ] * 20

    def finish(self) -> list[Decision]:
        return []


def test_the_words_of_one_stream_do_not_hold_up_another(model: vj.Model) -> None:
    class Wordy(Slow):
        def decode(self, embedding: Any) -> str:
            time.sleep(0.02)
            return "words"

    both = threading.Barrier(2)
    shared = Wordy(model, before=lambda: both.wait(PATIENCE_S))
    with vj.SessionGroup(workers=2) as group:
        for seed in (1, 2):
            group.add(Reel(0.2, seed=seed), shared.session(select=Many()))
        order = [event.stream for event in group.run() if event.kind == "segment"]
    assert len(order) == 40
    first, last = order[0], order[-1]
    assert first != last
    assert order.index(last) < 10  # and not after all of the other's


def pending(event: vj.Event) -> bool:
    return event.kind == "segment"


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


def test_names_are_unique(model: vj.Model) -> None:
    with vj.SessionGroup() as group:
        names = [group.add(Reel(1.0), model.session()) for _ in range(3)]
        assert names == ["reel 0", "reel 0 #2", "reel 0 #3"]
        assert group.add(Reel(1.0, seed=4), model.session(), name="door") == "door"
        with pytest.raises(vj.InputError, match="got 'door' twice"):
            group.add(Reel(1.0), model.session(), name="door")
        assert set(run(group)) == {*names, "door"}


def test_what_a_group_refuses(model: vj.Model) -> None:
    with vj.SessionGroup() as group:
        with pytest.raises(vj.InputError, match="add them first"):
            group.run()
        session = model.session()
        group.add(Reel(1.0), session)
        with pytest.raises(vj.InputError, match="two models"):
            group.add(Reel(1.0), Slow(model).session())
        with pytest.raises(vj.SourceError, match="no such file"):
            group.add("missing.mp4", model.session())
        with pytest.raises(vj.InputError, match="session"):
            group.add(Reel(1.0), model)  # type: ignore[arg-type]
        list(group.run())
        with pytest.raises(vj.InputError, match="has ended"):
            group.add(Reel(1.0), model.session())
        with pytest.raises(vj.InputError, match="runs once"):
            group.run()
    for options in ({"batch": 0}, {"workers": 0}):
        with pytest.raises(vj.InputError, match="at least 1"):
            vj.SessionGroup(**options)


def test_statistics_are_those_of_a_stream_alone(model: vj.Model) -> None:
    with vj.SessionGroup() as group:
        name = group.add(Reel(6.0), model.session(select="every"))
        assert (group.stats[name].state, group.stats[name].session.windows) == ("opening", 0)
        for _ in group.run():
            group.stats  # noqa: B018
    stats = group.stats[name]
    with model.session(select="every") as session:
        list(session.run(Reel(6.0)))
    counts = ("windows", "queries", "decisions", "decodings", "media_s")
    for count in counts:
        assert getattr(stats.session, count) == getattr(session.stats, count)
    assert 0 < stats.delay_p50_ms <= stats.delay_p95_ms
    assert 0 <= stats.session.overhead <= 1
    assert stats.session.latency["encode"].count == 6
    assert repr(group) == "<SessionGroup of 1 streams: reel 0 ended>"


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
