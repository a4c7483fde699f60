"""Runs converted graphs by what their converters offer, so that a bundle is judged before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vljepa_export.targets.protocol import Array, Converted, Feeds
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines import Graph, check_feeds
from vljepa_runtime.errors import GraphRefusedError

__all__ = ["ConvertedEngine"]


@dataclass(frozen=True, slots=True)
class ConvertedEngine:
    """An `Engine` over converted graphs.

    Args:
        name: What to call it.
        graphs: By name; those that nothing here runs are refused.
    """

    name: str
    graphs: Mapping[str, Converted]

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`."""
        bundle.graph(graph_name)
        made = self.graphs[graph_name]
        if not made.runs_here:
            raise GraphRefusedError(f"{self.name}: nothing on this machine can run {graph_name}")
        return _ConvertedGraph(graph_name, made)


class _ConvertedGraph:
    """A converted graph behind the `Graph` protocol."""

    def __init__(self, name: str, made: Converted) -> None:
        self.name = name
        self.inputs: tuple[TensorSpec, ...] = made.spec.inputs
        self.outputs: tuple[TensorSpec, ...] = made.spec.outputs
        self._run = made.open()

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """See `Graph.run`."""
        check_feeds(self.name, self.inputs, feeds)
        return {spec.name: np.asarray(array) for spec, array in zip(self.outputs, self._run(feeds))}
