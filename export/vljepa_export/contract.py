"""The five graphs of a model by name, and what one promises: inputs and outputs with their axes. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GRAPH_NAMES", "NETWORKS", "GraphContract", "TensorAxes"]

GRAPH_NAMES = ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step")
# Which of the four networks a graph belongs to.
NETWORKS = {name: "y_decoder" if name.startswith("y_decoder") else name for name in GRAPH_NAMES}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorAxes:
    """One input or output: its name, type and axes; a string is a dynamic axis, a number a fixed one."""

    name: str
    dtype: str
    shape: tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphContract:
    """What a graph takes and gives, on every engine.

    Attributes:
        name: Its name in `GRAPH_NAMES`.
        inputs: Names, types and axes of the inputs.
        outputs: The same for the outputs.
    """

    name: str
    inputs: tuple[TensorAxes, ...]
    outputs: tuple[TensorAxes, ...]
