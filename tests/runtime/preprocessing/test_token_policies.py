"""Which tubelets of a window are encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing import clip_tokens, patchify
from vljepa_runtime.preprocessing.static_tokens import StaticTokens
from vljepa_runtime.preprocessing.token_budgets import AllTokens, SalientTokens
from vljepa_runtime.preprocessing.token_policies import parse_tokens, resolve_tokens

PRE = vj.Preprocess()
WALL = np.random.default_rng(0).integers(40, 200, (24, 24, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)


def window(pre: vj.Preprocess = PRE) -> np.ndarray:
    """Frames of a still wall."""
    return np.repeat(WALL[None, : pre.size, : pre.size], pre.frames, axis=0)


def places(frames: np.ndarray, tokens: str, pre: vj.Preprocess = PRE) -> np.ndarray:
    """(t, h, w) bool: the tubelets that are encoded."""
    patches, positions = clip_tokens(vj.Clip(frames, pre), tokens=tokens)
    whole, order = patchify(vj.Clip(frames, pre))
    numbers = np.ravel_multi_index(tuple(positions.T), pre.grid)
    np.testing.assert_array_equal(patches, whole[numbers])  # positions stay true
    np.testing.assert_array_equal(positions, order[numbers])
    assert (np.diff(numbers) > 0).all()
    found = np.zeros(pre.grid, bool)
    found[tuple(positions.T)] = True
    return found


def test_of_a_still_window_each_place_has_one_tubelet_and_each_instant_a_quarter() -> None:
    found = places(window(), "static")
    assert (found.sum(axis=0) == 1).all()
    assert (found.sum(axis=(1, 2)) == 16).all()


@pytest.mark.parametrize(("frames", "each"), [(2, 1), (4, 1), (6, 1), (16, 2), (64, 8)])
def test_a_static_tubelet_stands_for_four_instants_at_most(frames: int, each: int) -> None:
    pre = vj.Preprocess(frames=frames)
    found = places(window(pre), "static", pre)
    assert (found.sum(axis=0) >= each).all()
    for h, w in np.ndindex(*pre.grid[1:]):
        instants = np.flatnonzero(found[:, h, w])
        assert np.diff([-1, *instants, pre.grid[0]]).max() <= 4


@pytest.mark.parametrize("instant", [1, 2, 3])
def test_what_changes_is_encoded_with_what_was_before(instant: int) -> None:
    frames = window()
    frames[2 * instant :, 36:48, 60:72] = 250
    found = places(frames, "static")
    assert found[instant, 3, 5]
    assert found[instant - 1, 3, 5]
    assert found.sum() <= 96


def test_what_moves_on_is_encoded_where_it_is_and_where_it_was() -> None:
    frames = window()
    for instant in range(4):
        frames[2 * instant : 2 * instant + 2, 24:36, 12 + 12 * instant : 24 + 12 * instant] = (250, 20, 20)
    found = places(frames, "static")
    for instant in range(4):
        assert found[instant, 2, 1 + instant]
        assert instant == 0 or found[instant, 2, instant]


def test_noise_and_flicker_leave_as_many_out() -> None:
    frames, draw = window().astype(np.float32), np.random.default_rng(3)
    for number in range(8):
        frames[number] = frames[number] * (1 + 0.03 * (-1) ** (number // 2)) + draw.normal(
            0, 6, frames[0].shape
        )
    found = places(np.clip(frames, 0, 255).astype(np.uint8), "static")
    assert found.sum() <= 96


def test_a_camera_that_moves_has_all_encoded_and_black_pictures_have_few() -> None:
    frames = window()
    for number in range(8):
        frames[number] = np.roll(WALL, 7 * number, axis=1)
    assert places(frames, "static").mean() > 0.95
    assert places(np.zeros_like(frames), "static").sum() == 64


def test_a_higher_threshold_leaves_more_out() -> None:
    frames = window()
    for number in range(4, 8):
        frames[number, 12:60, 12:60] += 15
    assert places(frames, "static:30").sum() == 64 < places(frames, "static:5").sum()


def test_counts_are_rounded_up_so_that_few_different_ones_come() -> None:
    draw, counts = np.random.default_rng(5), set()
    for _ in range(30):
        frames = window()
        for h, w in draw.integers(0, 8, (int(draw.integers(40)), 2)):
            frames[4:, 12 * h : 12 * h + 12, 12 * w : 12 * w + 12] = draw.integers(0, 256, 3)
        counts.add(int(places(frames, "static").sum()))
    assert counts <= set(range(32, 257, 32))
    assert len(counts) > 1


@pytest.mark.parametrize(("tokens", "budgets", "count"), [
    ("static", (64, 128, 256), 64), ("static", (96, 256), 96), ("static", (256,), 256), ("budget:65", (64, 128), 128),
    ("budget:0.25", (32, 100), 100), ("all", (64, 256), 256), ("budget:7", (), 7),
])  # fmt: skip
def test_built_budgets_are_met_from_above(tokens: str, budgets: tuple[int, ...], count: int) -> None:
    patches, positions = clip_tokens(vj.Clip(window(), PRE), tokens=tokens, budgets=budgets)
    assert len(patches) == len(positions) == count
    assert len({*map(tuple, positions.tolist())}) == count


def test_more_than_was_built_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"a token budget of 64, 128, got 256 tokens: pass tokens='budget:128'"
    ):
        clip_tokens(vj.Clip(window(), PRE), tokens="all", budgets=(64, 128))


def test_texts_become_policies() -> None:
    assert parse_tokens("all") == AllTokens()
    assert parse_tokens(" STATIC:8.5 ") == StaticTokens(8.5)
    assert parse_tokens("static") == StaticTokens()
    assert parse_tokens("budget:96") == SalientTokens(96)
    assert resolve_tokens(SalientTokens(0.5)) == SalientTokens(0.5)


@pytest.mark.parametrize(("spec", "sentence"), [
    ("statik", "did you mean 'static'"), ("", "unknown token policy ''"), ("all:3", "'all' takes no number"),
    ("budget", "'budget' needs a number"), ("budget:", "expected a number after ':'"),
    ("budget:many", "expected a number"),
    ("budget:0", "above 0"), ("budget:-3", "above 0"), ("budget:nan", "finite"), ("budget:2.5", "whole tokens"),
    ("static:0", "above 0"), ("static:256", "255"), ("static:inf", "finite"), ("motion", "unknown token policy"),
    (7, "a token policy or a text"), (None, "a token policy or a text"), (object(), "a token policy or a text"),
])  # fmt: skip
def test_what_is_no_policy_is_refused(spec: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resolve_tokens(spec)
