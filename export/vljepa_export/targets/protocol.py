"""What a target module offers: `convert`, and what comes of it. Knows no target.

A module plugs in by its row in `vljepa_export.formats`; it is imported when its format is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy.typing as npt

from vljepa_runtime.manifest import GraphSpec, TensorSpec

if TYPE_CHECKING:
    import onnx

    from vljepa_export.graphs import GraphDefinition, TensorAxes

__all__ = ["Array", "Convert", "Converted", "Feeds", "Finishes", "Target", "tensor_specs"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One graph in a target's own form.

    Attributes:
        spec: Its files, inputs, outputs and token budgets, for the manifest.
        files: Content per file name, `spec.file` among them.
        run: Computes what the files compute (feeds -> outputs in order), so that parity can be measured; None when
            nothing on this machine can.
        notes: What a user should know: layers that stayed in fp32, what was built and not run.
        label: The precision for the manifest, where it says more than the one asked for (`int8-static`).
        execution: What the engine is to compute in where nothing is quantised: f32, bf16 or f16.
        nodes: Operators in it; 0 where nobody counts them.
    """

    spec: GraphSpec
    files: Mapping[str, bytes]
    run: Callable[[Feeds], Sequence[Array]] | None
    notes: tuple[str, ...] = field(default=())
    label: str = ""
    execution: str = "f32"
    nodes: int = 0


class Convert(Protocol):
    """`convert` of a target module."""

    def __call__(
        self,
        definition: GraphDefinition,
        model: onnx.ModelProto,
        precision: str,
        *,
        samples: Sequence[Feeds],
        token_budgets: tuple[int, ...] = (),
    ) -> Converted:
        """Convert one graph.

        Args:
            definition: The torch module and the contract.
            model: Its fp32 ONNX graph, already checked for parity.
            precision: One of the target's precisions.
            samples: Inputs to calibrate on and to measure with.
            token_budgets: Token counts to build for, where N cannot be free; empty for all tokens only.

        Raises:
            ExportError: the target's tools refuse the graph, with their words.
        """


class Target(Protocol):
    """A target module."""

    convert: Convert


@runtime_checkable
class Finishes(Protocol):
    """A target module that also looks at all graphs together, for example to store what they share once."""

    def finish(self, made: Mapping[str, Converted]) -> dict[str, Converted]:
        """All graphs by name, changed or not."""


def tensor_specs(axes: Sequence[TensorAxes]) -> tuple[TensorSpec, ...]:
    """A definition's inputs or outputs as a manifest lists them."""
    return tuple(TensorSpec(name=item.name, dtype=item.dtype, shape=item.shape) for item in axes)
