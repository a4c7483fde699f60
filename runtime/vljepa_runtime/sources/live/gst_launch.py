"""A GStreamer pipeline in a process of its own, `gst-launch-1.0`, for an OpenCV that was built without GStreamer.

Its pictures come through a pipe, and its size is what `-v` says of the last pad. When either side goes, so does the
other: a closed pipe ends GStreamer, too.
"""

from __future__ import annotations

import fcntl
import os
import re
import selectors
import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import IO

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import SourceError
from vljepa_runtime.redaction import redact
from vljepa_runtime.sources.live.deadline import SLICE_S, ConnectionLostError, Deadline
from vljepa_runtime.sources.pictures.pixels import Picture, from_opencv, shrink

__all__ = ["PROGRAM", "GstLaunch"]

PROGRAM = "gst-launch-1.0"

START_S = 15.0  # RTSP and a camera's own processor take seconds
SILENCE_S = 15.0
END_S = 1.0
NAME = "vljepa"  # of the last element, whose caps are read
PIPE_BYTES = 1 << 20  # one picture needs few reads then; the kernel's default is 64 KiB
MOST_PIXELS = 2**25  # as of every live picture
WIDEST = 1 << 15
_CAPS = re.compile(rf":{NAME}\.GstPad:sink: caps = video/x-raw.*width=\(int\)(\d+).*height=\(int\)(\d+)")
_APPSINK = re.compile(r"\s!\s+appsink\b[^!]*$")
_REASON = re.compile(r"(?:erroneous pipeline: |ERROR: from element \S+: )(.*)")
_PLACE = re.compile(r"^\.\.?/|\(\d+\): ")  # lines of source code, which help nobody


class GstLaunch:
    """One run of a pipeline; see `Connection`.

    Args:
        pipeline: As for `gst-launch-1.0`; an `appsink` at its end is replaced.
        stopped: Set when nobody wants its pictures any more.
        timeout_s: Seconds that it has to start, where the usual ones are too many.

    Raises:
        ConnectionLostError: it does not start, or gives no picture in time.
        SourceError: it cannot be read, or its pictures are too large.
    """

    def __init__(self, pipeline: str, *, stopped: threading.Event, timeout_s: float | None = None) -> None:
        self.note = ""
        self._deadline = Deadline(
            min(START_S, timeout_s or START_S), wanted="picture of the pipeline", stopped=stopped
        )
        self._told: deque[str] = deque(maxlen=64)
        self._size: tuple[int, int] | None = None
        self._pipe, child = os.pipe()
        try:
            self._process = _start(pipeline, child)
        except (OSError, ValueError) as error:
            os.close(self._pipe)
            raise SourceError(f"cannot start the pipeline: {error}") from error
        finally:
            os.close(child)
        with suppress(OSError, AttributeError):  # only Linux knows it, and a user may be allowed less
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._readers = [
            threading.Thread(target=work, args=(stream,), daemon=True, name="gst-launch")
            for work, stream in (
                (self._read_caps, self._process.stdout),
                (self._read_told, self._process.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()
        try:
            self._wait_for_size()
        except BaseException:
            self.close()
            raise

    def pictures(self, interval_s: float | None = None) -> Iterator[Picture]:
        """See `Connection`."""
        size = self._size
        assert size is not None  # `__init__` waited for it
        height, width = size
        stride = -(-width * 3 // 4) * 4  # GStreamer's rows begin at multiples of four bytes
        while True:
            self._deadline.expect("picture of the pipeline", SILENCE_S)
            rows = self._read(height * stride)
            if self._size != size:
                raise ConnectionLostError("the size of its pictures changed")
            image = rows.reshape(height, stride)[:, : width * 3].reshape(height, width, 3)
            yield partial(_rgb, image)

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            os.close(self._pipe)
        self._pipe = -1
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(END_S)

    def _wait_for_size(self) -> None:
        while self._size is None:
            self._deadline.check()
            if self._process.poll() is not None:
                raise ConnectionLostError(self._reason())
            self._deadline.sleep(0.02)
        height, width = self._size
        if height * width > MOST_PIXELS or width > WIDEST:
            raise SourceError(f"its pictures have {width} x {height} pixels: expected {MOST_PIXELS} at most")

    def _read(self, count: int) -> npt.NDArray[np.uint8]:
        """Exactly so many bytes."""
        found = bytearray(count)
        view, got = memoryview(found), 0
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while got < count:
                self._deadline.check()
                if not selector.select(SLICE_S):
                    continue
                read = os.readv(self._pipe, [view[got:]])
                if not read:
                    raise ConnectionLostError(self._reason())
                got += read
        return np.frombuffer(found, np.uint8)

    def _read_caps(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                if found := _CAPS.search(line):
                    self._size = int(found[2]), int(found[1])

    def _read_told(self, stream: IO[str]) -> None:
        with stream:
            self._told.extend(line.strip() for line in stream)

    def _reason(self) -> str:
        """Why it ended, in its own words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        for reader in self._readers:
            reader.join(END_S)
        return _reason_in([*self._told]) or "the stream ended"


def _start(pipeline: str, child: int) -> subprocess.Popen[str]:
    words = shlex.split(_APPSINK.sub("", pipeline))
    # Square pixels, at the speed of the pipeline's own clock. No leaky queue: 5 of 543 starts lost their caps in one.
    words += shlex.split(
        "! videoconvert ! videoscale "
        f"! video/x-raw,format=BGR,pixel-aspect-ratio=1/1 ! fdsink name={NAME} fd={child} sync=true"
    )
    return subprocess.Popen(
        ["env", "LC_ALL=C", PROGRAM, "-v", "--", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[child],
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is for us, who end it
    )


def _reason_in(lines: Sequence[str]) -> str:
    """The first error, with what it says in detail."""
    for number, line in enumerate(lines):
        if found := _REASON.search(line):
            details = (each for each in lines[number + 1 : number + 4] if each and not _PLACE.search(each))
            detail = next((each for each in details if not each.startswith(("Additional", "ERROR"))), "")
            return redact(f"{found[1].rstrip('.')}: {detail}" if detail else found[1])
    return ""


def _rgb(image: npt.NDArray[np.uint8], short_side: int | None) -> npt.NDArray[np.uint8]:
    return from_opencv(shrink(image, short_side))
