"""A folder beside an output in which it is made; one that a killed process left goes with the next."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vljepa_runtime.files.claim import SUFFIX, lock_file

__all__ = ["scratch_folder"]

SCRATCH = ".scratch" + SUFFIX
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """An empty folder on the same disk as `place`, which what is made in it is moved to; removed at the end."""
    prefix = f".{place.name[:40]}."
    _sweep(place.parent, prefix)
    folder, descriptor = _locked(place.parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=SCRATCH))
        with suppress(FileNotFoundError):  # swept by another process before it was locked
            descriptor = os.open(folder, FOLDER)
            lock_file(descriptor, wait=True)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _sweep(parent: Path, prefix: str) -> None:
    """Remove folders of ours whose process is gone: nobody holds their lock."""
    for left in parent.glob(f"{prefix}*{SCRATCH}"):
        with suppress(OSError):
            descriptor = os.open(left, FOLDER)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid() and lock_file(descriptor, wait=False):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)
