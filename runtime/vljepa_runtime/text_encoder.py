"""Texts into the space of the predictions, through the Y-encoder; the last few thousand are remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.contract import IDS, Y_ENCODER, feeds_of
from vljepa_runtime.embeddings import run_to_embeddings
from vljepa_runtime.engines.protocol import Engine, Graph
from vljepa_runtime.tokenizer.tokenizer import LENGTHS

__all__ = ["TEXTS_AT_ONCE", "TextEncoder", "text_lengths"]

Float32 = npt.NDArray[np.float32]
TEXTS_CACHED = 4096  # 4 MiB of embeddings at S = 256
TEXTS_AT_ONCE = 16


class TextEncoder:
    """The Y-encoder with its tokenizer; safe to share between threads.

    Raises:
        BundleError: the bundle has no Y-encoder.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._graph = engine.load(bundle, Y_ENCODER)
        self._tokenizer = bundle.tokenizer_for(Y_ENCODER)
        self._dim = bundle.manifest.embedding_dim
        self._known: OrderedDict[str, Float32] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Float32:
        """B texts become (B, S) float32, L2-normalised."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
        fresh = [text for text in dict.fromkeys(texts) if text not in found]
        found |= zip(fresh, self._encoded(fresh))
        with self._lock:
            for text in dict.fromkeys(texts):
                self._known[text] = found[text]
                self._known.move_to_end(text)
            while len(self._known) > TEXTS_CACHED:
                self._known.popitem(last=False)
        return np.asarray([found[text] for text in texts], np.float32)

    def _encoded(self, texts: list[str]) -> list[Float32]:
        batch = self._graph.inputs[0].shape[0]
        step = batch if isinstance(batch, int) else TEXTS_AT_ONCE
        rows: list[Float32] = []
        for start in range(0, len(texts), step):
            chunk = texts[start : start + step]
            padded = chunk + [chunk[-1]] * (step - len(chunk) if isinstance(batch, int) else 0)
            ids, mask = self._tokenizer.encode(padded, lengths=text_lengths(self._graph, IDS))
            rows += list(
                run_to_embeddings(self._graph, feeds_of(Y_ENCODER, ids, mask), self._dim)[: len(chunk)]
            )
        return rows


def text_lengths(graph: Graph, name: str) -> tuple[int, ...]:
    """Text widths a graph takes: one where it is fixed."""
    width = next(spec.shape[1] for spec in graph.inputs if spec.name == name)
    return (width,) if isinstance(width, int) else LENGTHS
