"""What a target module offers: `convert`, and what comes of it. Knows no target.

A module plugs in by its row in `vljepa_export.formats`; it is imported when its format is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy.typing as npt

from vljepa_runtime.manifest import GraphSpec, TensorSpec

if TYPE_CHECKING:
    import onnx

    from vljepa_export.graphs import GraphDefinition, TensorAxes

__all__ = [
    "Array",
    "Convert",
    "Converted",
    "Feeds",
    "Finishes",
    "Places",
    "Streams",
    "Target",
    "from_disk",
    "graph_spec",
    "tensor_specs",
]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One graph in a target's own form.

    Attributes:
        spec: Its files, inputs, outputs and token budgets, for the manifest.
        files: Content per file name, `spec.file` among them.
        stored: Files on disk by their names in the bundle, where they are too large for memory.
        run: Computes what the files compute (feeds -> outputs in order), so that parity can be measured; None when
            nothing on this machine can.
        stand_in: Where `run` is None: computes the graph that the files were built from.
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
    stored: Mapping[str, Path] = field(default_factory=dict)
    stand_in: Callable[[Feeds], Sequence[Array]] | None = None


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


@runtime_checkable
class Streams(Protocol):
    """A target module that also converts graphs of gigabytes, from disk to disk."""

    def convert_file(
        self,
        definition: GraphDefinition,
        path: Path,
        precision: str,
        *,
        samples: Sequence[Feeds],
        token_budgets: tuple[int, ...],
        folder: Path,
    ) -> Converted:
        """Convert one graph; what comes of it lies in `folder`, or is the graph at `path` itself.

        Args:
            definition: The contract; its torch module is gone.
            path: The fp32 ONNX graph, already checked for parity, with its weights in a file beside it.
            precision: One of the target's precisions.
            samples: Inputs to calibrate on.
            token_budgets: Token counts to build for; empty where N is free.
            folder: Empty, on the disk of the bundle to be.

        Raises:
            ExportError: the target's tools refuse the graph, with their words.
        """


@runtime_checkable
class Places(Protocol):
    """A target module that streams and stores once what the graphs of a network share; others' files are moved."""

    def place(self, made: Mapping[str, Converted], network: str, folder: Path) -> dict[str, Converted]:
        """Put the graphs of one network into the bundle's folder."""


def from_disk(convert: Callable[..., Converted]) -> Callable[..., Converted]:
    """The `convert_file` of a target whose `convert` also takes the path of a graph, and gives contents."""

    def convert_file(
        definition: GraphDefinition, path: Path, precision: str, *, folder: Path, **options: Any
    ) -> Converted:
        made = convert(definition, path, precision, **options)
        for name, content in made.files.items():
            (folder / name).write_bytes(content)
        return replace(made, files={}, stored={name: folder / name for name in made.files})

    return convert_file


def graph_spec(
    definition: GraphDefinition,
    file: str,
    *,
    external: tuple[str, ...] = (),
    token_budgets: tuple[int, ...] = (),
) -> GraphSpec:
    """A graph's entry in the manifest, with the inputs and outputs of its contract."""
    return GraphSpec(
        file=file,
        external=external,
        inputs=tensor_specs(definition.inputs),
        outputs=tensor_specs(definition.outputs),
        token_budgets=token_budgets,
    )


def tensor_specs(axes: Sequence[TensorAxes]) -> tuple[TensorSpec, ...]:
    """A definition's inputs or outputs as a manifest lists them."""
    return tuple(TensorSpec(name=item.name, dtype=item.dtype, shape=item.shape) for item in axes)
