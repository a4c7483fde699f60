"""What every peer computes: windows, the inputs of each graph, what float32 gives, how many operations that takes.

Made once from a checkpoint, which needs torch; read from its folder with NumPy alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_apps.measure.peers.protocol import Float32, UInt8
from vljepa_runtime.contract import GRAPH_NAMES, PREDICTOR, PREFILL, STEP, X_ENCODER, Y_ENCODER
from vljepa_runtime.files import parse_json
from vljepa_runtime.preprocessing import Preprocess, fit_frames, patchify
from vljepa_runtime.tokenizer import Tokenizer

if TYPE_CHECKING:
    from vljepa_export.graphs import GraphDefinition

__all__ = ["Operations", "Workload", "make_workload"]

Array = npt.NDArray[Any]
SAMPLES = {True: 1, False: 8}  # windows, by whether they are large: one takes float32 seconds
LARGE_TOKENS = 1024  # of a window
FACTS = "workload.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Operations of one graph on its inputs; a multiplication and an addition are two.

    Attributes:
        products: Of activations with weights.
        attention: Of queries with keys, and of what comes of it with values.
    """

    products: int
    attention: int

    @property
    def all(self) -> int:
        """Both."""
        return self.products + self.attention


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A folder with all of it.

    Attributes:
        folder: Where.
        checkpoint: Whose networks.
        preprocess: How frames are fitted.
        operations: Of each graph.
        inputs: Names of each graph's inputs, in their order.
        samples: How many windows there are.
    """

    folder: Path
    checkpoint: Path
    preprocess: Preprocess
    operations: Mapping[str, Operations]
    inputs: Mapping[str, Sequence[str]]
    samples: int

    @classmethod
    def read(cls, folder: Path) -> Workload:
        """What `make_workload` wrote."""
        facts = parse_json((folder / FACTS).read_text(encoding="utf-8"))
        return cls(
            folder=folder,
            checkpoint=Path(facts["checkpoint"]),
            preprocess=Preprocess.from_dict(facts["preprocess"]),
            operations={name: Operations(**counted) for name, counted in facts["operations"].items()},
            inputs=facts["inputs"],
            samples=facts["samples"],
        )

    def frames(self, sample: int = 0) -> UInt8:
        """(T, H, W, 3) of a window."""
        frames: UInt8 = np.load(self.folder / f"frames-{sample}.npy")
        return frames

    def embedding(self, sample: int = 0) -> Float32:
        """(S,) what float32 gives for it."""
        embedding: Float32 = np.load(self.folder / f"embedding-{sample}.npy")
        return embedding

    def feeds(self, graph: str, sample: int = 0) -> list[Array]:
        """Inputs of a graph for a window, in their order."""
        with np.load(self.folder / f"{graph}-{sample}.npz") as held:
            return [held[name] for name in self.inputs[graph]]

    def definitions(self) -> dict[str, GraphDefinition]:
        """What is measured, as torch modules."""
        return {name: each for name, each in definitions(self.checkpoint).items() if name in self.inputs}

    def window_feeds(self, frames: UInt8) -> list[Array]:
        """Inputs of the X-encoder: `frames` fitted and cut."""
        patches, positions = patchify(fit_frames(frames, self.preprocess))
        return [patches[None], positions[None]]


def definitions(checkpoint: Path) -> dict[str, GraphDefinition]:
    """All graphs of a checkpoint as torch modules."""
    from vljepa_export.graphs import graph_definitions
    from vljepa_model.checkpoint import open_checkpoint

    return graph_definitions(open_checkpoint(checkpoint).model())


def make_workload(checkpoint: Path, folder: Path, *, graphs: Sequence[str] = GRAPH_NAMES) -> Workload:
    """Run a checkpoint once in eager float32 and keep what it takes and gives.

    Args:
        checkpoint: Its folder.
        folder: Is written into.
        graphs: What is measured, of those that it has; X-encoder and predictor are among them.
    """
    import torch

    from vljepa_model.checkpoint import open_checkpoint

    opened = open_checkpoint(checkpoint)
    pre, held = opened.preprocess, definitions(checkpoint)
    held = {name: definition for name, definition in held.items() if name in graphs}
    query = Tokenizer.from_file(opened.tokenizers[PREDICTOR]).encode([opened.prompts["caption"]])
    ids, mask = map(torch.from_numpy, query)
    samples = SAMPLES[pre.tokens >= LARGE_TOKENS]
    operations: dict[str, Operations] = {}
    for sample, frames in enumerate(_windows(pre, samples)):
        np.save(folder / f"frames-{sample}.npy", frames)
        patches, positions = map(torch.from_numpy, patchify(fit_frames(frames, pre)))
        with torch.inference_mode():
            feeds, embedding = _run(held, (patches[None], positions[None], ids, mask), operations)
        np.save(folder / f"embedding-{sample}.npy", embedding[0].numpy())
        for name, values in feeds.items():
            named = zip((spec.name for spec in held[name].inputs), values)
            np.savez(folder / f"{name}-{sample}.npz", **{key: value.numpy() for key, value in named})
    facts = {
        "checkpoint": str(checkpoint.resolve()),
        "preprocess": pre.to_dict(),
        "operations": {
            name: {"products": counted.products, "attention": counted.attention}
            for name, counted in operations.items()
        },
        "inputs": {name: [spec.name for spec in held[name].inputs] for name in held},
        "samples": samples,
    }
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return Workload.read(folder)


def _windows(pre: Preprocess, count: int) -> list[UInt8]:
    """Clips of the procedural world, repeated where a window has more frames than one of those."""
    from vljepa_data.world import Split, make_clip

    size = max(240, pre.size * 5 // 4)
    clips = [make_clip(index, Split.TEST, kind="single", size=size).frames for index in range(count)]
    return [np.resize(clip, (pre.frames, *clip.shape[1:])) for clip in clips]


def _run(
    graphs: Mapping[str, GraphDefinition], given: tuple[Any, ...], operations: dict[str, Operations]
) -> tuple[dict[str, tuple[Any, ...]], Any]:
    """Inputs of every graph, and the embedding of the window; what a graph takes is counted the first time."""

    def run(name: str, *values: Any) -> tuple[Any, ...]:
        feeds[name] = values
        if name in operations:
            return _tuple(graphs[name].module(*values))
        outputs, operations[name] = _counted(graphs[name].module, values)
        return outputs

    feeds: dict[str, tuple[Any, ...]] = {}
    patches, positions, ids, mask = given
    (visual,) = run(X_ENCODER, patches, positions)
    (embedding,) = run(PREDICTOR, visual, ids, mask)
    if Y_ENCODER in graphs:
        run(Y_ENCODER, ids, mask)
    if PREFILL in graphs:
        _, *caches = run(PREFILL, embedding)
        run(STEP, ids[:, :1], *caches)
    return feeds, embedding


def _counted(module: Any, values: Sequence[Any]) -> tuple[tuple[Any, ...], Operations]:
    """What a module gives, and the operations that torch counted meanwhile."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # It does not know the fused attention of CPUs: so attention is two products with a softmax between them.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        outputs = _tuple(module(*values))
    counts = {str(operator): count for operator, count in counter.get_flop_counts()["Global"].items()}
    inside = counts.get("aten.bmm", 0)
    return outputs, Operations(products=sum(counts.values()) - inside, attention=inside)


def _tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
