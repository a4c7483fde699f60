"""Videos that give back exactly the pixels that were written, so that a test can follow them into the model."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
TICK = Fraction(1, 1000)


def write_lossless(path: Path, frames: UInt8, times_s: Sequence[float], *, last_s: float = 0.04) -> Path:
    """Write frames (n, H, W, 3) uint8 RGB as FFV1, each on show from its time, the last for `last_s`."""
    gaps = [*np.diff(times_s), last_s]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        stream.codec_context.time_base = TICK
        for image, time_s, gap_s in zip(frames, times_s, gaps):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), TICK
            for packet in stream.encode(frame):
                packet.duration = round(gap_s / packet.time_base)
                container.mux(packet)
        container.mux(stream.encode(None))
    return path


def numbered(count: int, height: int = 16, width: int = 24) -> UInt8:
    """Frames (count, H, W, 3) of one colour each, which says its number; see `numbers_of`."""
    numbers = np.arange(count)
    colours = np.stack((numbers // 65536, numbers // 256 % 256, numbers % 256), axis=1).astype(np.uint8)
    return np.broadcast_to(colours[:, None, None], (count, height, width, 3)).copy()


def numbers_of(frames: UInt8) -> list[int]:
    """Numbers of the frames that `numbered` made, out of any part of their pictures."""
    middle = frames[:, frames.shape[1] // 2, frames.shape[2] // 2].astype(int)
    return [int(value) for value in middle @ (65536, 256, 1)]
