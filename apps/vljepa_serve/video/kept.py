"""Pieces of encoded video in a folder for each camera, and clips put together from them without encoding.

FOLDER/CAMERA/START-END.mp4      wall clock in whole milliseconds since 1970; .mkv where MP4 does not take the codec
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from vljepa_runtime.files import replace_file
from vljepa_runtime.sources import Cut, write_cut
from vljepa_serve.errors import ServeError

__all__ = ["KeptVideo", "Piece", "Rest"]

NAME = re.compile(r"(\d{1,15})-(\d{1,15})(\.mp4|\.mkv)")
JOINED_S = 1.0  # pieces that are no further apart follow each other
SAME_S = 0.3  # pieces that begin no further apart begin with the same key frame: the longer one has all of it
LONGEST_S = 600.0  # of a clip


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """A file of some seconds of one camera; it begins with a key frame.

    Attributes:
        start: Wall clock, in seconds since 1970.
        end: The same.
        suffix: Of its file.
    """

    start: float
    end: float
    suffix: str

    @classmethod
    def parse(cls, name: str) -> Piece | None:
        """What the name of a file says; None where it is no piece."""
        found = NAME.fullmatch(name)
        return None if found is None else cls(int(found[1]) / 1000, int(found[2]) / 1000, found[3])

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{round(self.start * 1000)}-{round(self.end * 1000)}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Rest:
    """What a camera has sent since its last piece.

    Attributes:
        file: Like that of a piece.
        piece: When it is of.
    """

    file: BinaryIO
    piece: Piece


class KeptVideo:
    """The video that is there; its methods may be called from several threads.

    Args:
        folder: One folder in it for each camera.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._pieces: dict[str, list[Piece]] = {}
        for path in self.folder.glob("*/*"):
            if piece := Piece.parse(path.name):
                self._pieces.setdefault(path.parent.name, []).append(piece)
        for pieces in self._pieces.values():
            pieces.sort()

    def add(self, camera: str, cut: Cut, *, start: float, end: float) -> None:
        """Keep packets that a camera gave from `start` to `end`, by the wall clock.

        Raises:
            OutputError: the disk is full.
        """
        piece = Piece(round(start, 3), round(end, 3), cut.track.suffix)
        (self.folder / camera).mkdir(parents=True, exist_ok=True)
        replace_file(self.folder / camera / piece.name, lambda file: write_cut(cut, file))
        with self._lock:
            self._pieces.setdefault(camera, []).append(piece)

    def pieces(self, camera: str, start: float, end: float) -> list[Piece]:
        """Those that show something of a time, the oldest first."""
        with self._lock:
            found = self._pieces.get(camera, ())
            return sorted(each for each in found if each.end > start and each.start < end)

    def holds(self, camera: str, start: float, end: float) -> bool:
        """Whether something of a time is kept."""
        return bool(self.pieces(camera, start, end))

    def write(
        self, camera: str, start: float, end: float, file: BinaryIO, *, rest: Rest | None = None
    ) -> tuple[float, float]:
        """Write what is kept of a time as one video that begins with the key frame before it.

        Args:
            camera: Its id.
            start: Wall clock, in seconds since 1970.
            end: The same; ten minutes behind `start` at most.
            file: Open for writing bytes; gets MP4, or Matroska where MP4 does not take the codec.
            rest: What came since the last piece.

        Returns:
            From when to when it shows.

        Raises:
            ServeError: nothing of it is kept.
        """
        end = min(end, start + LONGEST_S)
        files: dict[Piece, str | BinaryIO] = {
            each: os.fspath(self.folder / camera / each.name) for each in self.pieces(camera, start, end)
        }
        if rest is not None and rest.piece.end > start and rest.piece.start < end:
            files.setdefault(rest.piece, rest.file)
        pieces = _in_a_row(sorted(files))
        if not pieces:
            raise ServeError(404, "This is older than the kept video, or no video was kept then.")
        kind = "mp4" if pieces[0].suffix == ".mp4" else "matroska"
        try:
            with av.open(file, "w", format=kind, options=FAST if kind == "mp4" else {}) as target:
                _copy(target, ((files[each], each) for each in pieces), end)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise ServeError(503, f"The kept video of that time cannot be read: {error}") from error
        return pieces[0].start, min(pieces[-1].end, end)

    def forget(self, camera: str, before: float) -> None:
        """Remove what ended before a time."""
        with self._lock:
            pieces = self._pieces.get(camera, [])
            gone = [each for each in pieces if each.end < before]
            self._pieces[camera] = [each for each in pieces if each.end >= before]
        for each in gone:
            with suppress(OSError):
                (self.folder / camera / each.name).unlink(missing_ok=True)

    def shrink(self, most_bytes: float) -> None:
        """Remove the oldest of all cameras until they take no more than this."""
        sizes = {}
        for camera, pieces in [*self._pieces.items()]:
            for each in [*pieces]:
                with suppress(OSError):
                    sizes[each.end, camera] = os.stat(self.folder / camera / each.name).st_size
        total = sum(sizes.values())
        for (end, camera), size in sorted(sizes.items()):
            if total <= most_bytes:
                return
            self.forget(camera, end + 0.0005)
            total -= size

    def bytes(self) -> int:
        """What it takes."""
        total = 0
        for path in self.folder.glob("*/*"):
            with suppress(OSError):
                total += path.stat().st_size
        return total

    @property
    def newest(self) -> float | None:
        """When the last of it ended, by the wall clock; None where there is nothing."""
        with self._lock:
            return max((each.end for pieces in self._pieces.values() for each in pieces), default=None)

    @property
    def cameras(self) -> list[str]:
        """Of which something is kept."""
        return [*self._pieces]


FAST = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}  # needs no going back in the file


def _in_a_row(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces from the first on that follow each other in one format."""
    found: list[Piece] = []
    for each in pieces:
        if not found:
            found.append(each)
        elif each.start - found[-1].end > JOINED_S or each.suffix != found[-1].suffix:
            break
        elif each.start - found[-1].start < SAME_S:
            found[-1] = max(found[-1], each, key=lambda piece: piece.end)
        else:
            found.append(each)
    return found


def _copy(
    target: av.container.OutputContainer, pieces: Iterator[tuple[str | BinaryIO, Piece]], end: float
) -> None:
    """Packets of one piece behind those of another, each at its time, until the codec changes."""
    stream, begun, extra, last_s = None, 0.0, b"", Fraction(-1)
    for file, piece in pieces:
        with av.open(file, "r") as source:
            given = source.streams.video[0]
            if stream is None:
                stream, begun = target.add_stream_from_template(given, opaque=True), piece.start
                extra = given.codec_context.extradata or b""
            elif (given.codec_context.extradata or b"") != extra:
                return
            base = given.time_base or Fraction(1, 90_000)
            shift = round((piece.start - begun) / base)
            for packet in source.demux(given):
                if packet.dts is None:
                    continue
                shown = piece.start + float((packet.pts or 0) * base)
                if packet.is_keyframe and shown > end:
                    return
                # By the clock a piece may begin before the last one ended; a file takes no time twice.
                shift += max(0, math.floor(last_s / base) + 1 - (packet.dts + shift))
                last_s = (packet.dts + shift) * base
                packet.stream = stream
                packet.pts = None if packet.pts is None else packet.pts + shift
                packet.dts += shift
                target.mux(packet)
