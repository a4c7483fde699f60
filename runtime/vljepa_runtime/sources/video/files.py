"""A local file as a source: of one picture, or of a video."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from vljepa_runtime.errors import SourceError
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sources.naming import shown_path
from vljepa_runtime.sources.pictures.heif import is_sequence
from vljepa_runtime.sources.pictures.stills import StillSource, is_still
from vljepa_runtime.sources.protocol import Source
from vljepa_runtime.sources.video.decoding import choose_stream
from vljepa_runtime.sources.video.hardware import NONE, check_hwaccel, open_decoding, refuse_device
from vljepa_runtime.sources.video.source import OpenVideo, VideoSource

__all__ = ["open_file"]

# first boxes of MP4, MOV and their segments
ISO_STARTS = (b"ftyp", b"wide", b"mdat", b"free", b"styp", b"moof")
# Playlists and scripts may name other files; a local video has no business on the network.
OPTIONS = {"protocol_whitelist": "file,crypto,data"}


def open_file(path: str | Path, *, loop: bool = False, stretch: bool = False, hwaccel: str = NONE) -> Source:
    """Open a video or picture file.

    Args:
        path: The file.
        loop: Start again at the end, with times that go on rising.
        stretch: Spread the values of grey pictures of more than 8 bits over black to white.
        hwaccel: What decodes a video; see `open_source`.

    Raises:
        SourceError: the file is missing or holds no video that can be decoded.

    Examples:
        >>> from vljepa_runtime.sources import open_file
        >>> with open_file("clip.mp4") as source:
        ...     source.announced()
        Announced(frames=48, step_s=0.125)
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"no such file: {path}; give a file, a folder, a URL or a camera number")
    if not path.is_file():
        raise SourceError(f"{path} is neither a regular file nor a folder of pictures")
    wanted = check_hwaccel(hwaccel)
    if is_still(path):
        refuse_device(wanted, shown_path(path))
        return StillSource(path, loop=loop, stretch=stretch)
    first = _open_video(path, wanted)
    again = partial(_open_video, path, wanted)
    return VideoSource(shown_path(path), lambda stopped: again(), first, loop=loop, stretch=stretch)


def _open_video(path: Path, hwaccel: str) -> OpenVideo:
    opens = partial(_open_container, path)
    container, decoding = open_decoding(
        hwaccel, opens, lambda opened: choose_stream(opened, shown_path(path)).codec_context
    )
    return OpenVideo(container=container, close=container.close, decoding=decoding)


def _open_container(path: Path, device: HWAccel | None) -> InputContainer:
    try:
        container = av.open(f"file:{path}", container_options=OPTIONS, hwaccel=device)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"cannot read {path} as video: {_unreadable(path, error)}") from error
    try:
        choose_stream(container, shown_path(path))
    except SourceError:
        container.close()
        raise
    return container


def _unreadable(path: Path, error: Exception) -> str:
    """Why a file cannot be opened, where it tells more than FFmpeg does."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
        if not head:
            return "it is empty"
        if head[4:] in ISO_STARTS and not is_sequence(path):
            return "its index (moov) is not in its place: was the recording finished, or is it a segment of a stream?"
    except OSError:
        pass
    return plain_reason(error)
