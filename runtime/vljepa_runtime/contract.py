"""What the known graphs take and give: names, numbers of axes, and how large a fixed axis may be.

Batches are padded, texts are encoded and windows are cut to these sizes, so they are checked before any of that.
Knows no engine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.records import MAX_ELEMENTS
from vljepa_runtime.preprocess_limits import MAX_TOKENS

if TYPE_CHECKING:
    from vljepa_runtime.bundle.manifest import GraphSpec, TensorSpec

__all__ = ["check_graph"]

MAX_BATCH = 256  # rows; texts are embedded 16 at a time
MAX_WIDTH = 1024  # tokens of a text; 512 is the longest that is exported
MAX_CACHE = 1 << 16  # positions of a key-value cache

# Axes per tensor. `past_*` stands for past_k_0, past_v_0, past_k_1, ...
CONTRACTS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "x_encoder": ({"patches": "BNP", "positions": "BN3"}, {"visual": "BND"}),
    "predictor": ({"visual": "BND", "query_ids": "BL", "query_mask": "BL"}, {"embedding": "BS"}),
    "y_encoder": ({"ids": "BL", "mask": "BL"}, {"embedding": "BS"}),
    "y_decoder_prefill": ({"embedding": "BS"}, {"logits": "BV", "past_*": "BHTD"}),
    "y_decoder_step": ({"token": "B1", "past_*": "BHTD"}, {"logits": "BV", "next_*": "BHTD"}),
}
LIMITS = {"B": MAX_BATCH, "N": MAX_TOKENS, "L": MAX_WIDTH, "T": MAX_CACHE}
_CACHE = re.compile(r"(past|next)_[kv]_\d{1,4}\Z")


def check_graph(graph: str, spec: GraphSpec, sizes: Mapping[str, int]) -> None:
    """Refuse a graph whose tensors cannot be those of its name.

    Args:
        graph: Name in the manifest; of one that is not known, only sizes are looked at.
        spec: What the manifest says of it.
        sizes: What the manifest says elsewhere: P, values of a tubelet, and S, values of an embedding.

    Raises:
        BundleError: a tensor is missing, has another number of axes, or an axis is not of its size.
    """
    for tensor in (*spec.inputs, *spec.outputs):
        if math.prod(size for size in tensor.shape if isinstance(size, int)) > MAX_ELEMENTS:
            raise BundleError(
                f"{graph}.{tensor.name}: expected at most {MAX_ELEMENTS} values, got {_shape(tensor)}: "
                "export the bundle again"
            )
    if graph in CONTRACTS:
        for tensors, wanted in zip((spec.inputs, spec.outputs), CONTRACTS[graph]):
            _check_side(graph, tensors, wanted, sizes)


def _check_side(
    graph: str, tensors: Sequence[TensorSpec], wanted: Mapping[str, str], sizes: Mapping[str, int]
) -> None:
    got = [_general(tensor.name) for tensor in tensors]
    fixed = [name for name in wanted if not name.endswith("*")]
    if (
        len({tensor.name for tensor in tensors}) != len(tensors)
        or set(got) - set(wanted)
        or set(fixed) - set(got)
    ):
        held = ", ".join(tensor.name for tensor in tensors)[:120] or "none"
        raise BundleError(
            f"{graph}: expected the tensors {', '.join(wanted)}, got {held}: export the bundle again"
        )
    for tensor, name in zip(tensors, got):
        _check_axes(graph, tensor, wanted[name], sizes)


def _check_axes(graph: str, tensor: TensorSpec, axes: str, sizes: Mapping[str, int]) -> None:
    where = f"{graph}.{tensor.name}"
    if len(tensor.shape) != len(axes):
        raise BundleError(
            f"{where}: expected {len(axes)} axes ({', '.join(axes)}), got {_shape(tensor)}: export the bundle again"
        )
    for axis, size in zip(axes, tensor.shape):
        if isinstance(size, str):
            continue
        exact = int(axis) if axis.isdigit() else sizes.get(axis, size)
        if size != exact or size > LIMITS.get(axis, size):
            expected = f"{exact}" if size != exact else f"at most {LIMITS[axis]}"
            raise BundleError(
                f"{where}: expected {expected} for {axis}, got {_shape(tensor)}: export the bundle again"
            )


def _general(name: str) -> str:
    return f"{name[:4]}_*" if _CACHE.match(name) else name


def _shape(tensor: TensorSpec) -> str:
    return f"({', '.join(map(str, tensor.shape))})"[:120]
