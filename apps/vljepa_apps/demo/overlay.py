"""What is drawn on each frame of the demo's video beside the events: the truth, and how many decodings there were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_apps.demo.ground_truth import GroundTruth
from vljepa_apps.demo.lettering import Colour, text_width, wrapped, write
from vljepa_apps.demo.timeline import Thumbnails
from vljepa_runtime.sinks import VideoSink
from vljepa_runtime.sources import Frame

__all__ = ["Overlay", "enlarged"]

UInt8 = npt.NDArray[np.uint8]

SHORT_SIDE = 640  # smaller videos are drawn this large, or the words on them could not be read
WHITE: Colour = (255, 255, 255)
PALE: Colour = (190, 200, 210)


class Overlay:
    """Takes every frame: keeps its time and a small picture, draws on it and writes it.

    Attributes:
        thumbnails: Small pictures of the stream.
        now_s: Time of the last frame.
        end_s: Where that frame ends.
        decodings: The count that is drawn; whoever runs the session keeps it.
    """

    def __init__(
        self, sink: VideoSink, *, truth: GroundTruth | None, on_time: Callable[[float], None]
    ) -> None:
        self.thumbnails = Thumbnails()
        self.now_s = self.end_s = 0.0
        self.decodings = 0
        self._sink = sink
        self._truth = truth
        self._on_time = on_time

    def draw(self, frame: Frame) -> None:
        """Draw one frame and write it."""
        self.now_s = frame.time_s
        self.end_s = frame.time_s + (frame.duration_s or 0.0)
        self.thumbnails.offer(frame.image, frame.time_s)
        self._sink.write_frame(replace(frame, image=self._drawn(frame)))
        self._on_time(frame.time_s)

    def _drawn(self, frame: Frame) -> UInt8:
        canvas = enlarged(frame.image)
        size = max(14, round(min(canvas.shape[:2]) / 32))
        top = 0
        if self._truth is not None:
            top = _plate(canvas, "truth", self._truth.caption_at(frame.time_s), 0, size)
        count = f"{self.decodings} decoding{'' if self.decodings == 1 else 's'}"
        _plate(canvas, count, "", top, size)
        return canvas


def _plate(canvas: UInt8, name: str, text: str, top: int, size: int) -> int:
    """Write on a darkened plate: over the whole width with a text, else as wide as the name, at the right.

    Returns:
        Where the plate ends, in pixels from the top.
    """
    margin, wide = round(size * 0.7), text_width(name, size=size)
    left = 0 if text else max(0, canvas.shape[1] - wide - 2 * margin)
    plate = canvas[top : top + 2 * size, left:]
    plate[:] = plate // 3
    baseline = top + round(size * 1.35)
    write(canvas, name, left + margin, baseline, size=size, colour=PALE)
    begin = left + margin + wide + size // 2
    for line in wrapped(text, canvas.shape[1] - margin - begin, size=size, lines=1):
        write(canvas, line, begin, baseline, size=size, colour=WHITE)
    return top + 2 * size


def enlarged(image: UInt8) -> UInt8:
    """A copy of an image (H, W, 3), scaled up until its short side has SHORT_SIDE pixels; never down."""
    short = min(image.shape[:2])
    if short >= SHORT_SIDE:
        return image.copy()
    scale = SHORT_SIDE / short
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
