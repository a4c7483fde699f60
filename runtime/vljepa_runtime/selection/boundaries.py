"""Where one event of a stream ends and the next begins, told by a small network from the last few embeddings.

It sees how far apart they are, each from each, and nothing else: what they mean does not matter, so what it learned
from some events holds for others. Knows no bundle; how it is fitted, `vljepa_evaluation.boundaries` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.tensors import pack, unpack

__all__ = ["BOUNDARIES_FILE", "Boundaries", "BoundaryNet", "last_windows", "pair_distances"]

BOUNDARIES_FILE = "boundaries.safetensors"
MAX_BYTES = 1 << 20  # a net of 9 windows and 48 hidden values has 7 kB
MAX_WINDOWS = 64
BLOCK = 4096  # moments of a stream at a time: their windows are copied, 9 MB each thousand
COUNTS = {windows * (windows - 1) // 2: windows for windows in range(2, MAX_WINDOWS + 1)}
"""K windows by how many distances they have."""
Floats = npt.NDArray[np.float32]


def pair_distances(embeddings: Floats) -> Floats:
    """Cosine distances of the last windows of a stream, each to each.

    Args:
        embeddings: (..., K, S) unit vectors, the newest last.

    Returns:
        (..., K * (K - 1) / 2) float32.
    """
    rows, columns = _pairs(embeddings.shape[-2])
    cosines = embeddings @ np.swapaxes(embeddings, -1, -2)
    return np.asarray(1 - cosines[..., rows, columns], np.float32)


@lru_cache(maxsize=8)  # a net looks at as many windows every time
def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Numbers of each two of so many windows, the later one first."""
    return np.tril_indices(count, -1)


def last_windows(embeddings: Floats, count: int) -> Floats:
    """The last windows at each moment of a stream; before the first there is the first again.

    Args:
        embeddings: (T, S).
        count: K.

    Returns:
        (T, K, S).

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.selection import last_windows
        >>> last_windows(np.arange(3.0)[:, None], 2)[..., 0].tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 2.0]]
    """
    padded = np.concatenate([np.repeat(embeddings[:1], count - 1, axis=0), embeddings])
    return np.swapaxes(np.lib.stride_tricks.sliding_window_view(padded, count, axis=0), 1, 2)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BoundaryNet:
    """Probability that the newest window is the second that shows nothing of the event before.

    Attributes:
        stride_s: Seconds between the windows that it was fitted to.
        weights: Of each layer, (inputs, outputs) float32; the first takes `pair_distances` of K windows.
        biases: Of each layer, (outputs,) float32; the last has one.

    Raises:
        BundleError: the layers do not follow each other, or a number is not finite.

    Examples:
        >>> import numpy as np
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.selection import BoundaryNet, pair_distances
        >>> far = np.array([[1.0], [1.0], [0.0]], np.float32)  # of three windows: 1-0, 2-0, 2-1
        >>> net = BoundaryNet(stride_s=0.5, weights=(4 * far,), biases=(np.array([-4], np.float32),))
        >>> net.windows, net.probability(np.eye(3, dtype=np.float32)[[0, 1, 1]])
        (3, 0.98...)
        >>> vj.OnlineSelection(boundaries=(net,)).boundaries
        (<BoundaryNet of 3 windows, 0.5 s apart>,)
    """

    stride_s: float
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def __post_init__(self) -> None:
        shapes = [(*weight.shape, *bias.shape) for weight, bias in zip(self.weights, self.biases)]
        widths = [shapes[0][0], *(shape[-1] for shape in shapes)] if shapes and all(shapes) else [0]
        follow = shapes == [(first, second, second) for first, second in pairwise(widths)]
        is_whole = len(self.weights) == len(self.biases) and follow and widths[-1] == 1
        if not is_whole or widths[0] not in COUNTS:
            raise BundleError(
                f"{BOUNDARIES_FILE}: expected layers that follow each other, from the distances of up to "
                f"{MAX_WINDOWS} windows to one value, got {shapes}: export the bundle again"
            )
        finite = all(bool(np.isfinite(each).all()) for each in (*self.weights, *self.biases))
        if not finite or not 0 < self.stride_s < math.inf:
            raise BundleError(f"{BOUNDARIES_FILE}: expected finite numbers: export the bundle again")

    def __repr__(self) -> str:
        return f"<BoundaryNet of {self.windows} windows, {self.stride_s:g} s apart>"

    @property
    def windows(self) -> int:
        """K, how many embeddings it looks at."""
        return COUNTS[self.weights[0].shape[0]]

    def fits(self, stride_s: float) -> bool:
        """Whether windows so far apart, in the mean, are what it was fitted to."""
        return abs(stride_s - self.stride_s) <= 0.1 * self.stride_s

    def probability(self, embeddings: Floats) -> float:
        """Of one moment of a stream, from its last K embeddings (K, S), unit vectors."""
        return float(self.probabilities(pair_distances(embeddings)[None])[0])

    def along(self, embeddings: Floats) -> Floats:
        """(T,) of every moment of a stream, from all its embeddings (T, S), unit vectors."""
        shown = last_windows(embeddings, self.windows)
        blocks = (shown[first : first + BLOCK] for first in range(0, len(shown), BLOCK))
        return np.concatenate([self.probabilities(pair_distances(block)) for block in blocks])

    def probabilities(self, distances: Floats) -> Floats:
        """(N,) of many moments, from their `pair_distances` (N, K * (K - 1) / 2)."""
        hidden = distances
        with np.errstate(over="ignore", invalid="ignore"):  # a stranger's weights may be of any size
            for weight, bias in zip(self.weights[:-1], self.biases[:-1]):
                hidden = np.maximum(hidden @ weight + bias, 0)
            logits = np.nan_to_num(hidden @ self.weights[-1] + self.biases[-1])[:, 0]
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Boundaries:
    """What a model's streams look like where one event ends and the next begins, as a bundle holds it.

    Attributes:
        nets: One for each stride.
        query: What the windows were asked whose embeddings they were fitted to.
        data: What those showed.
        streams: How many streams there were.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.selection import Boundaries, BoundaryNet
        >>> net = BoundaryNet(stride_s=1, weights=(np.ones((1, 1), np.float32),), biases=(np.zeros(1, np.float32),))
        >>> known = Boundaries(nets=(net,), query="What happens?", data="streams of the yard", streams=20)
        >>> Boundaries.from_bytes(known.to_bytes())
        Boundaries(nets=(<BoundaryNet of 2 windows, 1 s apart>,), query='What happens?', data='...', streams=20)
        >>> known.nets_of("What happens?"), known.nets_of("What is there?")
        ((<BoundaryNet of 2 windows, 1 s apart>,), ())
    """

    nets: tuple[BoundaryNet, ...]
    query: str
    data: str = ""
    streams: int = 0

    def nets_of(self, query: str) -> tuple[BoundaryNet, ...]:
        """Those for the windows of a query; none where they were fitted to those of another."""
        return self.nets if query == self.query else ()

    def to_bytes(self) -> bytes:
        """As a checkpoint and a bundle hold it."""
        arrays: dict[str, Floats] = {}
        for number, net in enumerate(self.nets):
            for layer, (weight, bias) in enumerate(zip(net.weights, net.biases)):
                arrays |= {f"{number}.{layer}.weight": weight, f"{number}.{layer}.bias": bias}
        strides = " ".join(f"{net.stride_s:g}" for net in self.nets)
        said = {"strides_s": strides, "query": self.query, "data": self.data, "streams": str(self.streams)}
        return pack(arrays, said)

    @classmethod
    def from_bytes(cls, data: bytes) -> Boundaries:
        """Read what `to_bytes` wrote.

        Raises:
            BundleError: it is something else.
        """
        try:
            arrays, said = unpack(data, most=MAX_BYTES)
            strides = [float(text) for text in said["strides_s"].split()]
            nets = tuple(_net(arrays, number, stride_s) for number, stride_s in enumerate(strides))
            streams = int(said["streams"])
            found = cls(nets=nets, query=said["query"], data=said["data"], streams=streams)
        except (KeyError, ValueError) as error:
            raise BundleError(
                f"{BOUNDARIES_FILE} holds no readable networks ({error}): export the bundle again"
            ) from error
        if sum(2 * len(net.weights) for net in nets) != len(arrays):
            raise BundleError(f"{BOUNDARIES_FILE} holds tensors of no network: export the bundle again")
        return found


def _net(arrays: Mapping[str, npt.NDArray[Any]], number: int, stride_s: float) -> BoundaryNet:
    layers = [layer for layer in range(len(arrays)) if f"{number}.{layer}.weight" in arrays]
    weights, biases = (
        tuple(arrays[f"{number}.{layer}.{name}"] for layer in layers) for name in ("weight", "bias")
    )
    if any(each.dtype != np.float32 for each in (*weights, *biases)):
        raise ValueError("expected float32")
    return BoundaryNet(stride_s=stride_s, weights=weights, biases=biases)
