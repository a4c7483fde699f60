"""What is known of a tensor of an ONNX graph before it runs, and what a rule for an operator is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from vljepa_runtime.graphs.onnx_file import Node

__all__ = ["Inputs", "Known", "Mismatch", "Rule", "Shape", "shape_at"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a tensor.

    Attributes:
        shape: Its sizes.
        values: Its values, where they are few and follow from sizes and constants.
        fixed: Whether it depends on constants alone, so that an engine computes it while it loads.
        whole: Whether it holds whole numbers.
        most: Its largest value, where it can be none but 0 .. most whatever a graph is fed; None where that is open.
    """

    shape: Shape
    values: npt.NDArray[Any] | None = None
    fixed: bool = False
    whole: bool = False
    most: int | None = None


class Mismatch(ValueError):
    """Sizes that no engine takes, either."""


Inputs = Sequence["Known | None"]
Rule = Callable[[Node, Inputs], list[Shape]]


def shape_at(inputs: Inputs, place: int) -> Shape:
    """The shape of an input that may not be left out."""
    item = inputs[place]
    if item is None:
        raise ValueError(f"input {place} is missing")
    return item.shape
