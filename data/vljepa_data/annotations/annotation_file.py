"""An annotation file as a command names it: it travels to another process, and is read there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vljepa_data.annotations.example import Example
from vljepa_data.annotations.formats import read_annotations

__all__ = ["AnnotationFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationFile:
    """Which clips of one's own; nothing is read before `read`.

    Attributes:
        path: The annotation file.
        format: A key of ANNOTATION_FORMATS, or `auto`.
        videos: Folder of the videos; None for the one that the file lies in.
        split: Only this part of the file.

    Examples:
        >>> from vljepa_data.annotations import AnnotationFile, by_segment, require_readable
        >>> own = AnnotationFile(path="clips.csv")
        >>> examples = own.read()
        >>> require_readable(by_segment(examples))  # raises for videos that are missing or broken
        >>> own.name, len(examples)
        ('clips.csv', 2)
    """

    path: str
    format: str = "auto"
    videos: str | None = None
    split: str | None = None

    @property
    def name(self) -> str:
        """The file's name without its folder, with the split."""
        return Path(self.path).name + (f", {self.split}" if self.split else "")

    def read(self) -> list[Example]:
        """One example per text.

        Raises:
            AnnotationError: see `read_annotations`.
        """
        return read_annotations(self.path, format=self.format, videos=self.videos, split=self.split)
