"""Windows from streams of any rate, against a slow plain twin."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing import sampling
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.sampling import Window, WindowSampler, hints_for
from vljepa_runtime.sources.protocol import Frame

PRE = Preprocess(frames=8, fps=4.0, size=4, patch=2)


def frame(time_s: float, index: int, duration_s: float | None = None) -> Frame:
    """A frame whose pixels say which one it is."""
    image = np.full((4, 4, 3), (index // 65536, index // 256 % 256, index % 256), np.uint8)
    return Frame(image=image, time_s=time_s, index=index, duration_s=duration_s)


def which(window: Window) -> list[int]:
    """Numbers of the frames in a window."""
    pixels = window.clip.frames[:, 0, 0].astype(int)
    return list(pixels @ (65536, 256, 1))


def windows(
    times: list[float], pre: Preprocess, stride_s: float, last_s: float | None = None, begin_s: float = 0.0
) -> list[Window]:
    """All windows; with `last_s`, the duration of the last frame, every frame says how long it is on show."""
    sampler = WindowSampler(pre, stride_s)
    durations = [None] * len(times) if last_s is None else [*np.diff(times).tolist(), last_s]
    found = [
        window
        for index, (time_s, duration_s) in enumerate(zip(times, durations))
        for window in sampler.push(frame(begin_s + time_s, index, duration_s))
    ]
    return found + list(sampler.flush())


def twin(
    times: list[float], pre: Preprocess, stride_s: float, last_s: float | None = None
) -> list[tuple[list[int], float, float, int]]:
    """Look at the whole list at once: at each instant, the last frame that has begun."""
    stride, size, step_s = max(1, round(stride_s * pre.fps)), pre.frames, 1 / pre.fps
    end_s = times[-1] + (last_s or 0.0)
    latest_s = max(times[-1] + 1e-3, end_s - step_s / 2 - 2e-3)
    picks: list[int] = []
    while not picks or len(picks) * step_s <= latest_s:
        picks.append(max(i for i, time_s in enumerate(times) if time_s <= len(picks) * step_s + 1e-3))
    end_s = end_s if last_s else len(picks) * step_s
    found: dict[tuple[float, int], tuple[list[int], float, float, int]] = {}  # when it is complete -> window
    held: dict[int, list[int]] = {}
    covered = 0
    for start in range(0, len(picks) - size + 1, stride):
        chosen = picks[start : start + size]
        if len(set(chosen)) == 1:
            held.setdefault(chosen[0], []).append(start)
        else:
            covered = max(covered, start + size)
            found[start + size, 0] = (chosen, start * step_s, min(end_s, (start + size) * step_s), 0)
    for one in set(picks):
        first, until = picks.index(one), len(picks) - picks[::-1].index(one)
        if one not in held and not until - first >= size >= stride:
            continue
        starts = held.get(one, [])
        covered = max(covered, until)
        ends_s = times[one + 1] if one + 1 < len(times) else end_s
        found[starts[0] + size if starts else until, 1] = ([one] * size, times[one], ends_s, len(starts) or 1)
    if covered < len(picks) and (not found or stride <= size):
        start = max(0, len(picks) - size)
        chosen = picks[start:] + [picks[-1]] * (start + size - len(picks))
        only = set(chosen) == {len(times) - 1}
        covered = len(picks)
        found[len(picks), 2] = (chosen, times[chosen[0]] if only else start * step_s, end_s, int(only))
    last = max(found)
    in_last_frame = found[last][0][-1] == len(times) - 1
    if covered == len(picks) and in_last_frame and not found[last][3]:  # nothing but this shows its rest
        found[last] = (*found[last][:2], end_s, found[last][3])
    return [found[key] for key in sorted(found)]


def regular(fps: float, seconds: float) -> list[float]:
    return list(np.arange(round(fps * seconds)) / fps)


def variable(seed: int, mean_s: float, count: int) -> list[float]:
    gaps = np.random.default_rng(seed).exponential(mean_s, count - 1)
    return [0.0, *np.cumsum(gaps).tolist()]


@pytest.mark.parametrize("last_s", [None, 0.04, 0.25, 1.1, 5.0])
@pytest.mark.parametrize("stride_s", [0.25, 1.0, 2.0, 3.0, 0.6])
@pytest.mark.parametrize(
    "times",
    [
        regular(30, 10),
        regular(30000 / 1001, 9.3),
        regular(4, 6),
        regular(5, 7.1),
        regular(1, 12),
        regular(0.3, 20),
        regular(0.2, 35),
        regular(0.4545, 20),
        regular(240, 3),
        [round(t, 3) for t in regular(16, 5)],
        variable(1, 0.05, 200),
        variable(2, 0.8, 30),
        [0.0],
        [0.0, 0.9],
        [0.0, 1.75],
        [0.0, 1.76, 1.9999],
    ],
    ids=lambda times: f"{len(times)} frames in {times[-1]:.2f} s",
)
def test_equals_the_plain_twin(times: list[float], stride_s: float, last_s: float | None) -> None:
    found = windows(times, PRE, stride_s, last_s)
    expected = twin(times, PRE, stride_s, last_s)
    assert [(which(w), pytest.approx(w.start_s), pytest.approx(w.end_s), w.held) for w in found] == expected
    assert [w.index for w in found] == list(range(len(found)))
    assert all(a.start_s < b.start_s and a.end_s <= b.end_s for a, b in pairwise(found))


@pytest.mark.parametrize("begin_s", [0.003, 0.083, 4.0, 3600.02])
def test_a_stream_that_begins_late_gives_the_same_windows_later(begin_s: float) -> None:
    for times in (regular(25, 7.3), regular(0.4, 20), variable(1, 0.05, 200)):
        now, later = windows(times, PRE, 1.0, 0.04), windows(times, PRE, 1.0, 0.04, begin_s)
        assert [which(w) for w in now] == [which(w) for w in later]
        assert [w.start_s + begin_s for w in now] == pytest.approx([w.start_s for w in later])
        assert [w.end_s + begin_s for w in now] == pytest.approx([w.end_s for w in later])


@pytest.mark.parametrize("fps", [8, 24, 25, 30000 / 1001, 50, 60])
def test_the_last_window_ends_with_the_stream_to_the_frame(fps: float) -> None:
    for count in (1, 7, 50, 253):
        last = windows(regular(fps, count / fps), PRE, 1.0, 1 / fps)[-1]
        assert count / fps - 1 / fps < last.end_s <= count / fps + 1e-9


def test_windows_come_as_early_as_possible() -> None:
    sampler = WindowSampler(PRE, 1.0)
    times = regular(10, 4)
    arrived = {w.start_s: t for i, t in enumerate(times) for w in sampler.push(frame(t, i))}
    assert arrived[0.0] == pytest.approx(1.8)  # the frame after the sample at 1.75 s
    assert arrived[1.0] == pytest.approx(2.8)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_short_stream_gives_one_window(count: int) -> None:
    found = windows(regular(4, count / 4), PRE, 1.0)
    assert len(found) == 1
    assert which(found[0]) == list(range(count)) + [count - 1] * (8 - count)
    assert found[0].end_s == count / 4


def test_no_frames_no_windows() -> None:
    assert list(WindowSampler(PRE).flush()) == []


def test_a_short_pause_is_held_and_a_long_one_ends_the_run() -> None:
    times = [*regular(10, 3), *(8 + t for t in regular(10, 3))]
    held = windows(times, PRE, 1.0)
    assert [(w.start_s, w.held) for w in held] == [
        *((s, 0) for s in (0, 1, 2)),
        (pytest.approx(2.9), 4),
        *((s, 0) for s in (7, 8, 9)),
    ]
    assert (which(held[3]), held[3].end_s) == ([29] * 8, 8.0)
    sampler = WindowSampler(PRE, 1.0, max_gap_s=2.0)
    cut = [w for i, t in enumerate(times) for w in sampler.push(frame(t, i))] + list(sampler.flush())
    assert [(w.start_s, w.end_s) for w in cut] == [(0, 2), (1, 3), (8, 10), (9, 11)]
    assert all(max(which(w)) < 30 or min(which(w)) >= 30 for w in cut)


@pytest.mark.parametrize("stride_s", [0.25, 1.0, 30.0, 1e6])
def test_a_hole_of_years_costs_one_window(stride_s: float) -> None:
    """No pause ends the run where frames say how long they are on show."""
    found = windows([0.0, 0.3, 1e9, 1e9 + 0.3], PRE, stride_s, 0.3)
    hole = next(w for w in found if w.held)
    assert (which(hole), hole.start_s, hole.end_s) == ([1] * 8, 0.3, 1e9)
    assert hole.held == pytest.approx(1e9 / stride_s, rel=1e-2)
    assert len(found) < 20


def test_an_unexplained_pause_of_years_ends_the_run() -> None:
    found = windows([0.0, 0.3, 1e9, 1e9 + 0.3], PRE, 1.0)
    assert [which(w)[0] for w in found] == [0, 2]


def test_time_running_backwards_starts_a_new_run() -> None:
    found = windows([*regular(10, 2.5), *regular(10, 2.5)], PRE, 1.0)
    assert [w.start_s for w in found] == [0.0, 0.5, 0.0, 0.5]


def test_memory_does_not_grow() -> None:
    sampler = WindowSampler(PRE, 1.0)
    held_bytes = []
    tracemalloc.start()
    for index in range(3000):
        for window in sampler.push(frame(index / 30, index)):
            assert window.clip.frames.shape == (8, 4, 4, 3)
        if index % 1000 == 999:
            held_bytes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(held_bytes) < 20_000  # 3,000 frames would take a megabyte


def test_each_frame_is_resized_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def count(image: npt.NDArray[np.uint8], pre: Preprocess) -> npt.NDArray[np.uint8]:
        seen.append(int(image[0, 0].astype(int) @ (65536, 256, 1)))
        return image

    monkeypatch.setattr("vljepa_runtime.preprocessing.sampling.fit_frame", count)
    windows(regular(30, 10), PRE, 0.25)
    assert len(seen) == len(set(seen)) == 40


def test_a_callers_picture_may_be_used_again_though_nothing_is_resized() -> None:
    sampler, buffers = WindowSampler(PRE, 1.0), np.zeros((2, 4, 4, 3), np.uint8)
    found: list[list[int]] = []
    for index in range(9):
        buffer = buffers[index % 2]
        buffer[:] = frame(index / 4, index).image
        pushed = sampler.push(Frame(image=buffer, time_s=index / 4, index=index))
        found += [which(window) for window in pushed]
    assert found == [list(range(8))]


def test_what_a_source_prepared_is_taken_and_that_of_other_geometry_or_of_a_copy_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, other = np.full((9, 9, 3), 7, np.uint8), np.full((9, 9, 3), 200, np.uint8)
    ours, theirs, copied = (Frame(image=image, time_s=0.0, index=0) for _ in range(3))
    for each, pre in ((ours, PRE), (theirs, Preprocess(size=12)), (copied, PRE)):
        make = hints_for(pre).prepare
        assert make is not None
        each.prepare(make)
    copied = replace(copied, image=other)  # a region that somebody covers
    fitted: list[int] = []
    plain = sampling.fit_frame
    monkeypatch.setattr(
        sampling, "fit_frame", lambda image, pre: (fitted.append(int(image[0, 0, 0])), plain(image, pre))[1]
    )
    for each, value in ((ours, 7), (theirs, 7), (copied, 200)):
        sampler = WindowSampler(PRE)
        list(sampler.push(each))
        (window,) = sampler.flush()
        assert (window.clip.frames == value).all()
        assert window.clip.frames.shape == (8, 4, 4, 3)
    assert fitted == [7, 200]


def test_frames_are_fitted_to_the_model() -> None:
    sampler = WindowSampler(Preprocess())
    image = np.zeros((33, 71, 3), np.uint8)
    list(sampler.push(Frame(image=image, time_s=0.0, index=0)))
    (window,) = sampler.flush()
    assert window.clip.frames.shape == (8, 96, 96, 3)


@pytest.mark.parametrize("stride_s", [0.0, -1.0, float("nan"), float("inf")])
def test_stride_is_checked(stride_s: float) -> None:
    with pytest.raises(InputError, match="stride_s: expected a finite number above 0"):
        WindowSampler(PRE, stride_s)


def test_hints_name_the_sampling_rate() -> None:
    assert hints_for(PRE).min_interval_s == 0.25
