"""Which stores there are, by how a log is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_log.store import Store

__all__ = ["STORES", "open_store"]

STORES = {
    "lance": "vljepa_log.lance_store:LanceStore",
    "": "vljepa_log.folder_store:FolderStore",
}
"""Scheme of a name such as `lance:PATH`, and who keeps it; without one it is a folder."""


def open_store(place: str | Path, *, identity: Mapping[str, str] | None, writable: bool) -> Store:
    """Open the store of a log; see `FolderStore` for what is refused."""
    scheme, colon, rest = str(place).partition(":")
    known = bool(colon) and scheme in STORES
    module, name = STORES[scheme if known else ""].split(":")
    store: Callable[..., Store] = getattr(import_module(module), name)
    return store(rest if known else place, identity=identity, writable=writable)
