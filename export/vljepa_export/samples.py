"""Inputs for the parity check and for calibration: real windows and texts of a footage, not noise.

Dynamic axes are exercised: full and partial token sets, one and several rows, short and long queries, growing caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from vljepa_evaluation.gates import Sample
from vljepa_export.footage import Footage
from vljepa_export.graphs import DecoderStep, GraphDefinition
from vljepa_export.parity import asked
from vljepa_model.checkpoint import Checkpoint, CheckpointFolder
from vljepa_model.y_decoder import YDecoder
from vljepa_runtime.contract import IDS, PAST, PREDICTOR, PREFILL, STEP, X_ENCODER, Y_ENCODER, feeds_of
from vljepa_runtime.preprocessing import Clip, Preprocess, SalientTokens, clip_tokens, fit_frames
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["SampleChain"]

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
STEPS = 6
JOINED = 8  # captions of the long text


class SampleChain:
    """Inputs graph by graph, in the order of the contract: those of later ones are what torch gave for earlier ones.

    It holds outputs and never a network, so that no two networks need to be in memory at once.

    Args:
        checkpoint: Whose geometry and tokenizers are used.
        footage: Windows, texts and queries.
        sizes: Tokens of the windows, in turn; empty for all and half of them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | CheckpointFolder,
        footage: Footage,
        *,
        sizes: Sequence[int] = (),
    ) -> None:
        preprocess = checkpoint.preprocess
        self._config = checkpoint.config
        self._readers = {
            role: Tokenizer.from_file(checkpoint.tokenizers[role]) for role in (PREDICTOR, Y_ENCODER)
        }
        sizes = sizes or (preprocess.tokens, max(1, preprocess.tokens // 2))
        self._windows = [
            _window(window, preprocess, sizes[i % len(sizes)]) for i, window in enumerate(footage.windows)
        ]
        self._queries = footage.queries
        captions = footage.texts
        # All captions together, then some alone, then one that is longer than the first padding length.
        batches = [list(captions), *([text] for text in captions[:3]), [" and ".join(captions[:JOINED])]]
        self._texts = [feeds_of(Y_ENCODER, *self._ids(Y_ENCODER, batch)) for batch in batches]
        self._visual: list[Array] = []  # per window
        self._embeddings: Array = np.empty(0)  # of the first batch of texts

    def samples(self, definition: GraphDefinition) -> tuple[Sample, ...]:
        """Inputs of one graph, and what torch gives for them."""
        samples = asked(definition, self._inputs(definition))
        self._keep(definition.name, samples)
        return samples

    def feeds(self, definition: GraphDefinition) -> list[Feeds]:
        """Inputs of one graph; torch is asked for no more than the later graphs need."""
        feeds = self._inputs(definition)
        needed = {X_ENCODER: feeds, Y_ENCODER: feeds[:1]}.get(definition.name, [])
        self._keep(definition.name, asked(definition, needed))
        return feeds

    def _keep(self, name: str, samples: Sequence[Sample]) -> None:
        if name == X_ENCODER:
            self._visual = [sample.outputs[0] for sample in samples]
        elif name == Y_ENCODER:
            self._embeddings = samples[0].outputs[0]

    def _inputs(self, definition: GraphDefinition) -> list[Feeds]:
        embeddings = self._embeddings
        if definition.name == X_ENCODER:  # full and partial windows
            return self._windows
        if definition.name == PREDICTOR:  # a long and several short queries
            return [self._query(visual, index) for index, visual in enumerate(self._visual)]
        if definition.name == Y_ENCODER:
            return self._texts
        if definition.name == PREFILL:  # the first batch of texts, together and alone
            return [feeds_of(PREFILL, each) for each in (embeddings, *(row[None] for row in embeddings[:2]))]
        return self._steps(cast("DecoderStep", definition.module).decoder)

    def _steps(self, decoder: YDecoder) -> list[Feeds]:
        """Teacher-forced steps over the first batch: torch's own caches, so that errors do not add up."""
        largest = self._config.vocabulary(self._config.decoder.stack) - 1
        ids = np.minimum(self._texts[0][IDS], largest).astype(np.int32)
        feeds: list[Feeds] = []
        with torch.no_grad():
            _, keys, values = decoder.prefill(torch.from_numpy(self._embeddings))
            for step in range(min(STEPS, ids.shape[1])):
                token = np.ascontiguousarray(ids[:, step : step + 1])
                past = {f"{PAST}k_{i}": key.numpy() for i, key in enumerate(keys)}
                past |= {f"{PAST}v_{i}": value.numpy() for i, value in enumerate(values)}
                feeds.append(feeds_of(STEP, token) | past)
                _, keys, values = decoder.step(torch.from_numpy(token), keys, values)
        return feeds

    def _query(self, visual: Array, index: int) -> Feeds:
        queries = self._queries[index :: len(self._windows)]
        return feeds_of(PREDICTOR, np.repeat(visual, len(queries), axis=0), *self._ids(PREDICTOR, queries))

    def _ids(self, role: str, texts: Sequence[str]) -> tuple[Array, Array]:
        ids, mask = self._readers[role].encode(texts)
        largest = self._config.vocabulary(getattr(self._config, role)) - 1
        return np.minimum(ids, largest).astype(np.int32), mask


def _window(frames: Array | Clip, preprocess: Preprocess, tokens: int) -> Feeds:
    patches, positions = clip_tokens(fit_frames(frames, preprocess), tokens=SalientTokens(tokens))
    return feeds_of(X_ENCODER, patches[None], positions[None])
