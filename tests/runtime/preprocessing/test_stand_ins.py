"""A window's tokens from those of a part: the nearest instant of the same place."""

from __future__ import annotations

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.preprocessing.stand_ins import completed, stand_ins

GRID = (4, 2, 3)


def test_the_nearest_instant_of_the_same_place_stands_in() -> None:
    """By a search over all tubelets, one after the other."""
    rng = np.random.default_rng(2)
    every = np.indices(GRID).reshape(3, -1).T
    chosen = rng.random(len(every)) < 0.4
    chosen[:6] |= ~np.array([chosen[place::6].any() for place in range(6)])  # each place has one
    positions = every[chosen].astype(np.int32)
    found = stand_ins(positions, GRID)
    assert found is not None
    for tubelet, row in zip(every, found, strict=True):
        here = [each for each in positions if (each[1:] == tubelet[1:]).all()]
        wanted = min(here, key=lambda each: (abs(each[0] - tubelet[0]), each[0]))
        assert positions[row].tolist() == wanted.tolist()


def test_a_place_without_a_tubelet_has_none_to_stand_in() -> None:
    every = np.indices(GRID).reshape(3, -1).T.astype(np.int32)
    part = every[(every[:, 1] != 1) | (every[:, 2] != 2)]
    assert stand_ins(part, GRID) is None
    visual = np.zeros((2, len(part), 5), np.float32)
    assert completed(visual, [part, every[: len(part)]], GRID) is None


@pytest.fixture(scope="module")
def tiny() -> vj.Model:
    return vj.load("tiny", engine="onnxruntime:cpu", threads=1)


@pytest.fixture(scope="module")
def moving() -> np.ndarray:
    """(8, 96, 96, 3) a ball that goes over a still wall."""
    frames = np.random.default_rng(4).integers(60, 90, (1, 96, 96, 3)).repeat(8, axis=0).astype(np.uint8)
    for instant, frame in enumerate(frames):
        frame[30:60, 4 + 8 * instant : 30 + 8 * instant] = (220, 40, 40)
    return frames


def test_a_window_of_a_part_is_predicted_as_that_of_all(tiny: vj.Model, moving: np.ndarray) -> None:
    patches, _ = tiny.patches(moving, tokens="static")
    assert len(patches) <= 160
    visual = tiny.encode(moving, tokens="static")
    assert len(visual) == tiny.preprocess.tokens
    embedding = tiny.embed(moving, tokens="static")
    assert embedding @ tiny.embed(moving) > 0.98
    np.testing.assert_array_equal(embedding, tiny.predict(visual))


def test_a_budget_leaves_places_out(tiny: vj.Model, moving: np.ndarray) -> None:
    assert len(tiny.encode(moving, tokens="budget:32")) == 32
