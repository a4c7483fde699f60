"""Cameras by number or device path, and GStreamer pipelines, both through OpenCV and always live."""

from __future__ import annotations

import sys
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
    pipeline: str | Address, *, stretch: bool = False, backoff: Backoff | None = None
) -> LiveSource:
    """Open a GStreamer pipeline; without an `appsink` one that keeps only the newest picture is added.

    Raises:
        SourceError: this OpenCV was built without GStreamer, or the pipeline does not start.
    """
    address = Address(pipeline)
    if cv2.CAP_GSTREAMER not in cv2.videoio_registry.getBackends():
        raise SourceError(
            f"{address} is no file here, and as a pipeline it cannot be opened, for this OpenCV has no GStreamer: "
            "use an OpenCV built with it (JetPack's system package is) or an rtsp:// address"
        )

    def capture() -> cv2.VideoCapture:
        text = address.secret_url()
        return cv2.VideoCapture(text if "appsink" in text else text + SINK, cv2.CAP_GSTREAMER)

    return _live(address, capture, stretch, backoff)


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
