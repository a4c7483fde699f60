"""Pictures that are on show for long: one window each, one decoding each, times to the frame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.sampling import Window, WindowSampler
from vljepa_runtime.selection import (
    EveryWindow,
    OfflineWard,
    OnlineSelection,
    Uniform,
    run_policy,
    ward_segments,
)
from vljepa_runtime.selection.protocol import Observation
from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints, Source

PRE = Preprocess(frames=8, fps=4.0, size=4, patch=2)
SCENES = 12


class Slides(Source):
    """Scenes from memory, one picture each, at the given times; the last ends at `end_s`."""

    name = "slides"

    def __init__(self, times: list[float], end_s: float, *, live: bool = False, size: int = 24) -> None:
        self.live = live
        self._times, self._end_s, self._size = times, end_s, size

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Frame]:
        ends = [*self._times[1:], self._end_s]
        for index, (time_s, end_s) in enumerate(zip(self._times, ends)):
            image = np.random.default_rng(index).integers(0, 255, (self._size, self._size, 3), np.uint8)
            duration_s = None if self.live else end_s - time_s
            yield Frame(image=image, time_s=time_s, index=index, duration_s=duration_s)

    def close(self) -> None:
        pass


def seen(source: Slides, stride_s: float = 1.0) -> list[Observation]:
    """What a policy sees: each scene a direction of its own, a mixture the mean of its samples."""
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(SCENES, SCENES)))[0].astype(np.float32)
    images = [frame.image for frame in source]

    def embedding(window: Window) -> np.ndarray:
        which = [next(n for n, image in enumerate(images) if (image == f).all()) for f in window.clip.frames]
        return np.asarray(directions[which].mean(axis=0), np.float32)

    sampler = WindowSampler(PRE, stride_s)
    windows = [w for frame in source for w in sampler.push(frame)] + list(sampler.flush())
    return [
        Observation(index=w.index, start_s=w.start_s, end_s=w.end_s, embedding=embedding(w), held=w.held)
        for w in windows
    ]


def regular(step_s: float, count: int) -> tuple[list[float], float]:
    return [step_s * number for number in range(count)], step_s * count


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
@pytest.mark.parametrize("stride_s", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("step_s", [2.0, 2.002, 2.2, 2.9, 3.0, 5.0, 5.3, 10.0, 60.0, 3600.0])
def test_each_scene_is_one_segment_exact_to_the_frame(step_s: float, stride_s: float, live: bool) -> None:
    times, end_s = regular(step_s, 7)
    source = Slides(times, end_s, live=live, size=4)
    decisions = run_policy(OnlineSelection(), seen(source, stride_s))
    bounds = [*times, end_s if not live else times[-1] + 2]  # nobody knows how long the last live one will be
    starts = [d.start_s for d in decisions]
    assert starts == pytest.approx(times[: len(starts)])
    assert len(starts) >= len(times) - live
    for decision, begin_s, until_s in zip(decisions, bounds, bounds[1:]):
        assert begin_s - 1e-6 <= decision.start_s < decision.end_s <= until_s + 1e-6


@pytest.mark.parametrize("smooth", [1, 3])
def test_a_hole_between_motion_is_one_segment_over_all_of_it(smooth: int) -> None:
    """Scene 0 moves for 10 s, one picture of scene 1 stays for 7 hours, scene 2 moves."""
    directions = np.eye(3, dtype=np.float32)
    hole_s = 7 * 3600.0

    def at(begin_s: float, scene: int, index: int) -> Observation:
        return Observation(index=index, start_s=begin_s, end_s=begin_s + 2, embedding=directions[scene])

    before = [at(float(n), 0, n) for n in range(8)]
    hold = Observation(index=8, start_s=9.96, end_s=9.96 + hole_s, embedding=directions[1], held=25_198)
    after = [at(10.0 + hole_s + n, 2, 9 + n) for n in range(8)]
    decisions = run_policy(OnlineSelection(smooth=smooth), [*before, hold, *after])
    assert len(decisions) == 3
    assert (decisions[1].start_s, decisions[1].end_s) == (9.96, 9.96 + hole_s)
    assert decisions[2].start_s == pytest.approx(10.0 + hole_s, abs=0.1)


def test_windows_that_reach_into_a_held_picture_do_not_settle_though_they_agree() -> None:
    one, mixed, other = np.eye(3, dtype=np.float32)
    values = [(0.0, 5.0, one, 4), (3.5, 5.5, mixed, 0), (4.0, 6.0, mixed, 0), (5.0, 10.0, other, 4)]
    found = [
        Observation(index=n, start_s=a, end_s=b, embedding=e, held=held)
        for n, (a, b, e, held) in enumerate(values)
    ]
    decisions = run_policy(OnlineSelection(), found)
    assert [(d.start_s, d.end_s) for d in decisions] == [(0.0, 5.0), (5.0, 10.0)]


def test_under_a_budget_the_picture_that_was_held_longest_speaks() -> None:
    one, other, third = np.eye(3, dtype=np.float32)
    values = [(0.0, 5.0, third, 4), (5.0, 40.0, one, 34), (40.0, 43.0, other, 2)]
    found = [
        Observation(index=n, start_s=a, end_s=b, embedding=e, held=held)
        for n, (a, b, e, held) in enumerate(values)
    ]
    _, merged = run_policy(OnlineSelection(per_minute=0.01, burst=1), found)
    assert merged.embedding @ one > 0.99
    assert (merged.start_s, merged.end_s, merged.merged) == (5.0, 43.0, 1)
    assert merged.time_s == 22.5


@pytest.mark.parametrize("pooling", ["point", "mean"])
def test_uniform_decodes_a_held_picture_once(pooling: str) -> None:
    times, end_s = regular(600.0, 3)
    windows = seen(Slides(times, end_s, size=4))
    decisions = run_policy(Uniform(10.0, pooling=pooling), windows)  # type: ignore[arg-type]
    assert 3 <= len(decisions) <= len(windows) == 5
    assert {d.start_s for d in decisions} >= ({0.0, 600.0, 1200.0} if pooling == "point" else {0.0})


def test_every_window_gives_a_held_picture_once() -> None:
    times, end_s = regular(5.0, 4)
    decisions = run_policy(EveryWindow(), seen(Slides(times, end_s, size=4)))
    held = [(d.start_s, d.end_s) for d in decisions if d.end_s - d.start_s == 5.0]
    assert held == [(0, 5), (5, 10), (10, 15), (15, 20)]
    assert len(decisions) == 7


@pytest.mark.parametrize("seed", range(10))
def test_ward_weighs_a_held_picture_as_the_windows_it_stands_for(seed: int) -> None:
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(30, 5))
    weights = random.integers(1, 9, 30)
    spread = np.repeat(embeddings, weights, axis=0)  # the plain twin: every window is given
    firsts = np.cumsum([0, *weights[:-1]])
    for segments in (1, 4, 11, 30):
        found = ward_segments(embeddings, segments, weights=weights)
        assert firsts[found].tolist() == ward_segments(spread, segments).tolist()


@pytest.mark.parametrize("pooling", ["mean", "midpoint"])
def test_ward_says_the_picture_that_was_held(pooling: str) -> None:
    one, other = np.eye(2, dtype=np.float32)
    held = [(0.0, 1000.0, one, 999), (999.0, 1001.0, other, 0), (1000.0, 1002.0, other, 0)]
    found = [
        Observation(index=n, start_s=a, end_s=b, embedding=e, held=count)
        for n, (a, b, e, count) in enumerate(held)
    ]
    (decision,) = run_policy(OfflineWard(1, pooling=pooling), found)  # type: ignore[arg-type]
    assert decision.embedding @ one > 0.99
    assert (decision.start_s, decision.end_s) == (0.0, 1002.0)


class TestSession:
    def test_an_hour_of_one_picture_a_minute(self, model: vj.Model) -> None:
        times, end_s = regular(60.0, 60)
        with model.session(select=EveryWindow(), decode="never") as session:
            events = [e for e in session.run(Slides(times, end_s)) if e.kind == "segment"]
        assert 60 <= session.stats.windows == len(events) <= 60 + 59  # each picture, and mixtures in between
        assert session.stats.media_s == events[-1].end_s == 3600.0
        assert [e.start_s for e in events if e.end_s - e.start_s == 60] == times
        assert all(one.start_s < other.start_s for one, other in pairwise(events))

    def test_a_hole_of_hours_costs_nothing(self, model: vj.Model) -> None:
        times = [n / 8 for n in range(40)] + [25_000 + n / 8 for n in range(40)]
        with model.session(select=EveryWindow(), decode="never") as session:
            events = [e for e in session.run(Slides(times, 25_005.0)) if e.kind == "segment"]
        assert session.stats.windows == len(events) < 15
        assert max(e.end_s - e.start_s for e in events) == pytest.approx(25_000 - 39 / 8)
        assert events[-1].end_s == 25_005.0

    @pytest.mark.parametrize(("step_s", "windows"), [(1.0, 12), (5.0, 12), (30.0, 12)])
    def test_a_slow_camera(self, model: vj.Model, step_s: float, windows: int) -> None:
        """Pauses are lost pictures where nobody says how long one is on show: each has a window of its own."""
        times, end_s = regular(step_s, windows)
        with model.session(select=EveryWindow(), decode="never") as session:
            events = [e for e in session.run(Slides(times, end_s, live=True)) if e.kind == "segment"]
        assert [e.start_s for e in events][:-1] == times[: len(events) - 1]
        assert windows - 1 <= len(events) <= windows
        assert all(e.end_s <= time_s + max(step_s, 2) for e, time_s in zip(events, times))

    def test_its_window_equals_the_model(self, model: vj.Model) -> None:
        """A window of one held picture is that picture, as often as the model wants frames."""
        source = Slides([0.0, 30.0], 60.0)
        with model.session(select=EveryWindow()) as session:
            events = [e for e in session.run(source) if e.kind == "segment"]
        image = next(iter(source)).image
        expected = model.decode(model.embed(np.stack([image] * model.preprocess.frames)))
        assert (events[0].start_s, events[0].end_s, events[0].text) == (0.0, 30.0, expected)
