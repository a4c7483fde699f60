"""Events as SubRip subtitles (.srt) that any player shows beside the video."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from vljepa_runtime.events import Event
from vljepa_runtime.sinks.protocol import PendingFile

__all__ = ["SubtitleSink", "srt_time"]

LINE_CHARACTERS = 42  # what players and subtitle guides expect to fit
SHOWN = ("segment", "answer", "alert")


@dataclass(frozen=True, slots=True)
class _Cue:
    start_ms: int
    end_ms: int
    text: str


class SubtitleSink:
    """Subtitles of all events that carry text; see `Sink`.

    Cues are kept until `close`, because several queries report out of order; then they are sorted, joined
    where they share their times, and shortened where the next one begins.

    Args:
        path: The `.srt` file; it appears at `close`.
        overwrite: Replace an existing file.

    Raises:
        InputError: the file exists or its folder is missing.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self._file = PendingFile(path, overwrite=overwrite)
        self._cues: list[_Cue] = []
        self._closed = False

    def write(self, event: Event) -> None:
        """Remember one event; those without text or of other kinds are left out."""
        text = _cue_text(event.text)
        if event.kind in SHOWN and text:
            start = max(0, round(event.start_s * 1000))
            self._cues.append(_Cue(start, max(start + 1, round(event.end_s * 1000)), text))

    def close(self) -> None:
        """Write the file."""
        if self._closed:
            return
        self._closed = True
        blocks = [
            f"{number}\n{srt_time(cue.start_ms)} --> {srt_time(cue.end_ms)}\n{cue.text}\n"
            for number, cue in enumerate(_arranged(self._cues), start=1)
        ]
        data = "\n".join(blocks).encode("utf-8", errors="replace")
        try:
            self._file.temporary.write_bytes(data)
            self._file.commit()
        except OSError:
            self._file.discard()
            raise

    def __enter__(self) -> SubtitleSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def srt_time(milliseconds: int) -> str:
    """`HH:MM:SS,mmm`."""
    seconds, ms = divmod(milliseconds, 1000)
    minutes, s = divmod(seconds, 60)
    hours, m = divmod(minutes, 60)
    return f"{hours:02}:{m:02}:{s:02},{ms:03}"


def _arranged(cues: list[_Cue]) -> list[_Cue]:
    joined: dict[int, _Cue] = {}
    for cue in sorted(cues, key=lambda item: item.start_ms):
        same = joined.get(cue.start_ms)
        if same is not None:
            text = same.text if cue.text == same.text else f"{same.text}\n{cue.text}"
            cue = _Cue(cue.start_ms, max(cue.end_ms, same.end_ms), text)
        joined[cue.start_ms] = cue
    ordered = list(joined.values())
    limits = [cue.start_ms for cue in ordered[1:]] + [cue.end_ms for cue in ordered[-1:]]
    return [
        _Cue(cue.start_ms, min(cue.end_ms, limit), cue.text)
        for cue, limit in zip(ordered, limits, strict=True)
    ]


def _cue_text(text: str) -> str:
    """Text that cannot end a cue early or look like a time line."""
    words = "".join(c if c.isprintable() else " " for c in text.replace("-->", "→"))
    return "\n".join(textwrap.wrap(words, LINE_CHARACTERS))
