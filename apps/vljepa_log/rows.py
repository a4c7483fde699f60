"""What a log holds: windows in batches of arrays, segments and thumbnails one by one. Knows no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime import InputError

if TYPE_CHECKING:
    from vljepa_runtime import Event

__all__ = ["WINDOW", "Batch", "StoredEvent", "Thumbnail", "flag_of", "join", "unknown_of"]

Array = npt.NDArray[Any]
TOLD = (("start_s", "<f8"), ("end_s", "<f8"), ("time", "<f8"), ("score", "<f4"), ("unknown", "i1"))
WINDOW = np.dtype([("key", "<i8"), *TOLD])
"""What is kept of a window beside its embedding."""


def flag_of(unknown: bool | None) -> int:
    """As `WINDOW` keeps it."""
    return 0 if unknown is None else 1 if unknown else -1


def unknown_of(flag: int) -> bool | None:
    """What `flag_of` made a number of."""
    return None if not flag else flag > 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Windows of one stream that were asked one query, in the order in which they came.

    Attributes:
        stream: Name of the stream.
        query: What the embeddings answer.
        windows: (N,) of `WINDOW`: `key` of its own in the log, 0 before it is stored; `start_s` and `end_s` in stream
            time; `time` of its end by the wall clock, in seconds since 1970 (UTC); `score`, the cosine distance to the
            window before it, 0 for the first; `unknown`, whether it showed nothing that the model knew: 1 yes, -1 no,
            0 where nobody could tell.
        embeddings: (N, S) float16, L2-normalised.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import WINDOW, Batch
        >>> windows = np.zeros(2, WINDOW)
        >>> windows["end_s"] = 1, 2
        >>> batch = Batch(stream="door", query="What happens?", windows=windows, embeddings=np.eye(2, 4))
        >>> len(batch), batch.take(batch.windows["end_s"] > 1).windows["end_s"].tolist()
        (2, [2.0])
    """

    stream: str
    query: str
    windows: Array
    embeddings: Array

    def __post_init__(self) -> None:
        if (
            self.windows.dtype != WINDOW
            or self.embeddings.ndim != 2
            or len(self.windows) != len(self.embeddings)
        ):
            raise InputError(
                f"expected windows (N,) of WINDOW and embeddings (N, S), got {self.windows.dtype} "
                f"{self.windows.shape} and {self.embeddings.shape}"
            )
        object.__setattr__(self, "embeddings", np.asarray(self.embeddings, np.float16))

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, chosen: Array | slice) -> Batch:
        """Some of them, by a mask, a slice or indices."""
        return replace(self, windows=self.windows[chosen], embeddings=self.embeddings[chosen])


def join(batches: Sequence[Batch]) -> Batch:
    """Batches of one stream and query, of which there is at least one, as one."""
    return replace(
        batches[0],
        windows=np.concatenate([each.windows for each in batches]),
        embeddings=np.concatenate([each.embeddings for each in batches]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A segment, answer or alert, as its stream told it.

    Attributes:
        number: In its log; later ones have larger numbers. 0 before it is stored.
        time: Its end by the wall clock, in seconds since 1970.
        event: What was told; without words where nothing was decoded.
    """

    number: int
    time: float
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture of a moment.

    Attributes:
        stream: Name of the stream.
        at_s: In stream time.
        time: By the wall clock, in seconds since 1970.
        jpeg: The picture.
    """

    stream: str
    at_s: float
    time: float
    jpeg: bytes
