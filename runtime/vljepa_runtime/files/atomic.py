"""Files that are written: tried before the work starts, one writer each, never through a link, whole or growing.

An output is made beside its final name, under one that cannot be guessed, and takes the final name with its first
content or when it is complete. Named pipes, character devices and /dev/fd/N are written in place. Knows no format.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError, OutputError
from vljepa_runtime.files.claim import NOFOLLOW, PROBE, claim_existing, claim_file, let_go, new_file
from vljepa_runtime.files.in_place import is_in_place, open_in_place

__all__ = ["OutputFile", "cache_file", "check_folder", "check_output", "claimed", "replace_file"]


class OutputFile(Closing):
    """A file that is being written; use it in a `with` block, which discards it when an error passes through.

    Attributes:
        path: The final name.
        in_place: A pipe, a device or an open descriptor: nothing is replaced, and there is no going back in it.

    Args:
        path: The final name.
        overwrite: Replace a file of that name.
        append: Go on at the end of a file of that name, wherever that is when something is written.

    Raises:
        InputError: the place cannot be written, holds something that must not be replaced, or has another writer.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, append: bool = False) -> None:
        if overwrite and append:
            raise InputError(f"expected to replace {path} or to append to it: leave one out")
        self.path = Path(path)
        self.in_place = is_in_place(self.path, overwrite=overwrite or append)
        self._overwrite = overwrite
        self._temporary: Path | None = None
        if self.in_place:
            self._descriptor = open_in_place(self.path)
        elif append and self.path.exists():
            self._descriptor = claim_existing(self.path)
        else:
            self._temporary, self._descriptor = claim_file(self.path, append=append)

    def fileno(self) -> int:
        """The open descriptor, readable too unless `in_place`; -1 when closed."""
        return self._descriptor

    @property
    def published(self) -> bool:
        """Whether it has its name."""
        return self._temporary is None

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data` where the last write ended, through to the system, or nothing of it.

        Raises:
            OutputError: the disk is full, a quota is used up, or the reader of a pipe is gone.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            if not self.in_place:  # half a line helps nobody
                end = os.lseek(self._descriptor, len(rest) - len(data), os.SEEK_CUR)
                os.ftruncate(self._descriptor, end)
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
        return len(data)

    def publish(self) -> None:
        """Give the file its name now, if it has not got it; it may go on growing under it.

        Raises:
            OutputError: something else has taken the name, or the folder is gone.
        """
        if (temporary := self._temporary) is None:
            return
        try:
            if (
                not self._overwrite
            ):  # taking a free name for oneself works on every file system, linking does not
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | NOFOLLOW, 0o666))
            elif os.path.lexists(self.path) and not stat.S_ISREG(os.lstat(self.path).st_mode):
                raise FileExistsError(f"{self.path} is no regular file any more")
            os.replace(temporary, self.path)
        except OSError as error:
            raise OutputError(f"cannot give {self.path} its name: {error.strerror or error}") from error
        self._temporary = None

    def close(self) -> None:
        """Complete the file: publish it, write it through to the disk and let it go."""
        if self._descriptor < 0:
            return
        try:
            self.publish()
            if not self.in_place:
                os.fsync(self._descriptor)  # a device may lose its power next
                if not os.path.lexists(self.path):
                    raise OutputError(f"{self.path} was removed while it was written: its content is lost")
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot
                raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Let the file go; without a name of its own it vanishes."""
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def abandon(self) -> None:
        """Let it go: what is not whole gets no name."""
        self.discard()


def replace_file(
    path: str | Path, content: bytes | Callable[[BinaryIO], object], *, overwrite: bool = True
) -> None:
    """Write a file that takes its name when it is complete.

    Args:
        path: The final name.
        content: All of it, or what fills the open file.
        overwrite: Replace a file of that name.

    Raises:
        InputError: see `OutputFile`.
        OutputError: the disk is full, or the name is taken meanwhile.
    """
    with OutputFile(path, overwrite=overwrite) as output:
        if isinstance(content, bytes):
            output.write(content)
            return
        try:
            with open(output.fileno(), "wb" if output.in_place else "w+b", closefd=False) as file:
                content(file)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def cache_file(path: Path, content: bytes) -> None:
    """Put a file into a cache, whole or not at all; its folder is made.

    Unlike an output it may be written by any number of processes at once, the last one's stays, and nothing waits for
    the disk: it can be made again.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        temporary, descriptor = new_file(path.parent, path.name)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            with suppress(
                FileNotFoundError
            ):  # swept since it was closed, which Windows wants before it is renamed
                os.replace(temporary, path)
                return
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def claimed(path: str | Path) -> Iterator[None]:
    """Be the one writer of a file or folder while inside, whoever makes it and how.

    Raises:
        InputError: it has another writer, or its folder cannot be written.
    """
    place = Path(path)
    check_folder(place.parent)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary, descriptor = claim_file(place)
    try:
        yield
    finally:
        let_go(temporary, descriptor)


def check_output(path: str | Path, *, overwrite: bool) -> None:
    """Try whether a file can be written, and leave nothing behind.

    Raises:
        InputError: see `OutputFile`.
    """
    if not is_in_place(
        Path(path), overwrite=overwrite
    ):  # a reader of a pipe would take the trial for the end
        OutputFile(path, overwrite=overwrite).discard()


def check_folder(path: str | Path, *, names: Iterable[str] = ()) -> None:
    """Try whether a folder, which need not be there yet, can be written into.

    Args:
        path: The folder.
        names: Files that will be replaced in it; several processes may ask.

    Raises:
        InputError: it or the nearest folder above it is no folder, or cannot be written, or one of the files is a
            link, a folder or a device.
    """
    place = Path(path)
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(f"cannot write into {path}: {place} is not a folder, name another one")
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(PROBE)
    except OSError as error:
        raise InputError(f"cannot write into {path}: {error.strerror}: choose another folder") from error
    for file in (Path(path, name) for name in names):
        if file.parent.is_dir() and is_in_place(file, overwrite=True):
            raise InputError(
                f"expected a file to replace, {file} is a device or a pipe: choose another folder"
            )
