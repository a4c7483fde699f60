"""Where frames come from: files, pictures, folders, cameras, network streams and GStreamer pipelines.

>>> for item in open_source("clip.mp4"):
...     if isinstance(item, Frame):
...         print(item.time_s, item.image.shape)
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.protocol import Frame, Hints, Source, SourceStatus, redact

__all__ = ["Frame", "Hints", "Source", "SourceStatus", "open_source", "redact"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def open_source(
    spec: str | Path | int, *, loop: bool = False, fps: float | None = None, hints: Hints | None = None
) -> Source:
    """Open whatever a user may name.

    Args:
        spec: A camera number (`0`, `"0"`), a device (`/dev/video0`), a video or picture file, a folder of
            pictures, an `rtsp://` or `http(s)://` address, or a GStreamer pipeline (it holds ` ! `).
        loop: Start a file or folder again at its end; live sources refuse it.
        fps: Pictures per second of a folder; by default what `hints` ask for, else 4.
        hints: What the consumer will use; may also be set later as `source.hints`.

    Returns:
        A source to iterate once and close.

    Raises:
        SourceError: nothing can be opened under this name; the message says what was tried.
    """
    text = str(spec).strip()
    if not text:
        raise SourceError("the source is empty: give a file, folder, URL, camera number or pipeline")
    if (match := _SCHEME.match(text)) and " ! " not in text:
        return _open_url(text, match[1].lower(), loop, hints)
    is_device = text.isdecimal() or re.fullmatch(r"/dev/video\d+", text)
    if is_device or " ! " in text:
        if loop:
            raise SourceError(f"{redact(text)} is live and cannot loop: leave loop out")
        from vljepa_runtime.sources.camera import open_camera, open_pipeline

        if is_device:
            return open_camera(int(text) if text.isdecimal() else text, hints=hints)
        return open_pipeline(text, hints=hints)
    return _open_path(Path(text).expanduser(), loop, fps, hints)


def _open_url(url: str, scheme: str, loop: bool, hints: Hints | None) -> Source:
    if scheme == "file":
        return _open_path(Path(unquote(urlsplit(url).path)), loop, None, hints)
    from vljepa_runtime.sources.network import SCHEMES, open_network

    if scheme not in SCHEMES:
        raise SourceError(f"unknown scheme {scheme}:// in {redact(url)}; known: file, {', '.join(SCHEMES)}")
    return open_network(url, loop=loop, hints=hints)


def _open_path(path: Path, loop: bool, fps: float | None, hints: Hints | None) -> Source:
    if path.is_dir():
        from vljepa_runtime.sources.folder import FolderSource

        return FolderSource(path, fps=fps, loop=loop, hints=hints)
    from vljepa_runtime.sources.file import FileSource

    return FileSource(path, loop=loop, hints=hints)
