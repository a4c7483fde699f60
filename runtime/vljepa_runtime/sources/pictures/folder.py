"""A folder of pictures as a video: sorted as a person would (`2.png` before `10.png`), at a given rate."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from vljepa_runtime.arguments import number
from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.naming import shown_path
from vljepa_runtime.sources.pictures.stills import IMAGE_SUFFIXES, read_image
from vljepa_runtime.sources.protocol import EVERY_FRAME, Announced, Frame, Hints, Item, Source, SourceStatus

__all__ = ["FolderSource", "natural_key"]

DEFAULT_FPS = 4.0


class FolderSource(Source):
    """Pictures directly inside a folder; see `Source`. One that cannot be read costs a warning, not the stream.

    Args:
        path: The folder.
        fps: Pictures per second; None takes one per `Hints.min_interval_s`, else 4.
        loop: Start again at the end.
        stretch: Spread the values of grey pictures of more than 8 bits over black to white.

    Raises:
        SourceError: the folder is missing or holds no pictures.
    """

    def __init__(
        self, path: str | Path, *, fps: float | None = None, loop: bool = False, stretch: bool = False
    ) -> None:
        if fps is not None:
            number(fps, "fps", above=0)
        self.name = shown_path(path)
        self.fps = fps
        self.loop = loop
        self.stretch = stretch
        folder = Path(path)
        if not folder.is_dir():
            raise SourceError(f"no such folder: {folder}")
        try:
            found = [item for item in folder.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES]
        except OSError as error:
            raise SourceError(f"cannot read the folder {folder}: {error.strerror or error}") from error
        # pipes, broken links and the like stay, for a warning each
        self.files = sorted(
            (f for f in found if not os.path.isdir(f)), key=lambda item: natural_key(item.name)
        )
        if not self.files:
            kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
            raise SourceError(f"the folder {folder} holds no pictures ({kinds})")

    def announced(self) -> Announced:
        """Its pictures, if none is damaged."""
        return Announced(frames=len(self.files), step_s=1 / (self.fps or DEFAULT_FPS))

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """Read one picture at a time."""
        interval_s = 1 / self.fps if self.fps else hints.min_interval_s or 1 / DEFAULT_FPS
        index, noted = 0, False
        while True:
            first = index
            for path in self.files:
                try:
                    still = read_image(path, hints.short_side, stretch=self.stretch)
                except SourceError as error:
                    yield SourceStatus(kind="warning", message=str(error))
                    continue
                if still.note and not noted:
                    noted = True
                    yield SourceStatus(kind="warning", message=still.note)
                yield Frame(image=still.image, time_s=index * interval_s, index=index, duration_s=interval_s)
                index += 1
            if index == first:
                raise SourceError(f"none of the {len(self.files)} pictures in {self.name} could be read")
            if not self.loop:
                return

    def close(self) -> None:
        """Stop looping; nothing else is held."""
        self.loop = False


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that compares runs of digits as numbers."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)
