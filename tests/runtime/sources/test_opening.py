"""`open_source` picks the right source, and says clearly when there is none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Source, open_source
from vljepa_runtime.sources.pictures.folder import FolderSource
from vljepa_runtime.sources.pictures.stills import StillSource
from vljepa_runtime.sources.protocol import due_index, is_instant


def save(path: Path, level: int = 100) -> Path:
    assert cv2.imwrite(str(path), np.full((8, 12, 3), level, np.uint8))
    return path


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "the source is empty"),
        ("no/such/clip.mp4", "no such file: no/such/clip.mp4"),
        ("gopher://host/clip", "unknown scheme gopher://.*known: file, http, https, rtsp, rtsps"),
        ("gopher://me:secret@host/clip", r"gopher://\*\*\*@host/clip"),
        ("file:///no/such.mp4", "no such file: /no/such.mp4"),
        ("/dev/null", "neither a regular file nor a folder"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_nothing_there(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(spec)


@pytest.mark.skipif(not Path("/dev").is_dir(), reason="device files are a Linux matter")
@pytest.mark.parametrize("spec", ["97", 97, "/dev/video97"])
def test_missing_camera(spec: str | int) -> None:
    with pytest.raises(SourceError, match="/dev/video97 does not exist; cameras found"):
        open_source(spec)


@pytest.mark.parametrize("spec", ["0", "videotestsrc ! appsink"])
def test_live_sources_cannot_loop(spec: str) -> None:
    with pytest.raises(SourceError, match="cannot loop"):
        open_source(spec, loop=True)


def test_paths_of_every_kind(tmp_path: Path) -> None:
    path = save(tmp_path / "a picture.png")
    for spec in (path, str(path), f"file://{str(path).replace(' ', '%20')}"):
        with open_source(spec) as source:
            assert isinstance(source, StillSource)
            assert isinstance(source, Source)
            (frame,) = source
        assert isinstance(frame, Frame)
        assert frame.image.shape == (8, 12, 3)
    assert isinstance(open_source(tmp_path), FolderSource)


def test_instants() -> None:
    assert [due_index(t, 0.25) for t in (0, 0.1, 0.25, 0.2505, 0.26, 0.5)] == [0, 1, 1, 1, 2, 2]
    assert is_instant(0.5005, 2, 0.25)
    assert not is_instant(0.51, 2, 0.25)
