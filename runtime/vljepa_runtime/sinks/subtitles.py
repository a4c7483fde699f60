"""Events as SubRip subtitles (.srt) that any player shows beside the video, complete after every event."""

from __future__ import annotations

import os
import textwrap
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from vljepa_runtime.errors import OutputError
from vljepa_runtime.events import Event
from vljepa_runtime.files.atomic import OutputFile
from vljepa_runtime.sinks.protocol import Sink

__all__ = ["SubtitleSink", "srt_time"]

LINE_CHARACTERS = 42  # what players and subtitle guides expect to fit
SHOWN = ("segment", "answer", "alert")
OPEN_CUES = 1024  # the last ones, among which a late event still finds its place; bounds memory and rewriting
SETTLED_AT_ONCE = 256
JOINERS = "\u200c\u200d"  # invisible, and part of how Persian and emoji are written


@dataclass(frozen=True, slots=True)
class _Cue:
    start_ms: int
    end_ms: int
    texts: tuple[str, ...]


class SubtitleSink(Sink):
    """Subtitles of all events that carry text; see `Sink`.

    Several queries report out of order: each event is put in its place and what follows is written again, so that
    the file is sorted and whole at any moment. Cues are joined where they share their times, and shortened where
    the next one begins. A pipe, in which there is no going back, gets them when they are settled.

    Args:
        path: The `.srt` file; it appears with the first cue, or empty at `close`.
        overwrite: Replace an existing file.

    Raises:
        InputError: the file exists, or its place cannot be written.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self._file = OutputFile(path, overwrite=overwrite)
        self._cues: list[_Cue] = []
        self._offsets: list[int] = []  # of each open cue in the file, in bytes
        self._settled = 0  # cues before those, which stay as they are
        self._settled_ms = 0  # where the last of them ends

    def write(self, event: Event) -> None:
        """Show one event; those without text or of other kinds are left out.

        Raises:
            OutputError: the disk is full; the file holds all cues that fitted.
        """
        text = _cue_text(event.shown)
        if event.kind not in SHOWN or not text or self._file.fileno() < 0:
            return
        start = max(self._settled_ms, round(event.start_s * 1000))
        self._write_from(self._place(_Cue(start, max(start + 1, round(event.end_s * 1000)), (text,))))
        if len(self._cues) > OPEN_CUES:
            self._settle(SETTLED_AT_ONCE)

    def close(self) -> None:
        """Complete the file."""
        if self._file.fileno() < 0:
            return
        try:
            self._settle(len(self._cues))
            self._file.close()
        finally:
            self._file.discard()

    def _place(self, cue: _Cue) -> int:
        """Put a cue among the open ones; the index of the first that changes."""
        at = bisect_left(self._cues, cue.start_ms, key=lambda other: other.start_ms)
        if at < len(self._cues) and self._cues[at].start_ms == cue.start_ms:
            same = self._cues[at]
            texts = tuple(dict.fromkeys(same.texts + cue.texts))
            self._cues[at] = _Cue(same.start_ms, max(cue.end_ms, same.end_ms), texts)
        else:
            self._cues.insert(at, cue)
        return max(0, at - 1)  # the one before may have to end earlier

    def _write_from(self, first: int) -> None:
        """Write the cues from `first` on."""
        if self._file.in_place:
            return
        self._file.publish()
        blocks = [self._block(index) for index in range(first, len(self._cues))]
        begin = self._offsets[first] if first < len(self._offsets) else self._length()
        del self._offsets[first:]
        for block in blocks:
            self._offsets.append(begin)
            begin += len(block)
        _write_at(self._file, self._offsets[first], blocks)

    def _length(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _block(self, index: int) -> bytes:
        cue, number = self._cues[index], self._settled + index + 1
        after = self._cues[index + 1].start_ms if index + 1 < len(self._cues) else cue.end_ms
        times = f"{srt_time(cue.start_ms)} --> {srt_time(min(cue.end_ms, after))}"
        gap = "\n" if number > 1 else ""
        text = "\n".join(cue.texts)
        return f"{gap}{number}\n{times}\n{text}\n".encode("utf-8", errors="replace")

    def _settle(self, count: int) -> None:
        """Let the first open cues be as they are."""
        if not count:
            return
        if self._file.in_place:
            self._file.write(b"".join(self._block(index) for index in range(count)))
        last, following = self._cues[count - 1], self._cues[count : count + 1]
        self._settled_ms = min([last.end_ms, *(cue.start_ms for cue in following)])
        self._settled += count
        del self._cues[:count], self._offsets[:count]

    def abandon(self) -> None:
        """Close; what was there stays where there was no cue."""
        if not self._file.published:
            self._file.discard()
        self.close()


def srt_time(milliseconds: int) -> str:
    """`HH:MM:SS,mmm`."""
    seconds, ms = divmod(milliseconds, 1000)
    minutes, s = divmod(seconds, 60)
    hours, m = divmod(minutes, 60)
    return f"{hours:02}:{m:02}:{s:02},{ms:03}"


def _write_at(file: OutputFile, begin: int, blocks: list[bytes]) -> None:
    """Write blocks over what is there to the end; when the disk is full, those that fitted whole remain."""
    data, done = b"".join(blocks), 0
    try:
        while done < len(data):
            done += os.pwrite(file.fileno(), data[done:], begin + done)
        os.ftruncate(file.fileno(), begin + done)
    except OSError as error:
        whole = 0
        for block in blocks:
            if whole + len(block) > done:
                break
            whole += len(block)
        os.ftruncate(file.fileno(), begin + whole)
        raise OutputError(f"cannot write {file.path}: {error.strerror}") from error


def _cue_text(text: str) -> str:
    """Text that cannot end a cue early or look like a time line."""
    words = "".join(c if c.isprintable() or c in JOINERS else " " for c in text.replace("-->", "→"))
    return "\n".join(textwrap.wrap(words, LINE_CHARACTERS))
