"""One writer a file: a locked file of an unguessable name beside it, which a killed process leaves unlocked."""

from __future__ import annotations

import os
import random
import re
import secrets
import stat
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from vljepa_runtime.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: no locks, and no other writer is noticed
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "NOFOLLOW",
    "NONBLOCK",
    "PROBE",
    "SUFFIX",
    "claim_existing",
    "claim_file",
    "has_writer",
    "let_go",
    "lock_file",
    "new_file",
    "refusal",
]

SUFFIX = ".partial"
NAME_BYTES = 160  # of the final name that a temporary one repeats; file systems end at 255
TOKEN_BYTES = 8
ATTEMPTS = 6
PROBE = bytes(4096)  # written and taken back: a full disk is noticed before the work
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
NONBLOCK = getattr(os, "O_NONBLOCK", 0)
BINARY = getattr(os, "O_BINARY", 0)


def claim_file(path: Path, *, append: bool = False) -> tuple[Path, int]:
    """A new file beside `path` that nobody else writes, locked for as long as it is open; see `new_file`."""
    name = path.name
    if len(os.fsencode(name)) > NAME_BYTES:
        name = f"{name[: NAME_BYTES // 8]}~{sha256(os.fsencode(name)).hexdigest()[:16]}"
    try:
        for attempt in range(ATTEMPTS):
            temporary, descriptor = new_file(path.parent, name, append=append)
            try:
                if not _has_other_writer(path, name, mine=temporary.name):
                    os.write(descriptor, PROBE)
                    os.ftruncate(descriptor, 0)
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    return temporary, descriptor
            except BaseException:
                let_go(temporary, descriptor)
                raise
            let_go(temporary, descriptor)
            time.sleep((attempt + random.random()) * 0.02)  # of two that began at once, one shall get it
    except OSError as error:
        raise refusal(path, error) from error
    raise InputError(f"{path} is being written by another process: choose another name")


def claim_existing(path: Path) -> int:
    """A file that is there, open at its end for one writer, locked for as long as it is open."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | NOFOLLOW | BINARY)
    except OSError as error:
        raise refusal(path, error) from error
    if lock_file(descriptor, wait=False) is False:
        os.close(descriptor)
        raise InputError(f"{path} is being written by another process: choose another name")
    os.lseek(descriptor, 0, os.SEEK_END)
    return descriptor


def new_file(folder: Path, name: str, *, append: bool = False) -> tuple[Path, int]:
    """A new file of an unguessable name, open and locked.

    With `append` every write goes to its end, also after somebody has cut it: what rotates logs does.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NOFOLLOW | BINARY | (os.O_APPEND if append else 0)
    while True:
        temporary = folder / f".{name}.{secrets.token_hex(TOKEN_BYTES)}{SUFFIX}"
        descriptor = os.open(temporary, flags, 0o666)
        lock_file(descriptor, wait=True)
        if os.path.lexists(temporary):
            return temporary, descriptor
        os.close(descriptor)  # swept by another writer before it was locked


def let_go(temporary: Path, descriptor: int) -> None:
    temporary.unlink(missing_ok=True)
    os.close(descriptor)


def _has_other_writer(path: Path, name: str, *, mine: str) -> bool:
    """Whether another process writes `path`; what dead ones left is removed."""
    ours = re.compile(re.escape(f".{name}.") + f"[0-9a-f]{{{2 * TOKEN_BYTES}}}" + re.escape(SUFFIX))
    with os.scandir(path.parent) as entries:
        others = [entry.path for entry in entries if ours.fullmatch(entry.name) and entry.name != mine]
    return any(has_writer(other, temporary=True) for other in others) or has_writer(path, temporary=False)


def has_writer(path: str | Path, *, temporary: bool) -> bool:
    """Whether a living process writes a file; a temporary one that a dead process left is removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | NONBLOCK | NOFOLLOW)
    except OSError:  # gone, a link, or somebody else's
        return False
    try:
        found = os.fstat(descriptor)
        free = lock_file(descriptor, wait=False) if stat.S_ISREG(found.st_mode) else None
        if free and temporary and found.st_uid == os.geteuid():
            with suppress(FileNotFoundError):  # another one that begins now was quicker
                os.unlink(path)
        return free is False
    finally:
        os.close(descriptor)


def lock_file(descriptor: int, *, wait: bool) -> bool | None:
    """Lock an open file against other writers; False when one holds it, None where files cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def refusal(path: Path, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return InputError(f"cannot write {path}: {reason}: choose another place or name")
