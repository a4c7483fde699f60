"""What counts as a change between two looks of one camera."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_runtime.preprocessing import Clip, Preprocess, fit_frames
from vljepa_runtime.preprocessing.changes import (
    LEAST_CHANGE,
    WINDOWS,
    Noise,
    changes,
    light_of,
    noise_of,
    relit,
)

PRE = Preprocess()
BASE = np.random.default_rng(0).integers(60, 180, (24, 24, 3)).repeat(4, 0).repeat(4, 1).astype(np.float32)


def seen(*pictures: np.ndarray, noise: float = 0.0, seed: int = 1) -> Clip:
    """A window whose tubelets show these pictures, with the noise of a sensor."""
    frames = np.repeat(pictures, 8 // len(pictures), axis=0).astype(np.float32)
    frames += np.random.default_rng(seed).normal(0, 1, frames.shape) * noise
    return Clip(np.clip(frames.round(), 0, 255).astype(np.uint8), PRE)


def change(one: Clip, other: Clip) -> float:
    return float(changes(other.cells, one.cells, PRE).max())


@pytest.mark.parametrize(("size", "patch"), [(96, 12), (64, 16), (60, 20), (12, 6), (6, 3)])
def test_cells_are_means_of_equal_squares(size: int, patch: int) -> None:
    pre = Preprocess(frames=4, size=size, patch=patch)
    frames = np.random.default_rng(2).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    cells = fit_frames(frames, pre).cells
    side = size // cells.shape[2]
    assert cells.shape[:2] == (2, 3)
    assert patch % side == 0
    plain = frames.reshape(2, 2, size // side, side, size // side, side, 3).astype(np.float64).mean((1, 3, 5))
    np.testing.assert_allclose(cells, plain.transpose(0, 3, 1, 2), atol=0.51)  # OpenCV rounds each frame's


@pytest.mark.parametrize("noise", [3.0, 6.0, 12.0, 20.0])
def test_the_noise_of_a_sensor_is_found(noise: float) -> None:
    levels = [noise_of(seen(BASE, noise=noise, seed=seed)) for seed in range(12)]
    of_a_cell = noise / 4 / np.sqrt(2)  # 16 pixels, two frames
    assert np.median([level or 0.0 for level in levels]) == pytest.approx(min(of_a_cell, 3.0), rel=0.25)


def test_noise_is_found_beside_a_moving_object_and_beside_held_frames() -> None:
    clip = seen(BASE, noise=10)
    clip.frames[1::2] = clip.frames[::2]  # a camera of half the rate
    clip.frames[6:, 30:60, 30:60] = 255
    assert noise_of(clip) == pytest.approx(10 / 4 / np.sqrt(2), rel=0.3)
    assert noise_of(seen(BASE)) is None
    level = Noise()
    assert level.least_change(6.0) == 6.0
    level.push(seen(BASE))
    assert level.least_change(6.0) == 6.0


def test_a_window_counts_once_however_often_it_is_looked_at() -> None:
    quiet, level = seen(BASE, noise=8), Noise()
    level.push(quiet)
    alone = level.least_change(0.0)
    for seed in range(WINDOWS - 1):
        clip = seen(BASE, noise=12, seed=seed)
        for _ in range(3):
            level.push(clip)
    assert level.least_change(0.0) == alone > 0
    level.push(seen(BASE, noise=12))
    assert level.least_change(0.0) > alone


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0, 6.0, 9.0, 16.0])
def test_noise_alone_is_no_change(noise: float) -> None:
    level = Noise()
    found = []
    for seed in range(12):
        clip = seen(BASE, noise=noise, seed=seed)
        level.push(clip)
        found.append(
            change(seen(BASE, noise=noise, seed=seed + 100), clip) <= level.least_change(LEAST_CHANGE)
        )
    assert all(found)


@pytest.mark.parametrize(("gain", "shift"), [(1.05, 0), (0.95, 0), (1, 6), (1, -6), (1.04, 3)])
@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_a_little_light_is_no_change(gain: float, shift: float, noise: float) -> None:
    level = Noise()
    level.push(seen(BASE, noise=noise))
    lit = seen(BASE * gain + shift, noise=noise, seed=5)
    assert change(seen(BASE, noise=noise), lit) <= level.least_change(LEAST_CHANGE)


def test_light_may_flicker_from_instant_to_instant_and_differ_between_colours() -> None:
    flicker = [BASE * gain for gain in (0.97, 1.03, 1.0, 0.98)]
    assert change(seen(BASE), seen(*flicker)) <= 1.5
    assert change(seen(BASE), seen(BASE * np.float32([1.04, 1.0, 0.96]))) <= 1.5


@pytest.mark.parametrize("gain", [1.25, 0.8, 0.0])
def test_a_lamp_that_is_switched_is_a_change(gain: float) -> None:
    assert change(seen(BASE), seen(BASE * gain)) > LEAST_CHANGE
    grey = np.full_like(BASE, 120)
    assert change(seen(grey), seen(grey * gain)) > LEAST_CHANGE


def test_the_light_of_what_stayed_is_found_as_least_squares_find_it() -> None:
    lit = BASE * np.float32([1.05, 0.97, 1.0]) + np.float32([-4, 2, 5])
    lit[24:48, 24:48] = (250, 20, 20)  # an object as large as four tubelets
    before, now = seen(BASE).cells, seen(lit).cells
    away = changes(now, before, PRE)
    outside = np.ones((24, 24), bool)
    outside[6:12, 6:12] = False
    for colour in range(3):
        slope, rest = np.polyfit(before[0, colour][outside], now[0, colour][outside], 1)
        lit_as_now = slope * before[0, colour] + rest
        assert np.abs(now[0, colour] - lit_as_now)[outside].max() < 1.5
    assert away[:, 2:4, 2:4].min() > 20
    away[:, 2:4, 2:4] = 0
    assert away.max() < 2.5


@pytest.mark.parametrize("size", [96, 12])  # an even and an odd number of cells that are looked at
@pytest.mark.parametrize("instants", [1, 4])
def test_light_equals_that_of_a_plain_twin(size: int, instants: int) -> None:
    draw = np.random.default_rng(size)
    side = size // 4
    before = draw.uniform(20, 230, (instants, 3, side, side)).astype(np.float32)
    now = (before[-1:] * 1.06 - 3 + draw.normal(0, 2, (4, 3, side, side))).astype(np.float32)
    now[1, :, : side // 3] = 200  # something in one instant
    now[2, 2] = 40  # a colour that has no contrast
    lit = relit(before, *light_of(before, now))
    for instant, colour in np.ndindex(4, 3):
        was = before[instant % instants, colour].ravel().astype(np.float64)
        x, y = was[::3], now[instant, colour].ravel()[::3].astype(np.float64)
        away = np.abs(y - x - np.median(y - x))
        x, y = (each[away <= 2 * away.mean() + 0.5] for each in (x, y))
        gain = np.clip((np.mean((x - x.mean()) * (y - y.mean())) + 25) / (x.var() + 25), 0.92, 1.08)
        shift = x.mean() + np.clip(y.mean() - x.mean(), -10, 10) - gain * x.mean()
        np.testing.assert_allclose(lit[instant, colour].ravel(), gain * was + shift, atol=0.05)


def test_noise_equals_that_of_a_plain_twin() -> None:
    clip = seen(BASE, noise=7)
    small = [each.astype(np.float64) for each in clip.frames[-2:]]
    one, other = (each.reshape(24, 4, 24, 4, 3).mean((1, 3)).round() for each in small)
    away = one - other
    away = np.sort(np.abs(away - np.median(away, (0, 1))), axis=None)
    expected = away[: len(away) // 2].mean() / 0.3246 / 2
    assert noise_of(clip) == pytest.approx(expected, rel=0.02)  # OpenCV rounds halves otherwise


@pytest.mark.parametrize("noise", [0.0, 6.0])
@pytest.mark.parametrize(("size", "contrast"), [(12, 20), (12, -20), (6, 40)])
def test_an_object_of_a_tubelets_size_is_a_change_there_and_nowhere_else(
    noise: float, size: int, contrast: float
) -> None:
    after = BASE.copy()
    after[36 : 36 + size, 60 : 60 + size] += contrast
    level = Noise()
    level.push(seen(BASE, noise=noise))
    found = changes(seen(BASE, after, noise=noise).cells, seen(BASE, noise=noise, seed=9).cells, PRE)
    is_changed = found > level.least_change(LEAST_CHANGE)
    assert [tuple(each) for each in np.argwhere(is_changed)] == [(2, 3, 5), (3, 3, 5)]


def test_a_colour_that_changes_alone_is_a_change() -> None:
    after = BASE.copy()
    after[36:48, 60:72] += (30, 0, -30)
    assert change(seen(BASE), seen(after)) > LEAST_CHANGE


def test_a_camera_that_moves_changes_nearly_everything() -> None:
    away = changes(seen(np.roll(BASE, 6, axis=1)).cells, seen(BASE).cells, PRE)
    assert (away > LEAST_CHANGE).mean() > 0.95


def test_black_pictures_are_the_same() -> None:
    black = np.zeros_like(BASE)
    assert change(seen(black), seen(black)) == 0.0
    assert change(seen(black, noise=3), seen(black, noise=3, seed=4)) <= LEAST_CHANGE
