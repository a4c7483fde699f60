"""Clips of alerts: what a camera saw from before one began until after it was told, as it came, in a bounded folder."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from vljepa_runtime.alerts.watch import AlertChange
from vljepa_runtime.arguments import number, path, whole
from vljepa_runtime.errors import InputError, OutputError
from vljepa_runtime.files.atomic import check_folder, replace_file
from vljepa_runtime.sources.ring.packet_ring import MAX_BYTES, PacketRing

__all__ = ["ClipFolder", "ClipRecorder"]

NAME = re.compile(r"alert-\d{8}T\d{9}Z-[a-z0-9-]+\.(mp4|mkv)")
LONGEST_NAME = 48  # characters of its words
LATE_S = 5.0  # how far a consumer may be behind a live source


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFolder:
    """Where clips go, how much of a stream they show, and how many are kept.

    A clip has the packets of its source: nothing is encoded anew, so it begins with the key frame before. The oldest
    clips are removed; no other file is. Sources without encoded packets (folders of pictures, Motion JPEG, snapshots,
    cameras of OpenCV) give no clips.

    Attributes:
        folder: Is made where it is not there.
        look_back_s: Seconds before what the alert describes began.
        look_ahead_s: Seconds after it was told.
        max_clips: The most that are kept.
        max_bytes: The most that they take together.
        ring_bytes: Memory for the packets of one stream; where it is too small, clips begin later.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.alerts import Alert, ClipFolder
        >>> falls = Alert(text="a ball falls", threshold=0.3, hold_s=0)
        >>> with vj.load("tiny").session(alerts=[falls], clips=ClipFolder(folder="clips", look_back_s=1)) as session:
        ...     names = {event.clip for event in session.run("clip.mp4") if event.kind == "alert"}
        >>> import pathlib
        >>> names == {path.name for path in pathlib.Path("clips").iterdir()}
        True
    """

    folder: str | Path
    look_back_s: float = 10.0
    look_ahead_s: float = 5.0
    max_clips: int = 200
    max_bytes: int = 2 << 30
    ring_bytes: int = MAX_BYTES

    def __post_init__(self) -> None:
        path(self.folder, "folder")
        number(self.look_back_s, "look_back_s", least=0)
        number(self.look_ahead_s, "look_ahead_s", least=0)
        whole(self.max_clips, "max_clips", least=1)
        whole(self.max_bytes, "max_bytes", least=1, most=2**63 - 1)
        whole(self.ring_bytes, "ring_bytes", least=1, most=2**63 - 1)
        check_folder(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    name: str
    start_s: float
    end_s: float


class ClipRecorder:
    """The clips of one stream.

    Args:
        clips: Where they go.
        longest_s: The longest time from where an alert began until it is told.
    """

    def __init__(self, clips: ClipFolder, *, longest_s: float) -> None:
        self._clips, self._folder = clips, Path(clips.folder)
        seconds = longest_s + clips.look_back_s + clips.look_ahead_s + LATE_S
        self.ring = PacketRing(seconds=seconds, max_bytes=clips.ring_bytes)
        self._wanted: list[_Wanted] = []
        self._names: dict[str, str] = {}  # of the alerts that have begun, by their words

    def name_for(self, change: AlertChange) -> str | None:
        """The name of the clip that shows an alert, asked for at its begin; None where the source gives no packets."""
        if not change.active:
            return self._names.pop(change.alert.text, None)
        if (track := self.ring.track) is None:
            return None
        moment = datetime.now(timezone.utc)
        words = re.sub(r"[^a-z0-9]+", "-", change.alert.text.lower())[:LONGEST_NAME].strip("-")
        stamp = f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z"
        only = secrets.token_hex(
            8
        )  # streams side by side, also of other processes, may tell the same at one moment
        name = f"alert-{stamp}-{words or 'clip'}-{only}{track.suffix}"
        clips = self._clips
        start_s, end_s = change.start_s - clips.look_back_s, change.end_s + clips.look_ahead_s
        self._wanted.append(_Wanted(name=name, start_s=max(0.0, start_s), end_s=end_s))
        self._names[change.alert.text] = name
        return name

    def advance(self, now_s: float) -> list[str]:
        """Write what is complete by now, in stream time, and say what could not be written."""
        problems = self._write_until(now_s)
        self.ring.advance(now_s)
        return problems

    def finish(self) -> list[str]:
        """The stream ended: write what there is of the clips that wait."""
        return self._write_until(float("inf"))

    def _write_until(self, now_s: float) -> list[str]:
        due = [wanted for wanted in self._wanted if wanted.end_s <= now_s]
        if due:
            self._wanted = [wanted for wanted in self._wanted if wanted.end_s > now_s]
        return [problem for wanted in due if (problem := self._write(wanted))]

    def _write(self, wanted: _Wanted) -> str:
        """Write a clip; what went wrong, or nothing."""
        from vljepa_runtime.sources.ring.writing import write_cut

        cut = self.ring.cut(wanted.start_s, wanted.end_s)
        if cut is None:
            return f"no clip {wanted.name}: no key frame of that time was kept"
        if cut.bytes > self._clips.max_bytes:
            return f"no clip {wanted.name}: it has {cut.bytes:,} bytes, of {self._clips.max_bytes:,} for all clips"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(cut.bytes)
            replace_file(self._folder / wanted.name, partial(write_cut, cut), overwrite=False)
        except (InputError, OutputError, OSError) as error:
            return f"no clip {wanted.name}: {error}"
        return ""

    def _make_room(self, size: int) -> None:
        """Remove the oldest clips until one more fits."""
        sizes = dict(self._kept())
        kept = sorted(sizes)
        while kept and (
            len(kept) >= self._clips.max_clips or sum(sizes.values()) + size > self._clips.max_bytes
        ):
            oldest = kept.pop(0)
            (self._folder / oldest).unlink(missing_ok=True)
            del sizes[oldest]

    def _kept(self) -> Iterator[tuple[str, int]]:
        """Names and sizes of the clips in the folder."""
        for each in os.scandir(self._folder):
            if NAME.fullmatch(each.name):
                with suppress(FileNotFoundError):  # another stream has just made room
                    yield each.name, os.lstat(each.path).st_size
