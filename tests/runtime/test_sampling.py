"""Windows from streams of any rate, against a slow plain twin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.patches import Preprocess
from vljepa_runtime.sampling import Window, WindowSampler, hints_for
from vljepa_runtime.sources.protocol import Frame

PRE = Preprocess(frames=8, fps=4.0, size=4, patch=2)


def frame(time_s: float, index: int) -> Frame:
    """A frame whose pixels say which one it is."""
    image = np.full((4, 4, 3), (index // 65536, index // 256 % 256, index % 256), np.uint8)
    return Frame(image=image, time_s=time_s, index=index)


def which(window: Window) -> list[int]:
    """Numbers of the frames in a window."""
    pixels = window.clip.frames[:, 0, 0].astype(int)
    return list(pixels @ (65536, 256, 1))


def windows(times: list[float], pre: Preprocess, stride_s: float) -> list[Window]:
    sampler = WindowSampler(pre, stride_s)
    found = [window for i, time_s in enumerate(times) for window in sampler.push(frame(time_s, i))]
    return found + list(sampler.flush())


def twin(times: list[float], pre: Preprocess, stride_s: float) -> Iterator[tuple[list[int], float, float]]:
    """Look at the whole list at once: at each instant, the last frame that has begun."""
    stride = max(1, round(stride_s * pre.fps))
    picks = []
    instant = 0
    while instant / pre.fps <= times[-1] + 1e-3:
        picks.append(max(i for i, time_s in enumerate(times) if time_s <= instant / pre.fps + 1e-3))
        instant += 1
    starts = list(range(0, len(picks) - pre.frames + 1, stride))
    covered = starts[-1] + pre.frames if starts else 0
    if covered < len(picks) and (not starts or stride <= pre.frames):
        starts.append(max(0, len(picks) - pre.frames))
    for start in starts:
        chosen = picks[start : start + pre.frames]
        end = start + len(chosen)
        yield chosen + [chosen[-1]] * (pre.frames - len(chosen)), start / pre.fps, end / pre.fps


def regular(fps: float, seconds: float) -> list[float]:
    return list(np.arange(round(fps * seconds)) / fps)


def variable(seed: int, mean_s: float, count: int) -> list[float]:
    gaps = np.random.default_rng(seed).exponential(mean_s, count - 1)
    return [0.0, *np.cumsum(gaps).tolist()]


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
def test_equals_the_plain_twin(times: list[float], stride_s: float) -> None:
    found = windows(times, PRE, stride_s)
    expected = list(twin(times, PRE, stride_s))
    assert [(which(w), pytest.approx(w.start_s), pytest.approx(w.end_s)) for w in found] == expected
    assert [w.index for w in found] == list(range(len(found)))


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
    assert [w.start_s for w in held] == list(range(10))
    assert which(held[4]) == [29] * 8
    sampler = WindowSampler(PRE, 1.0, max_gap_s=2.0)
    cut = [w for i, t in enumerate(times) for w in sampler.push(frame(t, i))] + list(sampler.flush())
    assert [(w.start_s, w.end_s) for w in cut] == [(0, 2), (1, 3), (8, 10), (9, 11)]
    assert all(max(which(w)) < 30 or min(which(w)) >= 30 for w in cut)


def test_enormous_pause_costs_nothing() -> None:
    found = windows([0.0, 0.3, 1e9, 1e9 + 0.3], PRE, 1.0)
    assert [which(w)[0] for w in found] == [0, 2]


def test_time_running_backwards_starts_a_new_run() -> None:
    found = windows([*regular(10, 2.5), *regular(10, 2.5)], PRE, 1.0)
    assert [w.start_s for w in found] == [0.0, 0.5, 0.0, 0.5]


def test_memory_does_not_grow() -> None:
    sampler = WindowSampler(PRE, 1.0)
    for index in range(5000):
        for window in sampler.push(frame(index / 30, index)):
            assert window.clip.frames.shape == (8, 4, 4, 3)
    assert len(sampler._samples) == PRE.frames


def test_each_frame_is_resized_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def count(image: npt.NDArray[np.uint8], pre: Preprocess) -> npt.NDArray[np.uint8]:
        seen.append(int(image[0, 0].astype(int) @ (65536, 256, 1)))
        return image

    monkeypatch.setattr("vljepa_runtime.sampling.fit_frame", count)
    windows(regular(30, 10), PRE, 0.25)
    assert len(seen) == len(set(seen)) == 40


def test_frames_are_fitted_to_the_model() -> None:
    sampler = WindowSampler(Preprocess())
    image = np.zeros((33, 71, 3), np.uint8)
    list(sampler.push(Frame(image=image, time_s=0.0, index=0)))
    (window,) = sampler.flush()
    assert window.clip.frames.shape == (8, 96, 96, 3)


@pytest.mark.parametrize("stride_s", [0.0, -1.0, float("nan"), float("inf")])
def test_stride_is_checked(stride_s: float) -> None:
    with pytest.raises(InputError, match="stride_s must be above 0"):
        WindowSampler(PRE, stride_s)


def test_hints_name_the_sampling_rate() -> None:
    assert hints_for(PRE).min_interval_s == 0.25
