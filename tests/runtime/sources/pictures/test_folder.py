"""Folders of pictures: their order, rate and damage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Hints, SourceStatus, open_source
from vljepa_runtime.sources.pictures.folder import natural_key


def save(path: Path, level: int = 100) -> Path:
    assert cv2.imwrite(str(path), np.full((8, 12, 3), level, np.uint8))
    return path


class TestFolder:
    def test_natural_order_and_rate(self, tmp_path: Path) -> None:
        for number in (10, 9, 1, 100):
            save(tmp_path / f"img{number}.png", number)
        (tmp_path / "notes.txt").write_text("not a picture")
        (tmp_path / "deeper").mkdir()
        with open_source(tmp_path, fps=2) as source:
            frames = [item for item in source if isinstance(item, Frame)]
        assert [f.image[0, 0, 0] for f in frames] == [1, 9, 10, 100]
        assert [f.time_s for f in frames] == [0, 0.5, 1.0, 1.5]
        assert not source.live

    def test_default_rate_is_that_of_the_window(self, tmp_path: Path) -> None:
        save(tmp_path / "1.png")
        save(tmp_path / "2.png")
        source = open_source(tmp_path)
        items = source.frames(Hints(min_interval_s=0.125))
        assert [f.time_s for f in items if isinstance(f, Frame)] == [0, 0.125]

    def test_damaged_picture_is_a_warning(self, tmp_path: Path) -> None:
        save(tmp_path / "1.png")
        (tmp_path / "2.png").write_bytes(b"broken")
        save(tmp_path / "3.png")
        items = list(open_source(tmp_path))
        assert [type(item) for item in items] == [Frame, SourceStatus, Frame]
        assert isinstance(items[1], SourceStatus)
        assert "2.png" in items[1].message

    def test_only_damaged_pictures(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"broken")
        with pytest.raises(SourceError, match="none of the 1 pictures"):
            list(open_source(tmp_path, loop=True))

    def test_no_pictures(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="holds no pictures"):
            open_source(tmp_path)

    def test_loop(self, tmp_path: Path) -> None:
        save(tmp_path / "1.png", 1)
        save(tmp_path / "2.png", 2)
        with open_source(tmp_path, loop=True) as source:
            frames = [item for _, item in zip(range(5), source) if isinstance(item, Frame)]
        assert [f.image[0, 0, 0] for f in frames] == [1, 2, 1, 2, 1]
        assert [f.time_s for f in frames] == [0, 0.25, 0.5, 0.75, 1.0]

    def test_natural_key(self) -> None:
        names = ["b.png", "A10.png", "a2.png", "7.png", "a.png", "010.png"]
        assert sorted(names, key=natural_key) == ["7.png", "010.png", "a2.png", "A10.png", "a.png", "b.png"]
