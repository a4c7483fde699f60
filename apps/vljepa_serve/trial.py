"""A source opened for a moment: does it answer, what does it show, how large and how fast?"""

from __future__ import annotations

import base64
import time
from typing import Any

from vljepa_runtime import Frame, VljepaError, open_source
from vljepa_runtime.redaction import redact
from vljepa_runtime.sources import Hints
from vljepa_serve.pictures import jpeg_of

__all__ = ["try_source"]

ANSWER_S = 10.0
FRAMES = 12
SHOWN_WIDTH = 480


def try_source(source: str) -> dict[str, Any]:
    """Open a source and look at its first pictures."""
    try:
        first, fps = _look(source)
    except VljepaError as error:
        return _answer(ok=False, sentence=redact(str(error)))
    if first is None:
        return _answer(ok=False, sentence=f"It opens, and gives no picture in {ANSWER_S:.0f} s.")
    height, width = first.image.shape[:2]
    rate = f", {fps:g} pictures a second" if fps else ""
    data = base64.b64encode(jpeg_of(first.image, width=SHOWN_WIDTH)).decode()
    return _answer(
        ok=True,
        sentence=f"It answers: {width} × {height}{rate}.",
        width=width,
        height=height,
        fps=fps,
        picture=f"data:image/jpeg;base64,{data}",
    )


def _look(source: str) -> tuple[Frame | None, float | None]:
    first: Frame | None = None
    times: list[float] = []
    ends = time.monotonic() + ANSWER_S
    with open_source(source, timeout_s=ANSWER_S) as opened:
        for item in opened.frames(Hints(wake_s=0.5)):
            if isinstance(item, Frame):
                first = first or item
                times.append(item.time_s)
            if len(times) >= FRAMES or time.monotonic() > ends:
                break
    spent = times[-1] - times[0] if times else 0.0
    return first, round((len(times) - 1) / spent, 1) if spent > 0 else None


def _answer(
    *,
    ok: bool,
    sentence: str,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    picture: str | None = None,
) -> dict[str, Any]:
    return {
        "ok": ok, "sentence": sentence, "width": width, "height": height, "fps": fps, "picture": picture
    }  # fmt: skip
