"""The five graphs of a model, on every engine: names, networks, inputs and outputs with their types and axes, limits.

Batches are padded, texts are encoded and windows are cut to these sizes, so they are checked before any of that.
Knows no engine, no file and no network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.records import AtMost
from vljepa_runtime.files.values import Name, dim, shown

__all__ = [
    "BATCH", "CACHED", "EMBEDDING", "EMBEDDING_DIM", "GRAPH_NAMES", "HEADS", "HEAD_DIM", "IDS", "LENGTH",
    "LOGITS", "MASK", "MAX_TOKENS", "NETWORKS", "NEXT", "PAST", "PATCHES", "PATCH_DIM", "POSITIONS",
    "PREDICTOR", "PREFILL", "QUERY_IDS", "QUERY_MASK", "STEP", "TOKEN", "TOKENS", "VISUAL", "VISUAL_DIM",
    "VOCABULARY", "X_ENCODER", "Y_DECODER", "Y_ENCODER", "GraphContract", "TensorSpec", "check_graph",
    "contract_of", "feeds_of", "free_axes",
]  # fmt: skip

X_ENCODER, PREDICTOR, Y_ENCODER = "x_encoder", "predictor", "y_encoder"
Y_DECODER = "y_decoder"  # a network of two graphs
PREFILL, STEP = "y_decoder_prefill", "y_decoder_step"
GRAPH_NAMES = (X_ENCODER, PREDICTOR, Y_ENCODER, PREFILL, STEP)
# Which of the four networks a graph belongs to.
NETWORKS = {name: Y_DECODER if name in (PREFILL, STEP) else name for name in GRAPH_NAMES}

PATCHES, POSITIONS, VISUAL = "patches", "positions", "visual"
QUERY_IDS, QUERY_MASK, IDS, MASK = "query_ids", "query_mask", "ids", "mask"
EMBEDDING, TOKEN, LOGITS = "embedding", "token", "logits"
PAST, NEXT = "past_", "next_"  # then k_0, v_0, k_1, ...: keys and values of each layer

# Axes that stay free: rows, tubelets of a window, tokens of a text, positions of a cache and one more than those.
BATCH, TOKENS, LENGTH, CACHED, GROWN = "B", "N", "L", "T", "T + 1"
# Axes that a model fixes: values of a tubelet, of a visual token and of an embedding, rows of the vocabulary, heads and
# values of a head in a cache. A prefill fixes T too.
PATCH_DIM, VISUAL_DIM, EMBEDDING_DIM, VOCABULARY, HEADS, HEAD_DIM = "P", "Dv", "S", "V", "H", "Dh"

T = TypeVar("T")
DTYPES = ("uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "bool")
MAX_RANK = 8  # a key-value cache has 4
MAX_ELEMENTS = 1 << 27  # of the fixed sizes of a tensor: 512 MiB in float32
MAX_BATCH = 256  # rows; texts are embedded 16 at a time
MAX_TOKENS = 1 << 15  # tubelets of a window; V-JEPA 2 at 384 pixels and 64 frames has 18,432
MAX_WIDTH = 1024  # tokens of a text; 512 is the longest that is exported
MAX_CACHE = 1 << 16  # positions of a key-value cache
LIMITS = {BATCH: MAX_BATCH, TOKENS: MAX_TOKENS, LENGTH: MAX_WIDTH, CACHED: MAX_CACHE, GROWN: MAX_CACHE}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a graph.

    Attributes:
        name: As in the graph.
        dtype: NumPy's name of the type, or `bfloat16`.
        shape: A number, or a symbol such as `B` where the size is free.
    """

    name: Name
    dtype: Name
    shape: Annotated[tuple[Annotated[int | str, dim], ...], AtMost(MAX_RANK)]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise BundleError(
                f"tensor {self.name}: expected one of {', '.join(DTYPES)}, got {shown(self.dtype)}"
            )

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with these sizes in place of symbols."""
        return tuple(size if isinstance(size, int) else sizes[size] for size in self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphContract:
    """What a graph takes and gives.

    Attributes:
        name: Its name in `GRAPH_NAMES`.
        inputs: In the graph's order.
        outputs: In the graph's order.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def _tensor(name: str, dtype: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def _cache(prefix: str, length: str) -> TensorSpec:
    return _tensor(f"{prefix}*", "float32", BATCH, HEADS, length, HEAD_DIM)


_VISUAL = _tensor(VISUAL, "float32", BATCH, TOKENS, VISUAL_DIM)
_EMBEDDING = _tensor(EMBEDDING, "float32", BATCH, EMBEDDING_DIM)
_LOGITS = _tensor(LOGITS, "float32", BATCH, VOCABULARY)
# Inputs and outputs per graph; a `*` stands for the caches of all layers. The types are those that are exported: an
# engine that knows no uint8 may take the pixels in another.
CONTRACTS: Mapping[str, tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]] = {
    X_ENCODER: (
        (
            _tensor(PATCHES, "uint8", BATCH, TOKENS, PATCH_DIM),
            _tensor(POSITIONS, "int32", BATCH, TOKENS, 3),
        ),
        (_VISUAL,),
    ),
    PREDICTOR: (
        (
            _VISUAL,
            _tensor(QUERY_IDS, "int32", BATCH, LENGTH),
            _tensor(QUERY_MASK, "int32", BATCH, LENGTH),
        ),
        (_EMBEDDING,),
    ),
    Y_ENCODER: (
        (_tensor(IDS, "int32", BATCH, LENGTH), _tensor(MASK, "int32", BATCH, LENGTH)),
        (_EMBEDDING,),
    ),
    PREFILL: ((_EMBEDDING,), (_LOGITS, _cache(PAST, CACHED))),
    STEP: ((_tensor(TOKEN, "int32", BATCH, 1), _cache(PAST, CACHED)), (_LOGITS, _cache(NEXT, GROWN))),
}
_CACHE = re.compile(rf"\A({PAST}|{NEXT})[kv]_\d{{1,4}}\Z")


def contract_of(graph: str, sizes: Mapping[str, int], *, layers: int = 0) -> GraphContract:
    """What one graph of a model takes and gives.

    Args:
        graph: Its name in `GRAPH_NAMES`.
        sizes: Of the axes that the model fixes.
        layers: Of the Y-decoder; each has a cache of keys and one of values.

    Examples:
        >>> from vljepa_runtime.contract import PREDICTOR, contract_of
        >>> for tensor in contract_of(PREDICTOR, {"Dv": 192, "S": 256}).inputs:
        ...     print(tensor.name, tensor.dtype, tensor.shape)
        visual float32 ('B', 'N', 192)
        query_ids int32 ('B', 'L')
        query_mask int32 ('B', 'L')
    """
    inputs, outputs = (tuple(_filled(side, sizes, layers)) for side in CONTRACTS[graph])
    return GraphContract(name=graph, inputs=inputs, outputs=outputs)


def feeds_of(graph: str, *values: T) -> dict[str, T]:
    """What to feed a graph with, in the order of its inputs; caches are added by name."""
    single = [tensor.name for tensor in CONTRACTS[graph][0] if "*" not in tensor.name]
    return dict(zip(single, values, strict=True))


def free_axes(tensors: Iterable[TensorSpec]) -> set[str]:
    """Symbols of the axes that tensors leave free."""
    return {size for tensor in tensors for size in tensor.shape if isinstance(size, str)}


def check_graph(
    graph: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], sizes: Mapping[str, int]
) -> None:
    """Refuse a graph whose tensors cannot be those of its name.

    Args:
        graph: Name in the manifest; of one that is not known, only sizes are looked at.
        inputs: What the manifest says of it.
        outputs: The same.
        sizes: Of the axes that the manifest fixes elsewhere.

    Raises:
        BundleError: a tensor is missing, has another number of axes, or an axis is not of its size.
    """
    for tensor in (*inputs, *outputs):
        if math.prod(size for size in tensor.shape if isinstance(size, int)) > MAX_ELEMENTS:
            raise BundleError(
                f"{graph}.{tensor.name}: expected at most {MAX_ELEMENTS} values, got {_shape(tensor)}: "
                "export the bundle again"
            )
    if graph in CONTRACTS:
        for tensors, wanted in zip((inputs, outputs), CONTRACTS[graph]):
            _check_side(graph, tensors, {spec.name: spec for spec in wanted}, sizes)


def _filled(tensors: Iterable[TensorSpec], sizes: Mapping[str, int], layers: int) -> Iterator[TensorSpec]:
    parts = [f"{kind}_{layer}" for layer in range(layers) for kind in "kv"]
    for tensor in tensors:
        shape = [size if isinstance(size, int) else sizes.get(size, size) for size in tensor.shape]
        for part in parts if "*" in tensor.name else [""]:
            yield _tensor(tensor.name.replace("*", part), tensor.dtype, *shape)


def _check_side(
    graph: str, tensors: Sequence[TensorSpec], wanted: Mapping[str, TensorSpec], sizes: Mapping[str, int]
) -> None:
    got = [_CACHE.sub(r"\1*", tensor.name) for tensor in tensors]
    single = {name for name in wanted if not name.endswith("*")}
    if len({tensor.name for tensor in tensors}) != len(tensors) or not single <= set(got) <= set(wanted):
        held = ", ".join(tensor.name for tensor in tensors)[:120] or "none"
        raise BundleError(
            f"{graph}: expected the tensors {', '.join(wanted)}, got {held}: export the bundle again"
        )
    for tensor, name in zip(tensors, got):
        _check_axes(graph, tensor, wanted[name].shape, sizes)


def _check_axes(
    graph: str, tensor: TensorSpec, axes: tuple[int | str, ...], sizes: Mapping[str, int]
) -> None:
    where = f"{graph}.{tensor.name}"
    if len(tensor.shape) != len(axes):
        raise BundleError(
            f"{where}: expected {len(axes)} axes ({', '.join(map(str, axes))}), got {_shape(tensor)}: "
            "export the bundle again"
        )
    for axis, size in zip(axes, tensor.shape):
        if isinstance(size, str):
            continue
        exact = axis if isinstance(axis, int) else sizes.get(axis, size)
        most = LIMITS.get(str(axis), size)
        if size != exact or size > most:
            expected = f"{exact}" if size != exact else f"at most {most}"
            raise BundleError(
                f"{where}: expected {expected} for {axis}, got {_shape(tensor)}: export the bundle again"
            )


def _shape(tensor: TensorSpec) -> str:
    return f"({', '.join(map(str, tensor.shape))})"[:120]
