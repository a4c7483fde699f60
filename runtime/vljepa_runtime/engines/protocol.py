"""What every engine offers, and the one check of what it loads, takes and gives. Knows no engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vljepa_runtime.bundle import Bundle, GraphSpec
from vljepa_runtime.contract import NEXT, PAST, TensorSpec
from vljepa_runtime.errors import BundleError, InputError, RunError, WrongTargetError

__all__ = [
    "Array",
    "Detailed",
    "Engine",
    "Graph",
    "LoadedGraph",
    "Tensor",
    "VisualTokens",
    "check_feeds",
    "check_loaded",
    "check_results",
    "describe",
    "require_target",
    "run_keeping",
]

Array = npt.NDArray[Any]


@runtime_checkable
class Tensor(Protocol):
    """What a graph gives or takes: a NumPy array, or one on an engine's device that becomes NumPy when asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type."""

    def __array__(self) -> Array:
        """Its values in the host's memory: `np.asarray` calls this."""


@dataclass(frozen=True, slots=True)
class VisualTokens:
    """The visual tokens of a window (N, Dv), left where the engine made them; `np.asarray` copies them from there.

    Attributes:
        tensor: (1, N, Dv).
    """

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, Dv)."""
        return self.tensor.shape[1:]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[np.float32]:
        return np.asarray(np.asarray(self.tensor)[0], dtype or np.float32)


class Graph(Protocol):
    """One loaded graph; `run` may be called from several threads."""

    @property
    def name(self) -> str:
        """As in the bundle."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As in the bundle."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As in the bundle."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute all outputs.

        Raises:
            InputError: a feed is missing, unknown, or of another type or shape.
            RunError: the engine failed, or a result is not finite.
        """


class LoadedGraph(ABC):
    """A `Graph` whose feeds and results are held to the manifest, whatever computes.

    Args:
        name: As in the bundle.
        spec: What the manifest says.
        engine: What computes, for messages.
    """

    def __init__(self, name: str, spec: GraphSpec, *, engine: str) -> None:
        self.name, self._engine = name, engine
        self.inputs: tuple[TensorSpec, ...] = spec.inputs
        self.outputs: tuple[TensorSpec, ...] = spec.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Graph.run`."""
        check_feeds(self.name, self.inputs, feeds)
        results = self._compute(feeds)
        check_results(self, self._engine, feeds, results)
        return results

    def run_keeping(self, feeds: Mapping[str, Tensor], keep: Collection[str]) -> dict[str, Tensor]:
        """See the function of this name."""
        check_feeds(self.name, self.inputs, feeds)
        results = self._compute_keeping(feeds, keep)
        check_results(self, self._engine, feeds, results)
        return results

    def _compute_keeping(self, feeds: Mapping[str, Tensor], keep: Collection[str]) -> dict[str, Tensor]:
        """All outputs; an engine without a memory of its own has nowhere to keep them."""
        return {**self._compute({name: np.asarray(value) for name, value in feeds.items()})}

    @abstractmethod
    def _compute(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs for feeds of the right names, types and shapes."""


class Engine(Protocol):
    """Something that loads graphs on one device."""

    @property
    def name(self) -> str:
        """What really runs, for example `onnxruntime:cpu`."""

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """Load one graph of a bundle.

        Raises:
            BundleError: the bundle lacks the graph, or the file is not what the manifest says.
            WrongTargetError: the bundle is made for other engines.
            GraphRefusedError: the engine refuses the graph, or would run it somewhere else.
        """


@runtime_checkable
class Detailed(Protocol):
    """An engine that can say more than its name."""

    @property
    def detail(self) -> str:
        """Library and version, device, precision: what really runs, for people."""


def run_keeping(graph: Graph, feeds: Mapping[str, Tensor], keep: Collection[str]) -> dict[str, Tensor]:
    """Run a graph whose results another one reads: they need not leave the engine's device in between.

    Args:
        graph: What to run.
        feeds: Its inputs, among them what another graph of the same engine kept.
        keep: Names of the outputs that may stay where they are.

    Raises:
        InputError: see `Graph.run`.
        RunError: see `Graph.run`; whether what stays on a device is finite shows in what comes of it.
    """
    if isinstance(graph, LoadedGraph):
        return graph.run_keeping(feeds, keep)
    return {**graph.run({name: np.asarray(value) for name, value in feeds.items()})}


def describe(engine: Engine) -> str:
    """An engine's name and what it says of itself."""
    return f"{engine.name} ({engine.detail})" if isinstance(engine, Detailed) else engine.name


def require_target(engine: str, bundle: Bundle, *targets: str) -> None:
    """Refuse a bundle that is made for other engines.

    Args:
        engine: Name of the one that is asked to load it.
        bundle: What is to be loaded.
        targets: What the engine loads, its own format first.

    Raises:
        WrongTargetError: naming both.
    """
    if bundle.manifest.target not in targets:
        raise WrongTargetError(
            f"{engine} runs bundles made for {' or '.join(targets)}, {bundle.name} is for "
            f"{bundle.manifest.target}: choose its engine or export with --format {targets[0]}"
        )


def check_loaded(
    what: str,
    spec: GraphSpec,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    remedy: str = "export it again",
) -> None:
    """Compare what an engine has read with the manifest; every engine does, before it gives a graph.

    Args:
        what: Names the graph in the message.
        spec: What the manifest says.
        inputs: Type per name, each as NumPy calls it.
        outputs: The same.
        remedy: What to do about it.

    Raises:
        BundleError: a name or a type differs.
    """
    for kind, wanted, got in (("inputs", spec.inputs, inputs), ("outputs", spec.outputs, outputs)):
        expected = {tensor.name: tensor.dtype for tensor in wanted}
        if expected != got:
            raise BundleError(f"{what}: expected {kind} {expected}, the file has {dict(got)}: {remedy}")


def check_feeds(graph: str, inputs: Sequence[TensorSpec], feeds: Mapping[str, Tensor]) -> None:
    """Compare feeds with a graph's contract, before the engine sees them.

    Args:
        graph: The graph's name, for the message.
        inputs: The inputs that the bundle lists.
        feeds: Array or tensor per input name.

    Raises:
        InputError: a name, dtype or shape differs, or one symbol would need two sizes.
    """
    wanted = [spec.name for spec in inputs]
    if set(wanted) != set(feeds):
        raise InputError(f"{graph}: expected inputs {', '.join(wanted)}, got {', '.join(feeds) or 'none'}")
    sizes: dict[str, int] = {}
    for spec in inputs:
        array = feeds[spec.name]
        if not isinstance(array, np.ndarray | Tensor):
            array = np.asanyarray(array)
        if (got := array.dtype.name) != spec.dtype:
            raise InputError(f"{graph}.{spec.name}: expected {spec.dtype}, got {got}: convert with astype")
        if not _fits(spec.shape, array.shape, sizes):
            shape = ", ".join(map(str, spec.shape))
            bound = "".join(
                f", with {symbol}={size}" for symbol, size in sizes.items() if symbol in spec.shape
            )
            raise InputError(f"{graph}.{spec.name}: expected shape ({shape}){bound}, got {array.shape}")


def check_results(
    graph: Graph, engine: str, feeds: Mapping[str, Tensor], results: Mapping[str, Tensor]
) -> None:
    """Refuse what is not of the contract or not finite, before it becomes an embedding, a word or a score.

    Args:
        graph: What was run.
        engine: What ran it, for the message.
        feeds: Array per input name, which fixed the sizes of symbols.
        results: Array per output name. Whether caches, and what stays on a device, are finite is not looked at: it
            shows in the next logits or the embedding.

    Raises:
        RunError: an output has another shape, or holds NaN or infinity.
    """
    sizes: dict[str, int] = {}
    for spec in graph.inputs:
        _fits(spec.shape, np.shape(feeds[spec.name]), sizes)
    for spec in graph.outputs:
        name, array = spec.name, results[spec.name]
        if not _fits(spec.shape, array.shape, sizes):
            raise RunError(
                f"{graph.name} gave {name} {array.shape} on {engine}, expected ({', '.join(map(str, spec.shape))}): "
                "export it again"
            )
        looked_at = isinstance(array, np.ndarray) and not name.startswith((PAST, NEXT))
        if looked_at and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RunError(
                f"{graph.name} gave {name} that is not finite on {engine}: export it again or with another precision, "
                "or try another --engine"
            )


def _fits(shape: tuple[int | str, ...], got: tuple[int, ...], sizes: dict[str, int]) -> bool:
    """Whether `got` matches; sizes of symbols are remembered in `sizes`."""
    if len(shape) != len(got):
        return False
    for wanted, size in zip(shape, got):
        if isinstance(wanted, int):
            if wanted != size:
                return False
        elif size < 1 or (wanted.isidentifier() and sizes.setdefault(wanted, size) != size):
            return False
    return True
