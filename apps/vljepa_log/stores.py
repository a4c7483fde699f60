"""Which stores there are, by how a log is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_log.store import Store

__all__ = ["STORES", "open_store"]

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
        >>> store.append(
        ...     Contents(
        ...         batches=[batch], events=[event], thumbnails=[picture], positions={"yard": Position(at_s=2.0)}
        ...     )
        ... )
        >>> store.positions()
        {'yard': Position(at_s=2.0, complete=False, source='')}
        >>> store.held()
        [Held(stream='yard', query='q', windows=2, first=0.0, last=0.0)]
        >>> store.close()
    """
    scheme, colon, rest = str(place).partition(":")
    known = bool(colon) and scheme in STORES and (scheme == "lance" or rest.startswith("//"))
    module, name = STORES[scheme if known else ""].split(":")
    store: Callable[..., Store] = getattr(import_module(module), name)
    return store(rest if known and scheme == "lance" else place, identity=identity, writable=writable)
