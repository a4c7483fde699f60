"""What is timed of a bundle: each graph alone on real inputs, and a window and a text end to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from vljepa_runtime import contract

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells
    from vljepa_runtime import Model
    from vljepa_runtime.contract import TensorSpec
    from vljepa_runtime.engines import Engine

__all__ = ["DECODE", "QUERY_TOKENS", "WINDOW", "WholeModel", "end_to_end", "graph_cells", "sample_frames"]

QUERY_TOKENS = 32
PAST = 8  # tokens in the cache when one step of the decoder is timed
FRAME_SIZE = 240
WINDOW, DECODE = "window", "decode"
TOKEN = 5  # any token that is not special


class WholeModel(Protocol):
    """What is timed end to end."""

    @property
    def has_decoder(self) -> bool:
        """Whether `decode` is there."""

    def embed(self, frames: npt.NDArray[np.uint8], query: str | None = None) -> npt.NDArray[np.float32]:
        """Frames and a query -> embedding."""

    def decode(self, embedding: npt.NDArray[np.float32], /) -> str:
        """Embedding -> text."""


def sample_frames() -> npt.NDArray[np.uint8]:
    """Frames (8, 240, 240, 3) of one held-out clip."""
    from vljepa_data.world import Split, make_clip

    return make_clip(0, Split.TEST, kind="single", size=FRAME_SIZE).frames


def end_to_end(model: WholeModel, frames: npt.NDArray[np.uint8]) -> dict[str, Callable[[], object]]:
    """`WINDOW`: frames in, embedding out, fitting and patches included; `DECODE`: embedding in, text out, if it can."""
    embedding = model.embed(frames)
    cells: dict[str, Callable[[], object]] = {WINDOW: lambda: model.embed(frames)}
    if model.has_decoder:
        cells[DECODE] = lambda: model.decode(embedding)
    return cells


def graph_cells(model: Model, engine: Engine) -> Cells:
    """Every graph of a bundle on inputs of one window, loaded a second time beside the model.

    Args:
        model: Gives the bundle and real inputs.
        engine: Loads the graphs.
    """
    patches, positions = model.patches(sample_frames())
    visual = model.encode_patches(patches, positions)
    known: dict[str, npt.NDArray[Any]] = {
        contract.PATCHES: patches[None],
        contract.POSITIONS: positions[None],
        contract.VISUAL: visual[None],
        contract.EMBEDDING: model.predict(visual)[None],
        contract.TOKEN: np.full((1, 1), TOKEN, np.int32),
    }

    def runner(name: str) -> Callable[[], object]:
        graph = engine.load(model.bundle, name)
        feeds = {spec.name: _feed(spec, known) for spec in graph.inputs}
        return lambda: graph.run(feeds)

    return {name: _when_run(runner, name) for name in model.bundle.manifest.graphs}


def _when_run(make: Callable[[str], Callable[[], object]], name: str) -> Callable[[], object]:
    """Load at the first call, in the warm-up, so that a graph that fails marks its own cell only."""
    made: list[Callable[[], object]] = []

    def run() -> object:
        if not made:
            made.append(make(name))
        return made[0]()

    return run


def _feed(spec: TensorSpec, known: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if spec.name in known:
        return known[spec.name].astype(spec.dtype, copy=False)
    sizes = {0: 1, 1: QUERY_TOKENS, 2: PAST}
    shape = tuple(size if isinstance(size, int) else sizes[axis] for axis, size in enumerate(spec.shape))
    fill = {contract.QUERY_MASK: 1, contract.MASK: 1}.get(spec.name, TOKEN)
    return np.full(shape, 0 if spec.name.startswith(contract.PAST) else fill, spec.dtype)
