"""Outputs that are written where they are: named pipes, character devices and the process's own /dev/fd/N."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from vljepa_runtime.errors import InputError
from vljepa_runtime.files.claim import NOFOLLOW, NONBLOCK, refusal

__all__ = ["is_in_place", "open_in_place"]

OWN_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}
READER_S = 5.0  # for a named pipe's reader to come


def is_in_place(path: Path, *, overwrite: bool) -> bool:
    """Whether a path is written in place; whatever can be neither written nor replaced is refused."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        if path.parent.is_dir():
            return False
        raise InputError(
            f"cannot write {path}: the folder {path.parent} does not exist, make it first"
        ) from None
    except (OSError, ValueError) as error:
        raise refusal(path, error) from error
    if _own_descriptor(path) is not None or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return True
    if stat.S_ISLNK(mode):
        raise InputError(f"{path} is a symbolic link, which is not written through: name the file itself")
    if stat.S_ISDIR(mode):
        raise InputError(f"expected a file to write, {path} is a folder: name a file in it")
    if not stat.S_ISREG(mode):
        what = "a block device" if stat.S_ISBLK(mode) else "a socket"
        raise InputError(f"expected a file to write, {path} is {what}: choose another name")
    if not overwrite:
        raise InputError(f"{path} exists: choose another name or pass --force (overwrite=True)")
    return False


def _own_descriptor(path: Path) -> int | None:
    """The number behind /dev/stdout or /dev/fd/N."""
    text = os.fspath(path)
    number = next((text[len(head) :] for head in OWN_DESCRIPTORS if text.startswith(head)), "")
    return int(number) if number.isdecimal() else STANDARD.get(text)


def open_in_place(path: Path) -> int:
    """Open what is written in place; a named pipe's reader may come within `READER_S` seconds."""
    try:
        if (own := _own_descriptor(path)) is not None:
            return os.dup(own)
        descriptor = _open_for_reader(path)
        os.set_blocking(descriptor, True)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise InputError(f"nobody reads {path}: start its reader first, or name a file") from error
        raise refusal(path, error) from error
    return descriptor


def _open_for_reader(path: Path) -> int:
    """Open a device, or a named pipe whose reader may come a moment later; an open that waits would wait for ever."""
    deadline = time.monotonic() + READER_S
    flags = os.O_WRONLY | os.O_APPEND | NONBLOCK | NOFOLLOW | getattr(os, "O_NOCTTY", 0)
    while True:
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
