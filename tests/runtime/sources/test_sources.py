"""`open_source` picks the right source, and says clearly when there is none."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Hints, Source, SourceStatus, open_source
from vljepa_runtime.sources.live.camera import open_camera, open_pipeline
from vljepa_runtime.sources.live.source import Backoff, LiveSource
from vljepa_runtime.sources.pictures.folder import FolderSource, natural_key
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


class FakeCapture:
    """Stands in for `cv2.VideoCapture`: some pictures, then nothing."""

    def __init__(self, pictures: int, *, opens: bool = True) -> None:
        self.left = pictures
        self.opens = opens
        self.released = False

    def isOpened(self) -> bool:
        return self.opens

    def get(self, _: int) -> float:
        return 0.0

    def set(self, *_: object) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self.left:
            return False, None
        self.left -= 1
        return True, np.full((4, 6, 3), (250, 100, 5), np.uint8)

    def release(self) -> None:
        self.released = True


class TestCamera:
    def test_pictures_are_rgb_and_a_lost_device_returns(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        device = tmp_path / "video0"
        device.touch()
        captures = [FakeCapture(1), FakeCapture(0, opens=False), FakeCapture(10**6)]
        opened: list[FakeCapture] = []

        def capture(*_: object) -> FakeCapture:
            opened.append(captures[len(opened)])
            return opened[-1]

        monkeypatch.setattr(cv2, "VideoCapture", capture)
        with open_camera(str(device), backoff=Backoff(first_s=0.01)) as source:
            assert source.live
            kinds = take_until_second_connection(iter(source))
        assert kinds == ["connected", "frame", "reconnecting", "reconnecting", "connected", "frame"]
        assert all(capture.released for capture in opened)

    @pytest.mark.parametrize("stretch", [False, True])
    def test_a_thermal_camera(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stretch: bool) -> None:
        class Thermal(FakeCapture):
            """Gives 16 bits once OpenCV is told not to convert them."""

            given = 0

            def get(self, name: int) -> float:
                return cv2.VideoWriter.fourcc(*"Y16 ") if name == cv2.CAP_PROP_FOURCC else 0.0

            def set(self, name: int, value: object) -> bool:
                if (name, value) == (cv2.CAP_PROP_CONVERT_RGB, 0):
                    self.given = 30_000
                return True

            def read(self) -> tuple[bool, np.ndarray | None]:
                return True, np.linspace(self.given, self.given + 1000, 64).reshape(8, 8).astype(np.uint16)

        device = tmp_path / "video0"
        device.touch()
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Thermal(1))
        with open_camera(str(device), stretch=stretch) as source:
            items = iter(source)
            remarks = [next(items)]
            if not stretch:
                remarks.append(next(items))
            frame = next(item for item in items if isinstance(item, Frame))
        messages = [item.message for item in remarks if isinstance(item, SourceStatus)]
        assert sum("grey of more than 8 bits" in message for message in messages) == (0 if stretch else 1)
        levels = (frame.image.min(), frame.image.max())
        assert levels == ((0, 255) if stretch else (30_000 >> 8, 31_000 >> 8))

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a camera is opened in the main thread")
    def test_an_interrupt_while_a_driver_hangs(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        device = tmp_path / "video0"
        device.touch()
        released = threading.Event()

        def hang(*_: object) -> FakeCapture:
            released.wait(10)
            return FakeCapture(0)

        monkeypatch.setattr(cv2, "VideoCapture", hang)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            open_camera(str(device))
        assert not released.is_set()
        released.set()

    def test_busy_camera(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        device = tmp_path / "video0"
        device.touch()
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FakeCapture(0, opens=False))
        with pytest.raises(SourceError, match="missing, busy or not permitted"):
            open_camera(str(device))

    def test_pipeline_needs_gstreamer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cv2.videoio_registry, "getBackends", lambda: [cv2.CAP_FFMPEG])
        with pytest.raises(SourceError, match="has no GStreamer"):
            open_source("videotestsrc ! appsink")

    def test_pipeline_gets_a_sink(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given: list[str] = []

        def capture(pipeline: str, backend: int) -> FakeCapture:
            assert backend == cv2.CAP_GSTREAMER
            given.append(pipeline)
            return FakeCapture(10**6)

        monkeypatch.setattr(cv2.videoio_registry, "getBackends", lambda: [cv2.CAP_GSTREAMER])
        monkeypatch.setattr(cv2, "VideoCapture", capture)
        with open_pipeline("rtspsrc location=rtsp://u:secret@h/x ! decodebin") as source:
            assert isinstance(source, LiveSource)
            frame = next(item for item in source if isinstance(item, Frame))
        assert given[0].endswith("appsink drop=true max-buffers=1 sync=false")
        assert tuple(frame.image[0, 0]) == (5, 100, 250)
        assert "secret" not in source.name


def take_until_second_connection(items: Iterator[Frame | SourceStatus]) -> list[str]:
    kinds: list[str] = []
    for item in items:
        kinds.append("frame" if isinstance(item, Frame) else item.kind)
        if kinds.count("connected") == 2 and kinds[-1] == "frame":
            break
    return kinds
