"""Finds the video of a name without its ending: data sets come as .mp4, .avi, .webm or .mkv, flat or in sub-folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["VideoFolder"]

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".gif")


class VideoFolder:
    """The videos below a folder by their names.

    Args:
        folder: Looked through once; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._list(folder, sorted(folder.rglob("*")))

    @classmethod
    def of(cls, folder: Path, files: Iterable[Path]) -> VideoFolder:
        """Of files that were listed already, in the order of their paths."""
        made = cls.__new__(cls)
        made._list(folder, files)
        return made

    def _list(self, folder: Path, files: Iterable[Path]) -> None:
        self.folder = folder
        found = [path for path in files if path.suffix.lower() in SUFFIXES]
        self._by_name = {path.stem: path for path in reversed(found)}

    def find(self, *names: str) -> Path | None:
        """The video of the first name that there is one for."""
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def expect(self, name: str) -> Path:
        """The video of a name, or where it was expected, so that it is reported as missing."""
        return self.find(name) or self.folder / f"{name}{SUFFIXES[0]}"

    def cut(
        self, video: str, cuts: tuple[str, ...], start_s: float, end_s: float
    ) -> tuple[Path, float, float | None]:
        """A clip that comes cut out as a file of its own, or as a part of the whole video.

        Args:
            video: Name of the whole video.
            cuts: Names that the cut-out clip may have.
            start_s: Where it begins in the whole video.
            end_s: Where it ends there.

        Returns:
            File, start and end in that file; where there is neither, the first of `cuts` as expected.
        """
        if clip := self.find(*cuts):
            return clip, 0.0, None
        if whole := self.find(video):
            return whole, start_s, end_s
        return self.expect(cuts[0]), 0.0, None
