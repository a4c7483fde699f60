"""How the streams of a group are called: each by its source, none as another."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from vljepa_runtime.sources.naming import source_name

__all__ = ["numbered", "stream_names"]


def stream_names(sources: Iterable[str | Path | int]) -> tuple[str, ...]:
    """The names that a group gives to these sources, without opening them.

    Raises:
        SourceError: nothing has one of these names.

    Examples:
        >>> from vljepa_runtime.streams import stream_names
        >>> stream_names(["clip.mp4", "rtsp://user:secret@10.0.0.7/door", "clip.mp4"])
        ('clip.mp4', 'rtsp://***@10.0.0.7/door', 'clip.mp4 #2')
    """
    names: list[str] = []
    for source in sources:
        names.append(numbered(source_name(source), names))
    return tuple(names)


def numbered(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it where it is taken."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name} #{count}"
    return found
