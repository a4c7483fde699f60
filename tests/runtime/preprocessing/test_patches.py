"""Frames become tubelets: the fast cut equals a plain one, and any frames can be fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing.patches import Clip, fit_frame, fit_frames, patchify
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.saliency import saliency
from vljepa_runtime.preprocessing.token_selection import clip_tokens

SMALL = Preprocess(frames=4, size=6, patch=3, tubelet=2)


def test_the_cut_equals_a_plain_one() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    patches, positions = patchify(fit_frames(frames, SMALL))
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
    assert fit_frames(frames, SMALL).frames[:, 0, 0, 0].tolist() == picked


@pytest.mark.parametrize(
    ("resize", "left", "middle"), [("crop", 255, 255), ("stretch", 0, 255), ("pad", 0, 255)]
)
def test_a_wide_frame_is_fitted_as_asked(resize: str, left: int, middle: int) -> None:
    """Black sides around a white square of 60 x 60 in a frame of 180 x 60."""
    frame = np.zeros((60, 180, 3), np.uint8)
    frame[:, 60:120] = 255
    fitted = fit_frames(frame, Preprocess(frames=2, size=12, patch=6, resize=resize)).frames[0]
    assert fitted[6, 0, 0] == left
    assert fitted[6, 6, 0] == middle
    assert fitted[0, 6, 0] == (0 if resize == "pad" else 255)


@pytest.mark.parametrize("shape", [(0, 6, 6, 3), (4, 6, 6), (4, 6, 6, 4), (3,)])
def test_what_is_not_rgb_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected frames"):
        fit_frames(np.zeros(shape, np.uint8), SMALL)


@pytest.mark.parametrize("frames", [np.zeros((4, 9, 9, 3), np.uint8), np.zeros((4, 6, 6, 3), np.float32)])
def test_other_frames_are_no_clip(frames: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected fitted frames \(4, 6, 6, 3\) uint8, got"):
        Clip(frames, SMALL)


def test_a_clip_of_fitted_frames_is_put_together_once_and_holds_none_of_the_callers_memory() -> None:
    pre = Preprocess(frames=4, size=8, patch=4)
    raw = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    expected, clip = raw.copy(), fit_frames(raw, pre)
    raw[:] = 0
    np.testing.assert_array_equal(clip.frames, expected)
    assert clip.frames is clip.frames
    assert [np.array_equal(each.pixels, frame) for each, frame in zip(clip.fitted, expected)] == [True] * 4
    for few in ([], [*clip.fitted[:3]], [*clip.fitted, clip.fitted[0]], [*expected]):
        with pytest.raises(InputError, match="expected 4 fitted frames"):
            Clip.of(few, pre)


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad", "antialias"])
def test_a_clip_is_fitted_once(resize: str) -> None:
    """A larger `short_side` makes fitting enlarge what is fitted already; the type keeps it from happening."""
    pre = Preprocess(frames=2, size=16, patch=8, resize=resize, short_side=20 if resize == "antialias" else 0)
    frames = np.random.default_rng(3).integers(0, 256, (2, 23, 31, 3), dtype=np.uint8)
    clip = fit_frames(frames, pre)
    assert fit_frames(clip, pre) is clip
    assert fit_frames(clip, replace(pre, fps=1.0, sampling="frames", picks="floor")) is clip
    assert (resize == "antialias") != np.array_equal(fit_frames(clip.frames, pre).frames, clip.frames)
    with pytest.raises(InputError, match="expected raw frames or a clip fitted to"):
        fit_frames(clip, SMALL)


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
    patches, positions = clip_tokens(fit_frames(frames, pre), tokens="budget:6")
    assert len(patches) == 6
    assert {(t, h, w) for t, h, w in positions.tolist() if h == 1} >= {
        (0, 1, 0),
        (0, 1, 1),
        (1, 1, 2),
        (1, 1, 3),
    }


@pytest.mark.parametrize("instants", [1, 2])
def test_saliency_equals_a_plain_one(instants: int) -> None:
    pre = Preprocess(frames=4, size=24, patch=6, tubelet=2)
    frames = np.random.default_rng(1).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
    patches, positions = patchify(fit_frames(frames, pre))
    pixels = patches.reshape(2, 16, 2, 36, 3).astype(np.float64)
    halved = patches.reshape(2, 16, 72, 3)[:, :, ::2].astype(np.float64)
    plain = halved.std(axis=2).mean(axis=-1)
    if instants > 1:
        mean = halved.mean(axis=2)
        plain += 2 * np.abs(mean - mean.mean(axis=0)).mean(axis=-1)
        plain += 2 * np.abs(pixels[:, :, 0, :, 0] - pixels[:, :, 1, :, 0]).mean(axis=-1)
    seen = slice(None) if instants > 1 else slice(16)
    np.testing.assert_allclose(saliency(patches[seen], positions[seen]), plain.ravel()[seen], rtol=1e-4)


def test_keeping_all_tokens_changes_nothing_and_none_is_refused() -> None:
    clip = fit_frames(np.random.default_rng(4).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8), SMALL)
    for kept, whole in zip(clip_tokens(clip, tokens="budget:8"), clip_tokens(clip)):
        np.testing.assert_array_equal(kept, whole)
    with pytest.raises(InputError, match="at most the window's 8 tokens, got 9"):
        clip_tokens(clip, tokens="budget:9")


@pytest.mark.parametrize("crop_offset", ["nearest", "floor"])
@pytest.mark.parametrize(
    ("height", "width", "short"),
    [
        (61, 97, 0),
        (97, 61, 40),
        (33, 33, 0),
        (20, 24, 0),
        (32, 32, 0),
        (54, 96, 36),
        (96, 54, 36),
        (3, 90, 0),
        (2, 3000, 0),
        (70, 2100, 36),
    ],
    ids=[
        "landscape",
        "portrait",
        "square",
        "growing",
        "as-it-is",
        "16:9",
        "9:16",
        "extreme",
        "wide",
        "blocks",
    ],
)
def test_antialiased_resize_equals_torch(height: int, width: int, short: int, crop_offset: str) -> None:
    """torch's antialiased bilinear filter is what torchvision and V-JEPA 2's processor use."""
    torch = pytest.importorskip("torch")
    size = 32
    pre = Preprocess(
        frames=2, size=size, patch=8, resize="antialias", short_side=short, crop_offset=crop_offset
    )
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = short or size
    sides = [length * side // min(height, width) for length in (height, width)]
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(image, sides, mode="bilinear", antialias=True)[0]
    begin = round if crop_offset == "nearest" else int
    top, left = (begin((length - size) / 2) for length in sides)
    expected = resized[:, top : top + size, left : left + size].permute(1, 2, 0).numpy()
    got = fit_frame(frame, pre)
    assert got.shape == (size, size, 3)
    assert np.abs(got - expected).max() <= 0.51  # rounded to whole levels


def test_floor_picks() -> None:
    frames = np.zeros((10, 32, 32, 3), np.uint8) + np.arange(10, dtype=np.uint8)[:, None, None, None]
    picked = {
        picks: fit_frames(frames, Preprocess(frames=4, size=32, patch=8, picks=picks))
        .frames[:, 0, 0, 0]
        .tolist()
        for picks in ("nearest", "floor")
    }
    assert picked == {"nearest": [0, 3, 6, 9], "floor": [0, 3, 6, 9]}
    frames = frames[:6]
    assert fit_frames(frames, Preprocess(frames=4, size=32, patch=8)).frames[:, 0, 0, 0].tolist() == [
        0,
        2,
        3,
        5,
    ]
    floor = Preprocess(frames=4, size=32, patch=8, picks="floor")
    assert fit_frames(frames, floor).frames[:, 0, 0, 0].tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"picks": "random"}, "picks: expected nearest or floor"),
        ({"sampling": "seconds"}, "sampling: expected time or frames"),
        ({"crop_offset": "ceil", "resize": "antialias"}, "crop_offset: expected nearest or floor"),
        ({"crop_offset": "floor"}, "crop_offset floor goes with resize antialias, got crop"),
        ({"short_side": 40}, "short_side goes with resize antialias"),
        ({"resize": "antialias", "short_side": 16}, "at least size, got 16"),
    ],
)
def test_refuses_odd_preprocessing(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preprocess(**{"size": 32, "patch": 8, **changes})


def test_new_fields_are_written_only_when_they_say_something() -> None:
    assert not {"short_side", "crop_offset", "sampling", "picks"} & set(Preprocess().to_dict())
    pre = Preprocess(
        resize="antialias", short_side=110, crop_offset="floor", sampling="frames", picks="floor"
    )
    assert Preprocess.from_dict(pre.to_dict()) == pre
