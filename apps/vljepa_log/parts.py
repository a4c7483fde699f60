"""Parts of a folder store: flat files of rows and embeddings, appended to, mapped to be read, removed as one."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.errors import LogError
from vljepa_log.rows import TOLD, WINDOW

__all__ = ["ROW", "SUFFIXES", "Opened", "Part", "PartFiles", "key_of", "row_of", "windows_of"]

Array = npt.NDArray[Any]
ROW = np.dtype([("source", "<i4"), *TOLD])
"""A window as it lies in a file; its source says which stream and query, its place gives its key."""
EMBEDDING = np.dtype("<f2")
KEY_BITS = 20
"""A key is the part's number and then, in so many bits, the row."""
SUFFIXES = (".windows", ".embeddings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Windows of any streams that lie together in the order in which they came.

    Attributes:
        number: Of no other part, also of none that was removed.
        rows: How many windows it holds.
        first: Wall clock of its oldest window.
        last: Wall clock of its newest window.
        sealed: Whether it will not grow any more.
        thinned: Whether its windows were thinned.
        sources: How many streams and queries lie in it.
    """

    number: int
    rows: int
    first: float
    last: float
    sealed: bool
    thinned: bool
    sources: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """A part and maps of its files, which stay while somebody holds them, removed or not.

    Attributes:
        part: Which one.
        rows: (N,) of `ROW`.
        embeddings: (N, S) float16.
        scattered: The same for a few rows here and there: from a disk come these alone, and nothing around them.
    """

    part: Part
    rows: Array
    embeddings: Array
    scattered: Array


class PartFiles:
    """The files of all parts of a log.

    Args:
        folder: Of the log.
        width: Of its embeddings.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self._folder, self._width = folder, width
        self._maps: dict[int, Opened] = {}

    def open(self, part: Part) -> Opened:
        """Map a part.

        Raises:
            FileNotFoundError: it was removed meanwhile.
            LogError: a file is shorter than was stored.
        """
        known = self._maps.get(part.number)
        if known is None or len(known.rows) < part.rows:
            rows, embeddings = self.paths(part.number)
            try:
                known = Opened(
                    part=part,
                    rows=np.asarray(np.memmap(rows, ROW, "r", shape=(part.rows,))),
                    embeddings=np.asarray(
                        np.memmap(embeddings, EMBEDDING, "r", shape=(part.rows, self._width))
                    ),
                    scattered=_scattered(embeddings, (part.rows, self._width)),
                )
            except ValueError as error:
                raise LogError(
                    f"{rows} or {embeddings.name} is shorter than was stored: the log is damaged"
                ) from error
            self._maps[part.number] = known
        return Opened(
            part=part,
            rows=known.rows[: part.rows],
            embeddings=known.embeddings[: part.rows],
            scattered=known.scattered[: part.rows],
        )

    def opened(self, number: int) -> Opened | None:
        """A part as it was when it was mapped last; None where it is not mapped."""
        return self._maps.get(number)

    def write(self, number: int, start: int, rows: Array, embeddings: Array) -> None:
        """Write rows from row `start` on, through to the disk; what lay there before never counted."""
        for path, array in zip(self.paths(number), (rows, embeddings.astype(EMBEDDING))):
            _write_at(path, start * array[:1].nbytes, array)
        if not start:
            _write_through(self._folder)  # or else the file may have no name after a power cut

    def forget_but(self, alive: set[int]) -> None:
        """Let maps of other parts go, so that the disk gets their space."""
        for number in set(self._maps) - alive:
            self._maps.pop(number, None)

    def remove_but(self, alive: set[int]) -> None:
        """Remove the files of other parts; whoever maps them may go on."""
        self.forget_but(alive)
        for number, path in self._numbered():
            if number not in alive:
                path.unlink(missing_ok=True)

    def paths(self, number: int) -> tuple[Path, Path]:
        """Of rows and of embeddings."""
        first, second = (self._folder / f"{number}{suffix}" for suffix in SUFFIXES)
        return first, second

    def _numbered(self) -> Iterator[tuple[int, Path]]:
        for path in self._folder.iterdir():
            if path.suffix in SUFFIXES and path.stem.isdecimal():
                yield int(path.stem), path


def windows_of(opened: Opened, rows: Array) -> Array:
    """Rows of a part as `WINDOW`."""
    chosen = opened.rows[rows]
    windows = np.empty(len(chosen), WINDOW)
    windows["key"] = (opened.part.number << KEY_BITS) + rows
    for name, _ in TOLD:
        windows[name] = chosen[name]
    return windows


def key_of(number: int, row: int) -> int:
    """Of a row of a part."""
    return (number << KEY_BITS) + row


def row_of(key: int) -> tuple[int, int]:
    """Part and row of a key."""
    return key >> KEY_BITS, key & ((1 << KEY_BITS) - 1)


def _scattered(path: Path, shape: tuple[int, int]) -> Array:
    """A map of embeddings without the pages around each that a system reads along, 32 for one."""
    with path.open("rb") as file:
        held = mmap.mmap(file.fileno(), shape[0] * shape[1] * EMBEDDING.itemsize, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
        held.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(held, EMBEDDING).reshape(shape)


def _write_at(path: Path, start: int, array: Array) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        os.lseek(descriptor, start, os.SEEK_SET)
        rest = memoryview(array.tobytes())
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_through(folder: Path) -> None:
    with suppress(OSError):  # not every system opens folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
