"""The files of a bundle, opened once and held: what was checked is what is read, whatever happens to the path since.

A folder that is replaced, or a zip that is written anew, goes on being what it was for those who hold it. On Windows a
file that is held cannot be replaced meanwhile: close the bundle first.
"""

from __future__ import annotations

import mmap
import os
import stat
import weakref
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from vljepa_runtime.bundle.entries import check_file_name
from vljepa_runtime.bundle.place import MANIFEST
from vljepa_runtime.errors import BundleError

__all__ = ["MAX_MANIFEST_BYTES", "FolderFiles", "HeldFile", "MemoryFiles", "Store", "ZipFiles"]

MAX_MANIFEST_BYTES = 1 << 20
MAX_ZIP_MEMBERS = 1024
MAX_ZIP_LISTING = 1 << 20  # bytes of a zip's list of members: 1024 of them with long names take half of that
CHUNK = 1 << 20
_ASK = "download or export it again"


class HeldFile:
    """A part of an open file: the whole of it, or a member of a zip.

    Args:
        file: Open for reading, unbuffered; whoever opened it closes it.
        start: Where the part begins.
        size: Its bytes.
    """

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self.size = file, start, size

    def read(self) -> bytes:
        """All of it; less where the file has become shorter."""
        return b"".join(self.blocks(self.size))

    def blocks(self, size: int = CHUNK) -> Iterator[bytes]:
        """All of it, in blocks of at most so many bytes."""
        place, end = self._start, self._start + self.size
        while place < end and (block := self._read_at(place, min(size, end - place))):
            yield block
            place += len(block)

    def view(self) -> memoryview:
        """Its pages, mapped and not read: for files that would not fit into memory twice. Writes stay private."""
        before = self._start % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(
            self._file.fileno(), before + self.size, access=mmap.ACCESS_COPY, offset=self._start - before
        )
        return memoryview(pages)[before:]

    def stamp(self) -> tuple[int, ...]:
        """What changes when anybody writes to the file."""
        found = os.fstat(self._file.fileno())
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def descriptor(self) -> int | None:
        """The open file, where this is the whole of one."""
        return self._file.fileno() if self._start == 0 else None

    def _read_at(self, place: int, size: int) -> bytes:
        if hasattr(os, "pread"):  # moves no position, so threads may share the file
            return os.pread(self._file.fileno(), size, place)
        with open(self._file.fileno(), "rb", buffering=0, closefd=False) as same:
            same.seek(place)
            return same.read(size)


class Store(Protocol):
    """Where the files of a bundle are."""

    root: Path

    def manifest_bytes(self) -> bytes:
        """`bundle.json`."""

    def file(self, name: str) -> HeldFile:
        """A file by its name; opened at the first call.

        Raises:
            BundleError: it is not there, or not a plain file.
        """

    def close(self) -> None:
        """Let go of everything."""


class _Held:
    """Open files that are closed with their owner, at the latest when nobody refers to it any more."""

    def __init__(self) -> None:
        self._open: list[IO[bytes]] = []
        self._finalizer = weakref.finalize(self, _close, self._open)

    def hold(self, descriptor: int) -> IO[bytes]:
        """Take over a descriptor."""
        file = os.fdopen(descriptor, "rb", buffering=0)
        self._open.append(file)
        return file

    def close(self) -> None:
        """Close all of them."""
        self._finalizer()


def _close(files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()


class FolderFiles(_Held):
    """Files of a folder; links and special files are refused."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self._files: dict[str, HeldFile] = {}

    def manifest_bytes(self) -> bytes:
        """See `Store.manifest_bytes`."""
        file = self.file(MANIFEST)
        _check_manifest_size(file.size, self.root)
        return file.read()

    def file(self, name: str) -> HeldFile:
        """See `Store.file`."""
        if name not in self._files:
            self._check_kinds(name)
            # A pipe in the place of a file would wait for a writer.
            flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            try:
                held = self.hold(os.open(self.root / name, flags | getattr(os, "O_NONBLOCK", 0)))
            except OSError as error:
                raise BundleError(f"cannot read {self.root / name}: {error.strerror}: {_ASK}") from error
            found = os.fstat(held.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise _not_plain(name, self.root)
            self._files[name] = HeldFile(held, 0, found.st_size)
        return self._files[name]

    def _check_kinds(self, name: str) -> None:
        place = self.root
        parts = name.split("/")
        for depth, part in enumerate(parts, 1):
            place = place / part
            try:
                found = os.lstat(place)
            except OSError as error:
                raise BundleError(f"{self.root} lacks the file {name}: {_ASK}") from error
            regular = stat.S_ISREG(found.st_mode) if depth == len(parts) else stat.S_ISDIR(found.st_mode)
            if not regular:
                raise _not_plain(name, self.root)


class ZipFiles(_Held):
    """Members of a zip; compressed, encrypted, linked and repeated members are refused."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        try:
            self._file = self.hold(os.open(root, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
            with zipfile.ZipFile(_Listing(self._file)) as archive:
                infos = archive.infolist()
                if len(infos) > MAX_ZIP_MEMBERS:
                    raise BundleError(
                        f"{root}: expected at most {MAX_ZIP_MEMBERS} files, got {len(infos)}: {_ASK}"
                    )
                self._files: dict[str, HeldFile] = {}
                for info in infos:
                    if not info.filename.endswith("/"):  # is_dir() raises where there is no name
                        self._admit(archive, info)
                self._manifest = self._read_manifest(archive)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            EOFError,
            KeyError,
            ValueError,
        ) as error:
            raise BundleError(f"{root} is not a readable zip ({error}): {_ASK}") from error
        except OSError as error:
            raise BundleError(f"cannot read {root}: {error.strerror or error}: {_ASK}") from error

    def manifest_bytes(self) -> bytes:
        """See `Store.manifest_bytes`."""
        return self._manifest

    def file(self, name: str) -> HeldFile:
        """See `Store.file`."""
        if name not in self._files:
            raise BundleError(f"{self.root} lacks the file {name}: {_ASK}")
        return self._files[name]

    def _admit(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        name = info.filename
        if name != MANIFEST:
            check_file_name(name)
        if name in self._files:
            raise BundleError(f"{self.root} holds {name} twice: {_ASK}")
        if (
            info.compress_type != zipfile.ZIP_STORED
            or info.flag_bits & 1
            or info.file_size != info.compress_size
        ):
            raise BundleError(
                f"{name} in {self.root}: expected a stored member, got a packed one: zip it with `zip -0`"
            )
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BundleError(
                f"{name} in {self.root}: expected a plain file, got a link or a special file: {_ASK}"
            )
        # The module compares the member's own header with the list, and moves to where its bytes begin.
        with archive.open(info):
            self._files[name] = HeldFile(self._file, self._file.tell(), info.file_size)

    def _read_manifest(self, archive: zipfile.ZipFile) -> bytes:
        _check_manifest_size(self.file(MANIFEST).size, self.root)
        return archive.read(
            MANIFEST
        )  # not by itself: the module compares its checksum, the others have a better one


class _Listing:
    """A zip for the module that reads its list, which asks for as many bytes as the zip says that the list has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """At most as much as a list that is real."""
        data = self._file.read(size if 0 <= size <= MAX_ZIP_LISTING else MAX_ZIP_LISTING + 1)
        if len(data) > MAX_ZIP_LISTING:
            raise zipfile.BadZipFile(f"its list of members is longer than {MAX_ZIP_LISTING} bytes")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class MemoryFiles:
    """Files that are on no disk."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.root = Path("memory")
        self._files = files

    def manifest_bytes(self) -> bytes:
        """There is none."""
        raise BundleError(f"a bundle in memory has no {MANIFEST}")

    def file(self, name: str) -> HeldFile:
        """See `Store.file`."""
        return _MemoryFile(self._files[name])

    def close(self) -> None:
        """Nothing."""


class _MemoryFile(HeldFile):
    """Bytes that need no file."""

    def __init__(self, data: bytes) -> None:
        self._data, self.size = data, len(data)

    def read(self) -> bytes:
        return self._data

    def blocks(self, size: int = CHUNK) -> Iterator[bytes]:
        yield self._data

    def view(self) -> memoryview:
        return memoryview(self._data)

    def stamp(self) -> tuple[int, ...]:
        return ()

    def descriptor(self) -> int | None:
        return None


def _not_plain(name: str, root: Path) -> BundleError:
    return BundleError(
        f"{name} in {root}: expected a plain file, got a link or a special file: copy the real file there"
    )


def _check_manifest_size(size: int, root: Path) -> None:
    if size > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{MANIFEST} in {root}: expected at most {MAX_MANIFEST_BYTES} bytes, got {size}: {_ASK}"
        )
