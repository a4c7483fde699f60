"""Cameras and pipelines, with a device that is made up."""

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
from vljepa_runtime.sources import Frame, SourceStatus, open_source
from vljepa_runtime.sources.live.camera import open_camera, open_pipeline
from vljepa_runtime.sources.live.source import Backoff, LiveSource


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
        monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: False)
        monkeypatch.setenv("PATH", "")
        with pytest.raises(SourceError, match=r"has no GStreamer and there is no gst-launch-1\.0: install"):
            open_source("videotestsrc ! appsink")

    def test_pipeline_gets_a_sink(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given: list[str] = []

        def capture(pipeline: str, backend: int) -> FakeCapture:
            assert backend == cv2.CAP_GSTREAMER
            given.append(pipeline)
            return FakeCapture(10**6)

        monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: backend == cv2.CAP_GSTREAMER)
        monkeypatch.setattr(cv2, "VideoCapture", capture)
        with open_pipeline("gst: rtspsrc location=rtsp://u:secret@h/x ! decodebin") as source:
            assert isinstance(source, LiveSource)
            frame = next(item for item in source if isinstance(item, Frame))
        assert given[0].startswith("rtspsrc location=rtsp://u:secret@h/x ! ")
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
