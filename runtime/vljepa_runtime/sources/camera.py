"""Cameras by number or device path, and GStreamer pipelines, both through OpenCV and always live."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live import Backoff, ConnectionLostError, LiveSource
from vljepa_runtime.sources.pictures import shrink
from vljepa_runtime.sources.protocol import Hints

__all__ = ["open_camera", "open_pipeline"]

FAILED_READS = 10  # in a row before a device counts as unplugged
SINK = " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def open_camera(
    device: int | str, *, backoff: Backoff | None = None, hints: Hints | None = None
) -> LiveSource:
    """Open a camera.

    Args:
        device: Its number, or a path such as `/dev/video0`.
        backoff: Waiting times when it is unplugged.
        hints: What the consumer needs.

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
    return _live(name, partial(cv2.VideoCapture, device, backend), backoff, hints)


def open_pipeline(
    pipeline: str | Address, *, backoff: Backoff | None = None, hints: Hints | None = None
) -> LiveSource:
    """Open a GStreamer pipeline; without an `appsink` one that keeps only the newest picture is added.

    Raises:
        SourceError: this OpenCV was built without GStreamer, or the pipeline does not start.
    """
    if cv2.CAP_GSTREAMER not in cv2.videoio_registry.getBackends():
        raise SourceError(
            "this OpenCV has no GStreamer, so pipelines cannot be opened: "
            "use an OpenCV built with it (JetPack's system package is) or an rtsp:// address"
        )
    address = Address(pipeline)

    def capture() -> cv2.VideoCapture:
        text = address.secret_url()
        return cv2.VideoCapture(text if "appsink" in text else text + SINK, cv2.CAP_GSTREAMER)

    return _live(address, capture, backoff, hints)


def _live(
    name: str, opener: Callable[[], cv2.VideoCapture], backoff: Backoff | None, hints: Hints | None
) -> LiveSource:
    capture = opener()
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"{name} does not open: it is missing, busy or not permitted")
    return LiveSource(name, lambda: _Device(opener()), backoff=backoff, hints=hints, first=_Device(capture))


class _Device:
    """One opened capture; see `Connection`."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        if not capture.isOpened():
            capture.release()
            raise ConnectionLostError("the device does not open")
        self._capture = capture
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def pictures(
        self, interval_s: float | None = None
    ) -> Iterator[Callable[[int | None], npt.NDArray[np.uint8]]]:
        failed = 0
        while failed < FAILED_READS:
            ok, image = self._capture.read()
            failed = 0 if ok else failed + 1
            if ok:
                yield partial(_rgb, image)
        raise ConnectionLostError("the device gives no pictures any more")

    def close(self) -> None:
        self._capture.release()


def _rgb(image: npt.NDArray[np.uint8], short_side: int | None) -> npt.NDArray[np.uint8]:
    code = cv2.COLOR_GRAY2RGB if image.ndim == 2 or image.shape[2] == 1 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(shrink(image, short_side), code), np.uint8)
