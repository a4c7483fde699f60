"""What a target module offers: `convert`, what it takes and what comes of it. Knows no target.

A module plugs in by its row in `vljepa_export.formats`; it is imported when its format is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy.typing as npt

from vljepa_quant import Precision
from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import GraphContract

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Array",
    "Converted",
    "Feeds",
    "Places",
    "Runner",
    "Target",
    "TracedGraph",
    "graph_spec",
]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Runner = Callable[[Feeds], Sequence[Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedGraph:
    """A float graph on disk; its torch module is gone.

    Attributes:
        contract: Its inputs and outputs.
        path: The fp32 ONNX graph.
        beside: Files of its folder that hold its weights.
        network: Reads the network again that the graph came from, for a target that needs another form of it.
    """

    contract: GraphContract
    path: Path
    beside: tuple[Path, ...] = ()
    network: Callable[[], nn.Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One graph in a target's own form, on disk.

    Attributes:
        spec: Its files, inputs, outputs and token budgets, for the manifest.
        files: Where they lie, by their names in the bundle.
        open: Loads what computes what the files compute (feeds -> outputs in order), so that parity can be measured.
        runs_here: False where nothing on this machine runs the files; `open` then loads the graph they were built from.
        notes: What a user should know: layers that stayed in fp32, what was built and not run.
        precision: What it is in; for the manifest, with what the engine is to compute in where nothing is quantised.
        nodes: Operators in it; 0 where nobody counts them.
        built_from: The typed ONNX graph that files were built from which nobody can read back; None for all others.
    """

    spec: GraphSpec
    files: Mapping[str, Path]
    open: Callable[[], Runner]
    runs_here: bool = True
    notes: tuple[str, ...] = ()
    precision: Precision
    nodes: int = 0
    built_from: Path | None = None


class Target(Protocol):
    """A target module."""

    def convert(
        self,
        traced: TracedGraph,
        precision: Precision,
        *,
        samples: Sequence[Feeds],
        budgets: tuple[int, ...],
        folder: Path,
    ) -> Converted:
        """Convert one graph.

        Args:
            traced: The fp32 graph, already checked for parity.
            precision: A row of the format.
            samples: Inputs to calibrate on.
            budgets: Token counts to build for, where N cannot be free; empty for the largest among the samples.
            folder: For what comes of it, which may also be the traced graph itself.

        Raises:
            ExportError: the target's tools refuse the graph, with their words.
        """


@runtime_checkable
class Places(Protocol):
    """A target module whose graphs share weights; the files of others are taken from where they lie."""

    def place(
        self, made: Mapping[str, Converted], network: str, folder: Path, *, mapped: bool
    ) -> dict[str, Converted]:
        """Write the graphs of one network into a folder, what they share once.

        Args:
            made: By name.
            network: Which of the four.
            folder: Of the bundle to be.
            mapped: Whether all weights lie beside the graphs, or only what is shared.
        """


def graph_spec(
    contract: GraphContract,
    file: str,
    *,
    external: tuple[str, ...] = (),
    token_budgets: tuple[int, ...] = (),
) -> GraphSpec:
    """A graph's entry in the manifest, with the inputs and outputs of its contract."""
    return GraphSpec(
        file=file,
        external=external,
        inputs=contract.inputs,
        outputs=contract.outputs,
        token_budgets=token_budgets,
    )
