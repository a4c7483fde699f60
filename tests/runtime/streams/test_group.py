"""Several streams through one model: what each gives, and who waits for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reels import PATIENCE_S, Reel, Slow, alone, run, told

import vljepa_runtime as vj
from vljepa_runtime.predicting import PreparedWindow, predict_windows
from vljepa_runtime.preparing import WindowPreparer
from vljepa_runtime.selection.protocol import Decision, Observation
from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints, Item
from vljepa_runtime.streams import group as group_module


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


def prepared(model: vj.Model, tokens: str, seed: int) -> PreparedWindow:
    """A window of one picture of noise, again and again."""
    image = np.random.RandomState(seed).randint(0, 255, (16, 24, 3)).astype(np.uint8)
    preparer = WindowPreparer(model, tokens=tokens, carry_s=0, pools=False)
    (window, *_) = windows_of(
        model, (Frame(image=image, time_s=index / 8, index=index) for index in range(32))
    )
    return preparer.prepared(window, ("what is red ?",))


def windows_of(model: vj.Model, frames: Iterable[Frame]) -> Iterator[vj.Window]:
    sampler = vj.WindowSampler(model.preprocess)
    for frame in frames:
        yield from sampler.push(frame)


def test_windows_whose_tubelets_stand_for_others_are_batched_with_such_alone(model: vj.Model) -> None:
    """A budget of as many tubelets as `static` keeps leaves out places, so the predictor sees fewer tokens."""
    static = [prepared(model, "static", seed) for seed in range(2)]
    (count,) = {len(window.patches) for window in static}
    assert count < model.preprocess.tokens
    budget = prepared(model, f"budget:{count}", 2)
    session = SimpleNamespace(queries=("what is red ?",))
    first, second, other = (
        (SimpleNamespace(session=session), SimpleNamespace(window=window)) for window in (*static, budget)
    )
    assert group_module._go_together(first, second)  # type: ignore[arg-type]
    assert not group_module._go_together(first, other)  # type: ignore[arg-type]
    batched = predict_windows(model, static, session.queries)
    for window, found in zip(static, batched):
        (alone_,) = predict_windows(model, [window], session.queries)
        np.testing.assert_allclose(found.embeddings, alone_.embeddings, atol=1e-5)
        np.testing.assert_array_equal(
            alone_.embeddings[0], model.embed(window.window.clip, session.queries[0], tokens="static")
        )


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
