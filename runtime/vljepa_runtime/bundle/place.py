"""Where a bundle may be written, looked at before the work. Reads no bundle but the names in its manifest."""

from __future__ import annotations

import os
from pathlib import Path

from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files.atomic import check_folder
from vljepa_runtime.files.in_place import is_in_place
from vljepa_runtime.files.strict_json import parse_json

__all__ = ["MANIFEST", "check_place"]

MANIFEST = "bundle.json"


def check_place(target: str | os.PathLike[str], *, force: bool) -> None:
    """Try whether a bundle can be written, and replaces nothing but a file or a bundle.

    Raises:
        BundleError: `target` exists and `force` is off, or is a folder with other files.
        InputError: the place cannot be written, or is a link or a device.
    """
    place = Path(target)
    if not force and os.path.lexists(place):
        raise BundleError(f"{place} exists: choose another name or pass force=True (--force)")
    if place.is_dir() and not place.is_symlink():
        if foreign := _foreign(place):
            raise BundleError(
                f"{place} is a folder and not a bundle alone, it holds {foreign}: name the bundle to write, "
                f"{place / 'NAME.vljepa'}"
            )
    elif place.parent.is_dir() and is_in_place(place, overwrite=force):
        raise InputError(
            f"expected a file or folder to write, {place} is a device or a pipe: choose another name"
        )
    check_folder(place.parent)


def _foreign(folder: Path) -> str:
    """A file in a folder that no bundle of ours put there; empty when it holds a bundle alone."""
    try:
        listed = set(parse_json((folder / MANIFEST).read_text(encoding="utf-8"))["files"]) | {MANIFEST}
    except (OSError, ValueError, TypeError, KeyError):
        listed = set()
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return next((name for name in sorted(found) if name not in listed), "")
