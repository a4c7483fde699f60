"""Greedy decoding of an embedding into text with a key-value cache. Keeps no state between calls."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.contract import LOGITS, NEXT, PAST, PREFILL, STEP, feeds_of
from vljepa_runtime.engines.protocol import Engine, Graph, Tensor, run_keeping
from vljepa_runtime.errors import BundleError, InputError, RunError
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["MAX_TOKENS", "Decoder"]

MAX_TOKENS = 48


class Decoder:
    """The Y-decoder's two graphs; safe to share between threads.

    Raises:
        BundleError: the bundle has no Y-decoder, or its graphs do not hand over the same cache.
    """

    def __init__(self, bundle: Bundle, engine: Engine, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._prefill: Graph = engine.load(bundle, PREFILL)
        self._step: Graph = engine.load(bundle, STEP)
        self._past = tuple(spec.name for spec in self._step.inputs if spec.name.startswith(PAST))
        given = {spec.name for spec in self._prefill.outputs}
        self._grown_names = tuple(_next(name) for name in self._past)
        returned = {spec.name for spec in self._step.outputs}
        if not set(self._past) <= given or not set(self._grown_names) <= returned:
            raise BundleError(
                f"{bundle.name}: {PREFILL} and {STEP} disagree on the cache, expected past_k_i, past_v_i, "
                "next_k_i, next_v_i: export the bundle again"
            )
        self._banned = [token for token in (tokenizer.pad_id, tokenizer.bos_id) if token != tokenizer.eos_id]

        self._least = max(tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id)

    def tokens(self, embedding: npt.NDArray[np.float32], *, max_tokens: int = MAX_TOKENS) -> list[int]:
        """Decode one embedding, always taking the likeliest token.

        Args:
            embedding: (S,) float32.
            max_tokens: Stop here when no EOS came before.

        Returns:
            Token ids without EOS.

        Raises:
            InputError: `max_tokens` is below 1 or the embedding has another shape.
            RunError: a graph failed, or the cache does not grow by one position a token.
        """
        if max_tokens < 1 or embedding.ndim != 1:
            raise InputError(
                f"expected one embedding (S,) and max_tokens >= 1, got {embedding.shape} and {max_tokens}"
            )
        given: dict[str, Tensor] = {**feeds_of(PREFILL, embedding[None].astype(np.float32, copy=False))}
        outputs = run_keeping(self._prefill, given, self._past)
        past = {name: outputs[name] for name in self._past}
        chosen: list[int] = []
        while (token := self._best(outputs[LOGITS])) != self._tokenizer.eos_id:
            chosen.append(token)
            if len(chosen) == max_tokens:
                break
            outputs = run_keeping(
                self._step, {**feeds_of(STEP, np.array([[token]], np.int32)), **past}, self._grown_names
            )
            past = {name: self._grown(past[name], outputs[_next(name)]) for name in self._past}
        return chosen

    def _grown(self, before: Tensor, after: Tensor) -> Tensor:
        """A cache that doubles at every token would fill the memory within a sentence."""
        wanted = (*before.shape[:2], before.shape[2] + 1, *before.shape[3:])
        if after.shape != wanted:
            raise RunError(
                f"{STEP} made a cache {after.shape} of {before.shape}, expected {wanted}: export the bundle again"
            )
        return after

    def text(self, embedding: npt.NDArray[np.float32], *, max_tokens: int = MAX_TOKENS) -> str:
        """Decode one embedding (S,) into text."""
        return self._tokenizer.decode(self.tokens(embedding, max_tokens=max_tokens))

    def _best(self, logits: Tensor) -> int:
        row = np.array(np.asarray(logits)[0], np.float32)
        if len(row) <= self._least:
            raise RunError(
                f"the Y-decoder gave {len(row)} logits, expected more than {self._least} for its tokenizer: "
                "export the bundle again"
            )
        row[self._banned] = -np.inf
        return int(row.argmax())


def _next(past: str) -> str:
    return NEXT + past.removeprefix(PAST)
