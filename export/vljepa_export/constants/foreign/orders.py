"""Orders of axes: what a transpose leaves of one, and what two come to together. An empty one changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["Order", "composed", "inverse", "keeps", "swapped"]

Order = tuple[int, ...]


def composed(first: Order, second: Order) -> Order:
    """The order that comes of one after the other."""
    whole = tuple(first[axis] for axis in second) if first and second else first or second
    return () if whole == tuple(range(len(whole))) else whole


def inverse(order: Order) -> Order:
    """The order that takes another one back."""
    return tuple(int(axis) for axis in np.argsort(order))


def swapped(turned: bool, rank: int) -> Order:
    """The last two axes the other way round, or as they are."""
    return (*range(rank - 2), rank - 1, rank - 2) if turned else ()


def keeps(order: Order, shape: Sequence[int]) -> bool:
    """Whether elements stay where they are in memory: axes of more than one stay in their order."""
    large = [axis for axis, size in zip(order, shape) if size != 1]
    return len(order) == len(shape) and large == sorted(large)
