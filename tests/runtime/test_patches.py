"""Frames become tubelets: the fast cut equals a plain one, and any frames can be fitted."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.patches import Preprocess, fit_frame, fit_frames, patchify
from vljepa_runtime.token_selection import saliency, salient_tokens

SMALL = Preprocess(frames=4, size=6, patch=3, tubelet=2)


def test_the_cut_equals_a_plain_one() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    patches, positions = patchify(frames, SMALL)
    assert positions.dtype == np.int32
    assert positions.tolist() == [[t, h, w] for t in range(2) for h in range(2) for w in range(2)]
    for patch, (t, h, w) in zip(patches, positions):
        cut = frames[2 * t : 2 * t + 2, 3 * h : 3 * h + 3, 3 * w : 3 * w + 3]
        np.testing.assert_array_equal(patch, cut.reshape(-1))


@pytest.mark.parametrize(
    ("count", "picked"), [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])]
)
def test_frames_are_sampled_or_repeated(count: int, picked: list[int]) -> None:
    frames = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 6, 6, 3), np.uint8)
    assert fit_frames(frames, SMALL)[:, 0, 0, 0].tolist() == picked


@pytest.mark.parametrize(
    ("resize", "left", "middle"), [("crop", 255, 255), ("stretch", 0, 255), ("pad", 0, 255)]
)
def test_a_wide_frame_is_fitted_as_asked(resize: str, left: int, middle: int) -> None:
    """Black sides around a white square of 60 x 60 in a frame of 180 x 60."""
    frame = np.zeros((60, 180, 3), np.uint8)
    frame[:, 60:120] = 255
    fitted = fit_frames(frame, Preprocess(frames=2, size=12, patch=6, resize=resize))[0]
    assert fitted[6, 0, 0] == left
    assert fitted[6, 6, 0] == middle
    assert fitted[0, 6, 0] == (0 if resize == "pad" else 255)


@pytest.mark.parametrize("shape", [(0, 6, 6, 3), (4, 6, 6), (4, 6, 6, 4), (3,)])
def test_what_is_not_rgb_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected frames"):
        fit_frames(np.zeros(shape, np.uint8), SMALL)


def test_frames_of_another_size_are_not_cut() -> None:
    with pytest.raises(InputError, match="call fit_frames first"):
        patchify(np.zeros((4, 9, 9, 3), np.uint8), SMALL)


@pytest.mark.parametrize(
    "values", [{"size": 7}, {"frames": 3}, {"fps": 0.0}, {"resize": "zoom"}, {"std": [1, 0, 1]}, {"typo": 1}]
)
def test_a_geometry_that_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="preprocess"):
        Preprocess.from_dict({**SMALL.to_dict(), **values})


def test_a_geometry_survives_json() -> None:
    assert Preprocess.from_dict(SMALL.to_dict()) == SMALL


def test_the_moving_object_is_kept_and_the_flat_wall_left_out() -> None:
    pre = Preprocess(frames=4, size=24, patch=6, tubelet=2)
    frames = np.full((4, 24, 24, 3), 90, np.uint8)
    for step in range(4):
        frames[step, 7:11, 1 + 6 * step : 5 + 6 * step] = 250
    patches, positions = patchify(frames, pre)
    kept = positions[salient_tokens(patches, 6, tubelets_in_time=2)]
    assert {(t, h, w) for t, h, w in kept.tolist() if h == 1} >= {(0, 1, 0), (0, 1, 1), (1, 1, 2), (1, 1, 3)}


@pytest.mark.parametrize("instants", [1, 2])
def test_saliency_equals_a_plain_one(instants: int) -> None:
    pre = Preprocess(frames=4, size=24, patch=6, tubelet=2)
    frames = np.random.default_rng(1).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
    patches, _ = patchify(frames, pre)
    pixels = patches.reshape(2, 16, 2, 36, 3).astype(np.float64)
    halved = patches.reshape(2, 16, 72, 3)[:, :, ::2].astype(np.float64)
    plain = halved.std(axis=2).mean(axis=-1)
    if instants > 1:
        mean = halved.mean(axis=2)
        plain += 2 * np.abs(mean - mean.mean(axis=0)).mean(axis=-1)
        plain += 2 * np.abs(pixels[:, :, 0, :, 0] - pixels[:, :, 1, :, 0]).mean(axis=-1)
    np.testing.assert_allclose(saliency(patches, tubelets_in_time=instants), plain.ravel(), rtol=1e-4)


def test_keeping_all_tokens_changes_nothing_and_none_is_refused() -> None:
    patches, _ = patchify(np.zeros((4, 6, 6, 3), np.uint8), SMALL)
    assert salient_tokens(patches, 8).tolist() == list(range(8))
    with pytest.raises(InputError, match="keep must be in"):
        salient_tokens(patches, 0)


@pytest.mark.parametrize(
    ("height", "width", "short"),
    [(61, 97, 0), (97, 61, 40), (33, 33, 0), (20, 24, 0), (32, 32, 0)],
    ids=["landscape", "portrait-larger-short-side", "square", "growing", "as-it-is"],
)
def test_antialiased_resize_equals_torch(height: int, width: int, short: int) -> None:
    """torch's antialiased bilinear filter is what torchvision and V-JEPA 2's processor use."""
    torch = pytest.importorskip("torch")
    size = 32
    pre = Preprocess(frames=2, size=size, patch=8, resize="antialias", short_side=short)
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = short or size
    sides = [length * side // min(height, width) for length in (height, width)]
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(image, sides, mode="bilinear", antialias=True)[0]
    top, left = (round((length - size) / 2) for length in sides)
    expected = resized[:, top : top + size, left : left + size].permute(1, 2, 0).numpy()
    got = fit_frame(frame, pre)
    assert got.shape == (size, size, 3)
    assert np.abs(got - expected).max() <= 0.51  # rounded to whole levels


def test_floor_picks() -> None:
    frames = np.zeros((10, 32, 32, 3), np.uint8) + np.arange(10, dtype=np.uint8)[:, None, None, None]
    picked = {
        picks: fit_frames(frames, Preprocess(frames=4, size=32, patch=8, picks=picks))[:, 0, 0, 0].tolist()
        for picks in ("nearest", "floor")
    }
    assert picked == {"nearest": [0, 3, 6, 9], "floor": [0, 3, 6, 9]}
    frames = frames[:6]
    assert fit_frames(frames, Preprocess(frames=4, size=32, patch=8))[:, 0, 0, 0].tolist() == [0, 2, 3, 5]
    floor = Preprocess(frames=4, size=32, patch=8, picks="floor")
    assert fit_frames(frames, floor)[:, 0, 0, 0].tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"picks": "random"}, "picks must be one of nearest, floor"),
        ({"short_side": 40}, "short_side goes with resize antialias"),
        ({"resize": "antialias", "short_side": 16}, "at least size, got 16"),
    ],
)
def test_refuses_odd_preprocessing(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preprocess(**{"size": 32, "patch": 8, **changes})


def test_new_fields_are_written_only_when_they_say_something() -> None:
    assert not {"short_side", "picks"} & set(Preprocess().to_dict())
    pre = Preprocess(resize="antialias", short_side=110, picks="floor")
    assert Preprocess.from_dict(pre.to_dict()) == pre
