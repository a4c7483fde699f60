"""Cameras by number or device path, and GStreamer pipelines, both through OpenCV where it can, and always live."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import SourceError
from vljepa_runtime.interruptible import interruptible
from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live.deadline import ConnectionLostError
from vljepa_runtime.sources.live.source import Backoff, LiveSource
from vljepa_runtime.sources.naming import PIPELINE, pipeline_of
from vljepa_runtime.sources.pictures.pixels import DEEP_GREY, from_opencv, shrink

__all__ = ["open_camera", "open_pipeline"]

FAILED_READS = 10  # in a row before a device counts as unplugged
Y16 = cv2.VideoWriter.fourcc(*"Y16 ")  # thermal cameras: grey of 16 bits
SINK = " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def open_camera(device: int | str, *, stretch: bool = False, backoff: Backoff | None = None) -> LiveSource:
    """Open a camera.

    Args:
        device: Its number, or a path such as `/dev/video0`.
        stretch: Spread the values of grey pictures of more than 8 bits; see `open_source`.
        backoff: Waiting times when it is unplugged.

    Raises:
        SourceError: there is no such camera, or another program uses it.
    """
    if sys.platform == "linux":
        path = Path(f"/dev/video{device}") if isinstance(device, int) else Path(device)
        if not path.exists():  # asked first: OpenCV prints warnings of its own
            found = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
            raise SourceError(f"no camera {device}: {path} does not exist; cameras found: {found}")
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    name = f"camera {device}" if isinstance(device, int) else device
    return _live(name, partial(cv2.VideoCapture, device, backend), stretch, backoff)


def open_pipeline(
    pipeline: str | Address,
    *,
    stretch: bool = False,
    backoff: Backoff | None = None,
    timeout_s: float | None = None,
) -> LiveSource:
    """Open a GStreamer pipeline: through OpenCV where that has GStreamer, else through `gst-launch-1.0`.

    Args:
        pipeline: As `gst-launch-1.0` takes it, with or without `gst:` before it. Without an `appsink` one that keeps
            only the newest picture is added.
        stretch: Spread the values of grey pictures of more than 8 bits; see `open_source`.
        backoff: Waiting times when it ends.
        timeout_s: Seconds that it has to start, where `gst-launch-1.0` runs it and 15 are too many.

    Raises:
        SourceError: there is neither, or the pipeline does not start.
    """
    address = Address(pipeline)
    if cv2.videoio_registry.hasBackend(
        cv2.CAP_GSTREAMER
    ):  # `getBackends` lists what a plugin could bring, too
        return _live(address, partial(_capture, pipeline_of(address)), stretch, backoff)
    is_named = address.lower().startswith(PIPELINE)
    told = str(address) if is_named else f"{address} is no file here, and as a pipeline it"
    if stretch:
        raise SourceError(f"{told} gives pictures of 8 bits, which cannot be stretched: leave stretch out")
    if shutil.which("gst-launch-1.0") is None or sys.platform == "win32":
        raise SourceError(
            f"{told} cannot be opened, for this OpenCV has no GStreamer and there is no gst-launch-1.0: install "
            "gstreamer1.0-tools, or use an rtsp:// address"
        )
    from vljepa_runtime.sources.live.gst_launch import GstLaunch  # what it needs is not in every system

    stopped = threading.Event()
    connect = partial(GstLaunch, pipeline_of(address), stopped=stopped)
    try:
        first = connect(timeout_s=timeout_s)
    except (ConnectionLostError, SourceError) as error:
        raise SourceError(f"{told} does not start: {error}") from error
    return LiveSource(address, connect, backoff=backoff, first=first, stopped=stopped)


def _capture(pipeline: str) -> cv2.VideoCapture:
    return cv2.VideoCapture(pipeline if "appsink" in pipeline else pipeline + SINK, cv2.CAP_GSTREAMER)


def _live(
    name: str, opener: Callable[[], cv2.VideoCapture], stretch: bool, backoff: Backoff | None
) -> LiveSource:
    # a device that hangs is left to its thread; macOS asks for leave in the main one only
    if sys.platform == "linux":
        capture = interruptible(opener, bool, name=name)
    else:
        capture = opener()
    if not capture.isOpened():
        capture.release()
        why = "no file and no pipeline" if isinstance(name, Address) else "missing, busy or not permitted"
        raise SourceError(f"{name} does not open: it is {why}")
    first = _Device(capture, stretch)
    return LiveSource(name, lambda: _Device(opener(), stretch), backoff=backoff, first=first)


class _Device:
    """One opened capture; see `Connection`."""

    def __init__(self, capture: cv2.VideoCapture, stretch: bool) -> None:
        if not capture.isOpened():
            capture.release()
            raise ConnectionLostError("the device does not open")
        self._capture = capture
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if int(self._capture.get(cv2.CAP_PROP_FOURCC)) == Y16:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)  # else OpenCV keeps the upper 8 bits only
        self.note = ""
        self._stretch = stretch

    def pictures(
        self, interval_s: float | None = None
    ) -> Iterator[Callable[[int | None], npt.NDArray[np.uint8]]]:
        failed = 0
        while failed < FAILED_READS:
            ok, image = self._capture.read()
            failed = 0 if ok else failed + 1
            if ok:
                self.note = DEEP_GREY if _is_deep_grey(image) and not self._stretch else ""
                yield partial(_rgb, image, self._stretch)
        raise ConnectionLostError("the device gives no pictures any more")

    def close(self) -> None:
        self._capture.release()


def _rgb(image: npt.NDArray[Any], stretch: bool, short_side: int | None) -> npt.NDArray[np.uint8]:
    return from_opencv(shrink(image, short_side), stretch=stretch)


def _is_deep_grey(image: npt.NDArray[Any]) -> bool:
    return image.dtype == np.uint16 and (image.ndim == 2 or image.shape[2] == 1)
