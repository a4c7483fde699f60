"""What graphs are asked beside the samples, and how they are run: the whole vocabulary, and a cache to its longest.

A probe holds its inputs once: one of a single row stands for all rows, and tokens (B, T) for T calls of the step, each
with the caches that the one before it gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.gates.sample import Sample, cast
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.contract import (
    EMBEDDING,
    IDS,
    MASK,
    NEXT,
    PAST,
    PREDICTOR,
    PREFILL,
    QUERY_IDS,
    QUERY_MASK,
    STEP,
    TOKEN,
    VISUAL,
    Y_DECODER,
    Y_ENCODER,
)
from vljepa_runtime.decoder import MAX_TOKENS
from vljepa_runtime.engines import Graph
from vljepa_runtime.tokenizer import LENGTHS

__all__ = ["Feeds", "calls", "probes_of"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
ROWS = 16
VISUAL_TOKENS = 16  # that stand for a window where the query is what matters


def probes_of(
    bundle: Bundle, samples: Mapping[str, Sequence[Sample]], *, words: int
) -> dict[str, tuple[Feeds, ...]]:
    """What to ask each graph of a bundle: the inputs of its samples, and the words of its vocabulary.

    Args:
        bundle: The one to ask.
        samples: Of the reference.
        words: Most words; of a larger vocabulary as many, evenly spread.
    """
    asked = {name: [sample.feeds for sample in samples.get(name, ())] for name in bundle.manifest.graphs}
    if feeds := asked.get(PREDICTOR):
        visual = feeds[0][VISUAL]
        few = np.ascontiguousarray(visual[:, :: max(1, visual.shape[1] // VISUAL_TOKENS)])
        ids, mask = _words(bundle, PREDICTOR, LENGTHS[0], words)
        asked[PREDICTOR].append({VISUAL: few, QUERY_IDS: ids, QUERY_MASK: mask})
    if Y_ENCODER in asked:
        ids, mask = _words(bundle, Y_ENCODER, LENGTHS[0], words)
        asked[Y_ENCODER].append({IDS: ids, MASK: mask})
    if feeds := asked.get(PREFILL):
        asked[PREFILL].append({EMBEDDING: _others(feeds[0][EMBEDDING][:1])})
    if feeds := asked.get(STEP):
        tokens, _ = _words(bundle, Y_DECODER, MAX_TOKENS, words)
        asked[STEP].append({**feeds[0], TOKEN: tokens})
    return {name: tuple(group) for name, group in asked.items()}


def calls(graph: Graph, feeds: Feeds) -> Iterator[tuple[Array, ...]]:
    """Run a probe, and give the outputs of each call in their order."""
    rows = max(len(array) for array in feeds.values())
    whole = {name: np.repeat(array, rows // len(array), axis=0) for name, array in feeds.items()}
    tokens = whole.pop(TOKEN, None)
    names = [spec.name for spec in graph.outputs]
    for step in range(1 if tokens is None else tokens.shape[1]):
        if tokens is not None:
            whole[TOKEN] = np.ascontiguousarray(tokens[:, step : step + 1])
        results = graph.run(cast(whole, graph.inputs))
        if tokens is not None:
            whole |= {
                PAST + name.removeprefix(NEXT): results[name] for name in names if name.startswith(NEXT)
            }
        yield tuple(np.asarray(results[name]) for name in names)


def _others(embedding: Array) -> Array:
    """Embeddings of the same length, (ROWS, S)."""
    return np.concatenate([np.roll(embedding, 1 + row, axis=1) for row in range(ROWS)])


def _words(bundle: Bundle, role: str, width: int, most: int) -> tuple[Array, Array]:
    """The words of a vocabulary once, in rows of `width`; the last row is padded."""
    tokenizer = bundle.tokenizer_for(role)
    count = min(tokenizer.vocab_size, most)
    ids = np.linspace(0, tokenizer.vocab_size - 1, count).round().astype(np.int32)
    padding = -count % width
    mask = np.pad(np.ones_like(ids), (0, padding)).reshape(-1, width)
    return np.pad(ids, (0, padding), constant_values=tokenizer.pad_id).reshape(-1, width), mask
