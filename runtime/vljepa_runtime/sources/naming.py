"""What a name given as a source stands for: what exists under the very name, then cameras, URLs and pipelines."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote

from vljepa_runtime.arguments import whole
from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.sources.address import Address

__all__ = ["PIPELINE", "is_camera", "is_pipeline", "pipeline_of", "resolve", "shown_path", "source_name"]

DEVICE = re.compile(r"/dev/video\d+")
PIPELINE = "gst:"
_SCHEME = re.compile(r"(file|https?|rtsps?):", re.IGNORECASE)
_EXPECTED = "give a file, a folder, a URL or a camera number"


def resolve(spec: object) -> int | Path | Address:
    """Find out what a user means.

    A text that exists as a file or folder is that, whatever it looks like; only then is it read as a camera number,
    a URL, a pipeline or a path from somebody's home, and at last without blanks around it.

    Returns:
        A camera's number; a file, folder or device that exists; or an address.

    Raises:
        InputError: it is neither text nor a path nor a number.
        SourceError: nothing has this name.
    """
    if isinstance(spec, str | os.PathLike):
        return _resolve_text(_text(spec), is_path=isinstance(spec, os.PathLike))
    if hasattr(type(spec), "__index__"):
        return whole(spec, "a camera's number")
    raise InputError(
        f"expected a source as text, path or camera number, got {type(spec).__name__}: {_EXPECTED}"
    )


def source_name(spec: object) -> str:
    """How `open_source(spec).name` and every report call a source, without opening it."""
    found = resolve(spec)
    return shown_path(found) if isinstance(found, Path) else str(found)


def is_camera(path: Path) -> bool:
    """Whether a path is a camera's, or a link to it such as those in `/dev/v4l/by-id`."""
    return DEVICE.fullmatch(os.path.realpath(path)) is not None


def is_pipeline(text: str) -> bool:
    """Whether a name that no file has is a GStreamer pipeline, which may run what it likes."""
    return " ! " in text or _begins_with_gst(text)


def pipeline_of(address: Address) -> str:
    """What GStreamer is given, with its passwords."""
    text = address.secret_url()
    return text[len(PIPELINE) :].strip() if _begins_with_gst(text) else text


def _begins_with_gst(text: str) -> bool:
    return text.strip()[: len(PIPELINE)].lower() == PIPELINE


def shown_path(path: Path | str) -> str:
    r"""A path as text that can be printed and encoded: bytes that are no UTF-8 become `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _text(spec: str | os.PathLike[str]) -> str:
    text = os.fspath(spec)
    if not isinstance(text, str):
        raise InputError(f"expected a path of text, got {type(text).__name__}: decode it with os.fsdecode")
    if not text.strip():
        raise SourceError("the source is empty: give a file, folder, URL, camera number or pipeline")
    return str.__str__(text)  # a subclass may print itself otherwise


def _resolve_text(text: str, *, is_path: bool) -> int | Path | Address:
    if _exists(text):
        return Path(text)
    if is_path:
        return _at_home(text)
    if text != text.strip():
        return _resolve_text(text.strip(), is_path=False)
    if text.isascii() and text.isdecimal():
        return int(text[:9])
    if Address(text).scheme not in ("", "file"):
        return Address(text)
    if found := _SCHEME.match(text):
        if found[1].lower() == "file":
            return _of_file_url(text)
        scheme = found[1].lower()
        raise SourceError(
            f"expected {scheme}://HOST/PATH, got {Address(text)}: two slashes go after the colon"
        )
    if is_pipeline(text):
        return Address(text)
    return _at_home(text)


def _of_file_url(url: str) -> Path:
    """`file:` with a relative or absolute path, percent-encoded or not."""
    raw = re.sub(r"^file:(//(localhost(?=/))?)?", "", url, flags=re.IGNORECASE)
    for path in (unquote(raw), raw):
        if path and _exists(path):
            return Path(path)
    return _at_home(unquote(raw) or url)


def _at_home(text: str) -> Path:
    if text.startswith("~"):
        try:
            home = Path(text).expanduser()
        except RuntimeError:  # nobody has that name
            home = Path(text)
        if _exists(str(home)):
            return home
    if DEVICE.fullmatch(text):
        return Path(text)  # the camera's own message names those that are there
    raise _missing(text)


def _missing(text: str) -> SourceError:
    shown = shown_path(Address(text))
    if glob.has_magic(text) and not text.startswith("rtsp"):
        return SourceError(
            f"no such file: {shown}; a pattern is no source: name one file, or a folder of pictures"
        )
    if "@" in shown and "***" in shown:
        return SourceError(f"no such file: {shown}; a URL begins with its scheme, such as rtsp://")
    return SourceError(f"no such file: {shown}; {_EXPECTED}")


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except PermissionError as error:
        raise SourceError(f"cannot look at {shown_path(path)}: {error.strerror}") from error
    except (OSError, ValueError):  # missing, too long, or no name at all
        return False
    return True
