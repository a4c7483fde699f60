"""One call of a graph, and its inputs in the types that a graph takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from vljepa_runtime.contract import TensorSpec

__all__ = ["Sample", "cast"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One call of a graph: inputs by name, and the float model's outputs in order."""

    feeds: Mapping[str, Array]
    outputs: tuple[Array, ...]


def cast(feeds: Mapping[str, Array], inputs: Iterable[TensorSpec]) -> dict[str, Array]:
    """In the types that a bundle takes: an engine without uint8 takes the pixels as float16."""
    types = {spec.name: spec.dtype for spec in inputs if spec.dtype != "bfloat16"}  # NumPy has none
    return {
        name: value.astype(types.get(name, value.dtype.name), copy=False) for name, value in feeds.items()
    }
