"""What one log gives to another, as bytes: packed where it was made, stored in one step where it belongs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_log.errors import LogError
from vljepa_log.rows import WINDOW, Batch, StoredEvent, Thumbnail
from vljepa_log.store import Contents, Position
from vljepa_runtime import Event
from vljepa_runtime.files import parse_json
from vljepa_runtime.files.tensors import pack, unpack

if TYPE_CHECKING:
    from vljepa_log.store import Store

__all__ = ["contents_of", "pack_contents", "unpack_contents"]

UInt8 = npt.NDArray[np.uint8]


def contents_of(store: Store) -> Contents:
    """All that a store holds; arrays are those of its files while it is open."""
    return Contents(
        batches=tuple(store.windows()),
        events=tuple(store.events()),
        thumbnails=tuple(store.thumbnails()),
        positions=dict(store.positions()),
    )


def pack_contents(contents: Contents, about: Mapping[str, str]) -> bytes:
    """Contents and texts about them as bytes; `unpack_contents` gives back the same, bit for bit.

    Examples:
        >>> from vljepa_log import Contents, Position
        >>> from vljepa_log.packing import pack_contents, unpack_contents
        >>> packed = pack_contents(Contents(positions={("door", "q"): Position(at_s=0.1)}), {"engine": "cpu"})
        >>> contents, about = unpack_contents(packed)
        >>> contents.positions, about
        ({('door', 'q'): Position(at_s=0.1, complete=False, source='')}, {'engine': 'cpu'})
    """
    told = {
        "batches": [[each.stream, each.query] for each in contents.batches],
        "events": [[each.time, each.event.to_json()] for each in contents.events],
        "thumbnails": [[each.stream, each.at_s, each.time, len(each.jpeg)] for each in contents.thumbnails],
        "positions": [
            [*of, each.at_s, each.complete, each.source] for of, each in contents.positions.items()
        ],
    }
    tensors: dict[str, npt.NDArray[Any]] = {"told": _flat(json.dumps(told).encode())}
    for index, batch in enumerate(contents.batches):
        windows = np.ascontiguousarray(batch.windows)
        tensors[f"windows.{index}"] = windows.view(np.uint8).reshape(len(batch), WINDOW.itemsize)
        tensors[f"embeddings.{index}"] = np.ascontiguousarray(batch.embeddings)
    tensors["jpegs"] = _flat(b"".join(each.jpeg for each in contents.thumbnails))
    return pack(tensors, about)


def unpack_contents(data: bytes, *, name: str = "what was packed") -> tuple[Contents, dict[str, str]]:
    """See `pack_contents`.

    Args:
        data: What it gave.
        name: Of a file, for messages.

    Raises:
        LogError: it is damaged, or of another version.
    """
    try:
        tensors, about = unpack(data)
        told = parse_json(tensors["told"].tobytes())
        return Contents(
            batches=[_batch(tensors, index, *names) for index, names in enumerate(told["batches"])],
            events=[
                StoredEvent(number=0, time=at, event=Event.from_json(line)) for at, line in told["events"]
            ],
            thumbnails=_thumbnails(told["thumbnails"], tensors["jpegs"].tobytes()),
            positions={
                (stream, query): Position(at_s=at_s, complete=complete, source=source)
                for stream, query, at_s, complete, source in told["positions"]
            },
        ), about
    except (KeyError, TypeError, ValueError) as error:
        raise LogError(f"{name} is damaged, or of another version: {error}") from error


def _batch(tensors: Mapping[str, npt.NDArray[Any]], index: int, stream: str, query: str) -> Batch:
    windows = np.ascontiguousarray(tensors[f"windows.{index}"]).view(WINDOW).reshape(-1)
    return Batch(stream=stream, query=query, windows=windows, embeddings=tensors[f"embeddings.{index}"])


def _thumbnails(told: list[tuple[str, float, float, int]], jpegs: bytes) -> list[Thumbnail]:
    found, at = [], 0
    for stream, at_s, time, size in told:
        found.append(Thumbnail(stream=stream, at_s=at_s, time=time, jpeg=jpegs[at : at + size]))
        at += size
    return found


def _flat(data: bytes) -> UInt8:
    return np.frombuffer(data, np.uint8)
