"""Ids of what is configured: parts of addresses, of file names and of names in the log."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Annotated

from vljepa_runtime.files.values import wrong
from vljepa_runtime.sources import Address, resolve

__all__ = ["Slug", "free_id", "is_slug", "name_of"]

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
LONGEST_STEM = 28  # of an id, which may get a number
MAX_NAME = 100


def is_slug(value: str) -> bool:
    """Whether a text may be an id: it is a part of addresses, of file names and of names in the log."""
    return SLUG.fullmatch(value) is not None


def free_id(name: str, taken: Collection[str]) -> str:
    """An id that is made from a name and that nothing has.

    Examples:
        >>> from vljepa_serve.config import free_id
        >>> free_id("Café, back door", ["cafe-back-door"])
        'cafe-back-door-2'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_STEM].strip("-") or "camera"
    found, number = stem, 1
    while found in taken:
        number += 1
        found = f"{stem}-{number}"
    return found


def name_of(source: str) -> str:
    """What a camera is called that nobody named; never shows a password.

    Examples:
        >>> from vljepa_serve.config import name_of
        >>> name_of("0"), name_of("rtsp://admin:hunter2@10.0.0.5/live"), name_of("clip.mp4")
        ('Camera 0', '10.0.0.5', 'clip')
    """
    found = resolve(source)
    if isinstance(found, int):
        return f"Camera {found}"
    if isinstance(found, Address):
        return found.host or "Pipeline"
    return found.stem[:MAX_NAME].strip() or "Camera"


def _slug(value: object, where: str) -> str:
    if not isinstance(value, str) or not is_slug(value):
        raise wrong(where, "an id of 1 to 32 small letters, digits and hyphens, such as back-door", value)
    return value


Slug = Annotated[str, _slug]
