"""The cache of visual features: what it finds again, what it refuses, and what damage does."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from vljepa_data.annotations import Segment
from vljepa_model.finetuning.visual_cache import VisualCache
from vljepa_runtime.files.claim import new_file
from vljepa_runtime.preprocessing.preprocess import Preprocess

PRE = Preprocess(frames=4, size=16, patch=8)
VISUAL = torch.arange(PRE.tokens * 6, dtype=torch.float32).reshape(PRE.tokens, 6)
BYTES = 128 + 2 * VISUAL.numel()  # an .npy header and float16


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"first cut")
    return path


@pytest.fixture
def encoder() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(2, 3)


def test_what_is_put_is_found_by_the_next_process(video: Path, encoder: nn.Module, tmp_path: Path) -> None:
    assert VisualCache(tmp_path / "c", encoder, PRE).put(Segment(video, 1.0, 2.0), VISUAL)
    found = VisualCache(tmp_path / "c", encoder, PRE).get(Segment(video, 1.0, 2.0))
    assert found is not None
    assert torch.equal(found, VISUAL.half())


@pytest.mark.parametrize("change", ["segment", "video", "weights", "geometry"])
def test_features_of_something_else_are_not_found(
    change: str, video: Path, encoder: nn.Linear, tmp_path: Path
) -> None:
    VisualCache(tmp_path / "c", encoder, PRE).put(Segment(video), VISUAL)
    segment, pre = Segment(video), PRE
    if change == "segment":
        segment = Segment(video, 0.5)
    elif change == "video":
        video.write_bytes(b"second cut")
    elif change == "weights":
        encoder.bias.data[0] += 1e-3
    else:
        pre = replace(PRE, fps=8.0)
    assert VisualCache(tmp_path / "c", encoder, pre).get(segment) is None


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00junk" * 9])
def test_a_damaged_file_is_as_good_as_none_and_is_written_again(
    damage: bytes, video: Path, encoder: nn.Module, tmp_path: Path
) -> None:
    cache = VisualCache(tmp_path / "c", encoder, PRE)
    cache.put(Segment(video), VISUAL)
    (stored,) = (tmp_path / "c").rglob("*.npy")
    stored.write_bytes(damage)
    assert cache.get(Segment(video)) is None
    assert cache.put(Segment(video), VISUAL)
    assert cache.get(Segment(video)) is not None


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_full_cache(
    full: int, tmp_path: Path, encoder: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    (video := tmp_path / "a.mp4").write_bytes(b"1")
    raised = [OSError(errno.EIO, "broken"), OSError(full, "full")]

    def fail(*_: object) -> None:
        raise raised.pop()

    monkeypatch.setattr("vljepa_model.finetuning.visual_cache.cache_file", fail)
    cache = VisualCache(tmp_path / "c", encoder, PRE)
    assert [cache.put(Segment(video), VISUAL) for _ in range(2)] == [False, False]  # and is not tried again
    with pytest.raises(OSError, match="broken"):
        VisualCache(tmp_path / "c", encoder, PRE).put(Segment(video), VISUAL)


def test_a_full_cache_keeps_what_it_has(tmp_path: Path, encoder: nn.Module) -> None:
    segments = []
    for name in ("one", "two", "three"):
        (tmp_path / name).write_bytes(b"")
        segments.append(Segment(tmp_path / name))
    cache = VisualCache(tmp_path / "c", encoder, PRE, limit_bytes=2 * BYTES)
    assert [cache.put(segment, VISUAL) for segment in segments] == [True, True, False]
    assert cache.get(segments[2]) is None
    again = VisualCache(tmp_path / "c", encoder, PRE, limit_bytes=2 * BYTES + 1)
    assert not again.put(segments[2], VISUAL)
    assert sum(path.stat().st_size for path in (tmp_path / "c").rglob("*.npy")) == 2 * BYTES


def test_what_a_killed_process_left_is_cleared_and_what_is_being_written_is_not(
    tmp_path: Path, encoder: nn.Module
) -> None:
    cache = VisualCache(tmp_path, encoder, PRE)
    (old, dead), (new, living) = (new_file(cache.folder, name) for name in ("old", "new"))
    os.close(dead)
    VisualCache(tmp_path, encoder, PRE)
    assert (old.exists(), new.exists()) == (False, True)
    os.close(living)
