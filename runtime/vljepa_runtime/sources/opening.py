"""A name that a user gives becomes an open source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

from vljepa_runtime.arguments import number
from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.naming import is_camera, resolve, shown_path
from vljepa_runtime.sources.protocol import Source

__all__ = ["SCHEMES", "open_source"]

NETWORK = "network.opening:open_network"
SCHEMES: Mapping[str, str] = {  # what opens a URL: file of this package and function; see `open_network`
    "http": NETWORK,
    "https": NETWORK,
    "rtsp": NETWORK,
    "rtsps": NETWORK,
}


def open_source(
    spec: str | Path | int,
    *,
    loop: bool = False,
    fps: float | None = None,
    stretch: bool = False,
    realtime: bool = False,
    timeout_s: float | None = None,
    hwaccel: str = "none",
) -> Source:
    """Open whatever a user may name.

    Args:
        spec: A camera number (`0`, `"0"`), a device (`/dev/video0`), a video or picture file, a folder of
            pictures, an `rtsp://` or `http(s)://` address, or a GStreamer pipeline (it begins with `gst:` or holds
            ` ! `). What exists as a file or folder under the very name is that; `~/` and blanks around a name count
            only when nothing does.
        loop: Start a file or folder again at its end; live sources refuse it.
        fps: Pictures per second of a folder; by default what the hints of its consumer ask for, else 4.
        stretch: Spread the values of grey pictures of more than 8 bits, as thermal cameras give, so that each
            picture's 1st to 99th percentile goes from black to white. Live network streams refuse it.
        realtime: Play what is no camera anyway at the speed of the clock, as one would give it: a live source.
        timeout_s: Seconds that a server has to answer, where 10 are too many, or a pipeline to start, where 15 are.
        hwaccel: What decodes a video file or stream: `none`, the processor; `auto`, the first type of device that
            opens and decodes it, else the processor, which a `warning` then says with the reasons; or one type, as
            `hardware_decoders` names them. What FFmpeg does not decode (cameras, pipelines, pictures) takes none.

    Returns:
        A source to iterate once and close.

    Raises:
        SourceError: nothing can be opened under this name; the message says what was tried.
        InputError: an argument is of another kind.

    Examples:
        >>> import vljepa_runtime as vj
        >>> with vj.open_source("clip.mp4") as source:
        ...     print(source.name, source.live, sum(1 for frame in source))
        clip.mp4 False 48
        >>> vj.open_source("clip.mp5")
        Traceback (most recent call last):
        vljepa_runtime.errors.SourceError: no such file: clip.mp5; give a file, a folder, a URL or a camera number
    """
    if fps is not None:
        number(fps, "fps", above=0)
    if timeout_s is not None:
        number(timeout_s, "timeout_s", above=0)
    found = resolve(spec)
    source = _open(found, loop=loop, fps=fps, stretch=stretch, timeout_s=timeout_s, hwaccel=hwaccel)
    if not realtime or source.live:
        return source
    from vljepa_runtime.sources.live.realtime import RealtimeSource

    return RealtimeSource(source)


def _open(
    found: int | Path | Address,
    *,
    loop: bool,
    fps: float | None,
    stretch: bool,
    timeout_s: float | None,
    hwaccel: str,
) -> Source:
    if isinstance(found, Address) and found.scheme:
        return _open_url(found, loop, stretch, timeout_s, hwaccel)
    if isinstance(found, Path) and not is_camera(found):
        return _open_path(found, loop, fps, stretch, hwaccel)
    if loop:
        raise SourceError(f"{found} is live and cannot loop: leave loop out")
    _refuse_device(hwaccel, f"camera {found}" if isinstance(found, int) else str(found))
    from vljepa_runtime.sources.live.camera import open_camera, open_pipeline

    if isinstance(found, Address):
        return open_pipeline(found, stretch=stretch, timeout_s=timeout_s)
    return open_camera(found if isinstance(found, int) else str(found), stretch=stretch)


def _open_url(address: Address, loop: bool, stretch: bool, timeout_s: float | None, hwaccel: str) -> Source:
    if address.scheme not in SCHEMES:
        raise SourceError(
            f"unknown scheme {address.scheme}:// in {address}; known: file, {', '.join(SCHEMES)}"
        )
    opens = resolve_name(f"vljepa_runtime.sources.{SCHEMES[address.scheme]}")
    source: Source = opens(address, loop=loop, stretch=stretch, timeout_s=timeout_s, hwaccel=hwaccel)
    return source


def _open_path(path: Path, loop: bool, fps: float | None, stretch: bool, hwaccel: str) -> Source:
    if path.is_dir():
        _refuse_device(hwaccel, shown_path(path))
        from vljepa_runtime.sources.pictures.folder import FolderSource

        return FolderSource(path, fps=fps, loop=loop, stretch=stretch)
    from vljepa_runtime.sources.video.files import open_file

    return open_file(path, loop=loop, stretch=stretch, hwaccel=hwaccel)


def _refuse_device(hwaccel: str, name: str) -> None:
    if hwaccel != "none":  # a camera needs no FFmpeg
        from vljepa_runtime.sources.video.hardware import refuse_device

        refuse_device(hwaccel, name)
