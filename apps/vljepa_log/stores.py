"""Which stores there are, by how a log is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_log.store import Store

__all__ = ["STORES", "folder_of", "is_log", "open_store"]

LANCE = "vljepa_log.lance_store:LanceStore"
STORES = {"lance": LANCE, "s3": LANCE, "gs": LANCE, "az": LANCE, "": "vljepa_log.folder_store:FolderStore"}
"""Scheme of a name such as `lance:PATH` or `s3://BUCKET/PREFIX`, and who keeps it; without one it is a folder."""


def open_store(place: str | Path, *, identity: Mapping[str, str] | None, writable: bool) -> Store:
    """Open the store of a log; see `FolderStore` for what is refused.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import WINDOW, Batch, Contents, Position, StoredEvent, Thumbnail, open_store
        >>> from vljepa_runtime import Event
        >>> store = open_store("yard.log", identity={"embedding_dim": "4"}, writable=True)
        >>> batch = Batch(stream="yard", query="q", windows=np.zeros(2, WINDOW), embeddings=np.eye(2, 4))
        >>> event = StoredEvent(number=0, time=9.0, event=Event(stream="yard", kind="segment", query="q"))
        >>> picture = Thumbnail(stream="yard", at_s=1.0, time=9.0, jpeg=b"...")
        >>> ends = {("yard", "q"): Position(at_s=2.0)}
        >>> store.append(Contents(batches=[batch], events=[event], thumbnails=[picture], positions=ends))
        >>> store.positions()
        {('yard', 'q'): Position(at_s=2.0, complete=False, source='')}
        >>> store.held()
        [Held(stream='yard', query='q', windows=2, first=0.0, last=0.0)]
        >>> store.close()
    """
    scheme, name = _scheme(place)
    module, kind = STORES[scheme].split(":")
    store: Callable[..., Store] = getattr(import_module(module), kind)
    return store(name, identity=identity, writable=writable)


def is_log(place: str | Path) -> bool:
    """Whether a name is a log's and not a recording's, where either may be given.

    Examples:
        >>> from vljepa_log import is_log
        >>> is_log("clip.mp4"), is_log("lance:yard"), is_log("rtsp://10.0.0.7/live")
        (False, True, False)
    """
    scheme, name = _scheme(place)
    return bool(scheme) or (Path(name) / "log.sqlite").is_file()


def folder_of(place: str | Path) -> Path | None:
    """The folder on this machine in which a log lies; None where it is one of another store."""
    scheme, name = _scheme(place)
    return None if scheme else Path(name)


def _scheme(place: str | Path) -> tuple[str, str | Path]:
    """Of a name, and the name as its store takes it."""
    scheme, colon, rest = str(place).partition(":")
    if not colon or scheme not in STORES or not (scheme == "lance" or rest.startswith("//")):
        return "", place
    return scheme, rest if scheme == "lance" else place
