"""A folder with a published data set, as it was unpacked: its annotation files, videos and pictures by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from vljepa_data.annotations.video_folder import VideoFolder
from vljepa_data.errors import AnnotationError

__all__ = ["DataFolder", "FileMissingError"]


COCO = ("COCO_val2014_", "COCO_train2014_")


class FileMissingError(AnnotationError):
    """No file of a folder has a name that was looked for."""


class DataFolder:
    """What lies below a folder, listed once.

    Args:
        path: The folder.

    Raises:
        AnnotationError: it is no folder that can be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            what = "a file" if path.exists() else "nothing there"
            raise AnnotationError(f"expected a folder with a data set at {path}, found {what}")
        self.path = path

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file below, in the order of their paths."""
        found = (Path(place) / name for place, _, names in os.walk(self.path) for name in names)
        return tuple(sorted(found))

    @cached_property
    def videos(self) -> VideoFolder:
        """Its videos by their names without ending."""
        return VideoFolder.of(self.path, self.files)

    def file(self, *patterns: str) -> Path:
        """The first file that one of these names fits, in the order of the names.

        Raises:
            AnnotationError: there is none.
        """
        found = next((each for pattern in patterns for each in self.matching(pattern)), None)
        if found is None:
            raise self.missing(" or ".join(patterns))
        return found

    def all(self, *patterns: str) -> list[Path]:
        """Every file that one of these names fits.

        Raises:
            AnnotationError: there is none.
        """
        found = list(dict.fromkeys(each for pattern in patterns for each in self.matching(pattern)))
        if not found:
            raise self.missing(" or ".join(patterns))
        return found

    def matching(self, pattern: str) -> Iterator[Path]:
        """Files whose path below this folder ends as a pattern says, such as `val_*.json` or `annotations/a.csv`."""
        depth = pattern.count("/") + 1
        return (path for path in self.files if fnmatch("/".join(path.parts[-depth:]), pattern))

    def picture(self, name: str) -> Path:
        """A picture by its file's name, wherever it lies; where it was expected if it is nowhere.

        COCO calls the same pictures `COCO_val2014_000000000042.jpg` and, from 2017 on, `000000000042.jpg`.
        """
        plain = Path(name).name
        number = plain.rpartition("_")[2]
        names = (
            (plain, number, *(f"{prefix}{plain}" for prefix in COCO))
            if plain.startswith(("COCO_", "0"))
            else (plain,)
        )
        return next((self._by_name[each] for each in names if each in self._by_name), self.path / name)

    def missing(self, what: str) -> FileMissingError:
        """An error that says what was looked for here."""
        return FileMissingError(f"{self.path}: expected {what} in this folder or below it, found none")

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        return {path.name: path for path in reversed(self.files)}
