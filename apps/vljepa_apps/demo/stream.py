"""A stream of the procedural world becomes an H.264 file, as a camera's recorder would leave it.

The demo then reads that file like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt

from vljepa_apps import console
from vljepa_data.world import EventStream, Split, make_stream
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import OutputFile

__all__ = ["write_stream", "write_video"]

UInt8 = npt.NDArray[np.uint8]
CRF = 18
SIZE, FPS = 256, 12


def write_stream(path: Path, *, seed: int, minutes: float) -> EventStream:
    """Write a stream that no training saw, with a progress line; its events are the ground truth.

    Args:
        path: The `.mp4` file.
        seed: Another number gives another stream.
        minutes: Its length.
    """
    stream = make_stream(seed, Split.TEST, minutes=minutes, size=SIZE, fps=FPS)
    with console.Progress("writing the stream", total=len(stream)) as progress:
        write_video(progress.over(stream), path, fps=FPS)
    return stream


def write_video(frames: Iterable[UInt8], path: Path, *, fps: float, overwrite: bool = False) -> int:
    """Write frames at a constant rate as an H.264 MP4; the file appears when it is complete.

    Args:
        frames: Each (H, W, 3) uint8 RGB of one size, H and W even.
        path: The `.mp4` file.
        fps: Frames per second.
        overwrite: Replace an existing file.

    Returns:
        How many frames were written.

    Raises:
        InputError: the file exists, there is no frame, or this PyAV has no x264.
    """
    if "libx264" not in av.codecs_available:
        raise InputError("this PyAV was built without libx264: pip install av")
    rate = Fraction(fps).limit_denominator(1001)
    with OutputFile(path, overwrite=overwrite) as output:
        with open(output.fileno(), "w+b", closefd=False) as file:
            count = _encode(frames, file, rate)
        if count == 0:
            raise InputError(f"cannot write {path}: there is no frame")
    return count


def _encode(frames: Iterable[UInt8], file: BinaryIO, rate: Fraction) -> int:
    """Write a whole MP4; gives the number of frames."""
    count = 0
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(CRF), "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            if count == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            count += 1
        if count:
            container.mux(stream.encode(None))
    return count
