"""One immutable model, shared by all streams: frames and texts become embeddings, labels and words.

Knows bundles and engines, and of sources that they are read as clips; a stream's state lives in `session.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import array, whole
from vljepa_runtime.arguments import texts as checked_texts
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.bundle.calibrated import boundaries_of, novelty_of
from vljepa_runtime.contract import (
    PATCHES,
    PREDICTOR,
    PREFILL,
    QUERY_IDS,
    VISUAL,
    X_ENCODER,
    Y_DECODER,
    feeds_of,
)
from vljepa_runtime.embeddings import run_to_embeddings
from vljepa_runtime.engines.advice import advice
from vljepa_runtime.engines.protocol import Engine, Tensor, VisualTokens, describe, run_keeping
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.norms import unit_rows
from vljepa_runtime.preprocessing.patches import Clip, fit_frames
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.stand_ins import completed
from vljepa_runtime.preprocessing.token_policies import completes, resolve_tokens
from vljepa_runtime.preprocessing.token_selection import clip_tokens
from vljepa_runtime.preprocessing.unread_clip import UnreadClip
from vljepa_runtime.queries import query_or_prompt
from vljepa_runtime.states import pool_tokens
from vljepa_runtime.text_encoder import TextEncoder, text_lengths

if TYPE_CHECKING:
    from vljepa_runtime.alerts import Alert, ClipFolder
    from vljepa_runtime.decoder import Decoder
    from vljepa_runtime.novelty import Novelty
    from vljepa_runtime.preprocessing.changes import Noise
    from vljepa_runtime.preprocessing.token_policies import TokenPolicy
    from vljepa_runtime.selection.boundaries import Boundaries
    from vljepa_runtime.selection.protocol import Policy
    from vljepa_runtime.session import Session
    from vljepa_runtime.sources import Source
    from vljepa_runtime.states import States

__all__ = ["Model", "Scored"]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
QUERIES_KEPT = 256  # token ids of each take 1 KB
Frames: TypeAlias = UInt8 | Clip | UnreadClip | str | Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A label and the cosine between its embedding and the predicted one."""

    label: str
    score: float


class Model:
    """A bundle on an engine. Methods may be called from several threads.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model = vj.Model(vj.Bundle.open("tiny"), vj.open_engine("onnxruntime:cpu"))  # what `load` does
        >>> model
        <Model tiny on onnxruntime:cpu: int8-dynamic, windows of 8 x 96 x 96 at 4 fps, embeddings of 256>
        >>> clip = model.read_clip("clip.mp4", seconds=3)
        >>> embedding = model.embed(clip)
        >>> embedding.shape, model.embed_text(["a box jumps", "a ball falls"]).shape
        ((256,), (2, 256))
        >>> model.decode(embedding)  # words, only now
        'a white box bounces'
        >>> visual = model.encode(clip)  # once, however many questions follow
        >>> colour = model.predict(visual, "What colour is the box?")
        >>> [scored.label for scored in model.rank(colour, ["red", "white"])]
        ['white', 'red']
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        if not isinstance(bundle, Bundle):
            raise InputError(f"expected an opened bundle, got {bundle!r}: vj.load opens one on an engine")
        if not callable(getattr(engine, "load", None)):
            raise InputError(f"expected an opened engine, got {engine!r}: vj.load opens one")
        self._bundle = bundle
        self._engine = engine
        self._lock = threading.RLock()
        self._text_encoder: TextEncoder | None = None
        self._decoder: Decoder | None = None
        self._x_encoder = engine.load(bundle, X_ENCODER)
        self._predictor = engine.load(bundle, PREDICTOR)
        self._novelty, self._boundaries = novelty_of(bundle), boundaries_of(bundle)
        tokens_of = partial(_query_tokens, bundle, text_lengths(self._predictor, QUERY_IDS))
        self._query_tokens = lru_cache(maxsize=QUERIES_KEPT)(tokens_of)

    def __repr__(self) -> str:
        manifest, pre = self._bundle.manifest, self.preprocess
        windows = f"windows of {pre.frames} x {pre.size} x {pre.size} at {pre.fps:g} fps"
        made = f"{manifest.precision_text}, {windows}, embeddings of {manifest.embedding_dim}"
        return f"<Model {manifest.name} on {self.engine_name}: {made}>"

    @property
    def bundle(self) -> Bundle:
        """What was loaded."""
        return self._bundle

    @property
    def engine_name(self) -> str:
        """What really runs, for example `onnxruntime:cpu`."""
        return self._engine.name

    @property
    def engine_text(self) -> str:
        """The same in full: library, version, device; that it is a fall-back, or what would suit the device better."""
        better = advice(self._bundle.manifest, self.engine_name)
        return f"{describe(self._engine)}; {better}" if better else describe(self._engine)

    @property
    def preprocess(self) -> Preprocess:
        """How frames become tokens."""
        return self._bundle.manifest.preprocess

    @property
    def prompts(self) -> Mapping[str, str]:
        """The bundle's own query per task."""
        return self._bundle.manifest.prompts

    @property
    def embedding_dim(self) -> int:
        """Length of an embedding (S)."""
        return self._bundle.manifest.embedding_dim

    @property
    def has_decoder(self) -> bool:
        """Whether the bundle holds a Y-decoder."""
        return PREFILL in self._bundle.manifest.graphs

    @property
    def novelty(self) -> Novelty | None:
        """What says that a window shows nothing known; None where the bundle was not calibrated for it."""
        return self._novelty

    @property
    def boundaries(self) -> Boundaries | None:
        """What tells the events of a stream apart; None where the bundle has nothing that does."""
        return self._boundaries

    def is_unknown(self, visual: Float32) -> bool | None:
        """Whether a window shows nothing that the model knows.

        Args:
            visual: (N, Dv) from `encode`, or (Dv,) a whole window's pooled (`pool_tokens`).

        Returns:
            None where the bundle was not calibrated for it, and of windows of which whole places were left out.

        Examples:
            >>> import numpy as np
            >>> import vljepa_runtime as vj
            >>> model = vj.load("tiny")
            >>> model.is_unknown(model.encode(np.full((8, 96, 96, 3), 128, np.uint8)))  # a grey wall
            True
            >>> model.is_unknown(model.encode("clip.mp4"))
            False
        """
        novelty, spec = self._novelty, self._bundle.manifest.novelty
        tokens = array(visual, "visual", np.float32)
        if novelty is None or spec is None or (tokens.ndim == 2 and len(tokens) != self.preprocess.tokens):
            return None
        pooled = pool_tokens(tokens) if tokens.ndim == 2 else tokens
        if pooled.shape != (novelty.width,):
            raise InputError(f"expected visual tokens (N, {novelty.width}), got {tokens.shape}")
        return bool(novelty.distances(pooled[None])[0] > spec.threshold)

    @property
    def decoder_loaded(self) -> bool:
        """Whether the Y-decoder is in memory; it is not before the first `decode`."""
        return self._decoder is not None

    def read_clip(
        self,
        source: Source | str | Path | int,
        *,
        start_s: float = 0.0,
        seconds: float | None = None,
        stretch: bool = False,
        on_warning: Callable[[str], None] = lambda message: None,
    ) -> Clip:
        """Read a source, or a part of it, as this model takes it; see `vljepa_runtime.read_clip`."""
        from vljepa_runtime.preprocessing.clip_reader import read_clip

        return read_clip(
            source, self.preprocess, start_s=start_s, seconds=seconds, stretch=stretch, on_warning=on_warning
        )

    def patches(
        self, frames: Frames, *, tokens: TokenPolicy | str = "all", noise: Noise | None = None
    ) -> tuple[UInt8, Int32]:
        """Turn frames into the X-encoder's input.

        Args:
            frames: (T, H, W, 3) uint8 RGB, any T, H and W, which are fitted here; a clip of `read_clip`; or the name
                of a source, which is read from beginning to end.
            tokens: Which of the window's tubelets are encoded: a policy, or what `parse_tokens` reads. Where the bundle
                was built for certain counts, the next one above is taken.
            noise: Of the stream that the frames are from; None where they are from none.

        Returns:
            patches (N, P) uint8 and positions (N, 3) int32.

        Raises:
            InputError: the frames are not uint8 RGB, or the bundle has no graph for that many tokens.
            SourceError: a source of that name cannot be read.
        """
        pre = self.preprocess
        if isinstance(frames, str | Path):
            frames = self.read_clip(frames)
        clip = frames.read(pre) if isinstance(frames, UnreadClip) else fit_frames(frames, pre)
        budgets = self._token_counts(X_ENCODER, PATCHES)
        return clip_tokens(clip, tokens=tokens, noise=noise, budgets=budgets)

    def _token_counts(self, graph: str, name: str) -> tuple[int, ...]:
        """The only counts of tokens that an input of a graph takes; none where it takes any."""
        spec = self._bundle.manifest.graphs[graph]
        count = next((each.shape[1] for each in spec.inputs if each.name == name), None)
        return (count,) if isinstance(count, int) else tuple(spec.token_budgets)

    def encode_patches(self, patches: UInt8, positions: Int32) -> Float32:
        """Run the X-encoder.

        Args:
            patches: (N, P) uint8.
            positions: (N, 3) int32 tubelet indices (t, h, w).

        Returns:
            visual (N, Dv) float32.
        """
        return np.asarray(self.encode_on_device(patches, positions))

    def encode_on_device(self, patches: UInt8, positions: Int32) -> VisualTokens:
        """Run the X-encoder for `predict` alone: on a GPU the visual tokens then never leave it.

        Args:
            patches: (N, P) uint8.
            positions: (N, 3) int32 tubelet indices (t, h, w).
        """
        return VisualTokens(
            self.encode_batch(array(patches, "patches")[None], array(positions, "positions")[None])
        )

    def encode_batch(self, patches: UInt8, positions: Int32) -> Tensor:
        """Run the X-encoder on several windows at once, for `predict_batch` alone.

        An encoder in int8 with scales of its own for each run (`int8-dynamic`) has one scale for the whole batch, so a
        window's embedding then depends a little on what else is in it.

        Args:
            patches: (B, N, P) uint8.
            positions: (B, N, 3) int32 tubelet indices (t, h, w).

        Returns:
            visual (B, N, Dv), left where the engine made it.
        """
        feeds: dict[str, Tensor] = {**feeds_of(X_ENCODER, patches, positions)}
        return run_keeping(self._x_encoder, feeds, (VISUAL,))[VISUAL]

    def complete_batch(self, visual: Tensor, positions: Int32) -> Tensor:
        """Give tubelets that were left out the token of the nearest instant at their place, see `stand_ins`.

        Args:
            visual: (B, n, Dv) from `encode_batch`.
            positions: (B, n, 3) of the same.

        Returns:
            visual (B, N, Dv) of all tubelets; as it came where a place has none, or the predictor takes no such count.
        """
        whole_counts, pre = self._token_counts(PREDICTOR, VISUAL), self.preprocess
        if positions.shape[1] == pre.tokens or (whole_counts and pre.tokens not in whole_counts):
            return visual
        found = completed(np.asarray(visual), positions, pre.grid)
        return visual if found is None else found

    def encode(self, frames: Frames, *, tokens: TokenPolicy | str = "all") -> Float32:
        """Turn frames into visual tokens; one window can then be asked several queries.

        Args:
            frames: See `patches`.
            tokens: See `patches`.

        Returns:
            visual (N, Dv) float32.
        """
        return np.asarray(self._encoded(frames, tokens))

    def _encoded(self, frames: Frames, tokens: TokenPolicy | str) -> VisualTokens:
        policy = resolve_tokens(tokens)
        patches, positions = self.patches(frames, tokens=policy)
        visual = self.encode_on_device(patches, positions)
        return (
            VisualTokens(self.complete_batch(visual.tensor, positions[None])) if completes(policy) else visual
        )

    def predict(self, visual: Float32 | VisualTokens, query: str | None = None) -> Float32:
        """Predict the embedding of the text that would answer a query.

        Args:
            visual: (N, Dv) from `encode` or `encode_on_device`.
            query: A question or instruction; None takes the bundle's caption prompt.

        Returns:
            (S,) float32, L2-normalised.
        """
        tokens = visual.tensor if isinstance(visual, VisualTokens) else array(visual, "visual")[None]
        embedding: Float32 = self.predict_batch(tokens, query)[0]
        return embedding

    def predict_batch(self, visual: Tensor, query: str | None = None) -> Float32:
        """Ask several windows one query at once.

        Args:
            visual: (B, N, Dv) from `encode_batch`.
            query: See `predict`.

        Returns:
            (B, S) float32, L2-normalised.

        Examples:
            >>> import numpy as np
            >>> import vljepa_runtime as vj
            >>> model = vj.load("tiny")
            >>> tokens = [model.patches(vj.read_clip("clip.mp4", start_s=s, seconds=2)) for s in (0, 3)]
            >>> patches, positions = (np.stack(each) for each in zip(*tokens))
            >>> model.predict_batch(model.encode_batch(patches, positions)).shape
            (2, 256)
        """
        ids, mask = self._query_tokens(query_or_prompt(self, query, "caption"))
        rows = visual.shape[0]
        feeds: dict[str, Tensor] = {**feeds_of(PREDICTOR, visual, ids.repeat(rows, 0), mask.repeat(rows, 0))}
        return run_to_embeddings(self._predictor, feeds, self.embedding_dim)

    def embed(
        self, frames: Frames, query: str | None = None, *, tokens: TokenPolicy | str = "all"
    ) -> Float32:
        """Frames (see `patches`) and a query become one embedding (S,) float32, L2-normalised."""
        return self.predict(self._encoded(frames, tokens), query)

    def embed_text(self, texts: Iterable[str]) -> Float32:
        """Embed texts into the space of the predictions; the last few thousand are remembered.

        Args:
            texts: B texts in any ordered collection, taken by position; see `arguments.texts`.

        Returns:
            (B, S) float32, L2-normalised.

        Raises:
            BundleError: the bundle has no Y-encoder.
            InputError: there is no text, or one is empty or not text.
        """
        return self._texts.embed(checked_texts(texts))

    def rank(self, embedding: Float32, labels: Iterable[str]) -> tuple[Scored, ...]:
        """Rank texts (see `embed_text`) by their cosine with one embedding (S,), best first."""
        return self._rank(embedding, checked_texts(labels, "labels"))

    def classify(
        self, frames: Frames, labels: Iterable[str], *, query: str | None = None
    ) -> tuple[Scored, ...]:
        """Rank labels in anyone's words for a clip.

        Args:
            frames: See `patches`.
            labels: Texts, in any ordered collection; see `embed_text`.
            query: What to ask the predictor; None takes the bundle's classify prompt.

        Returns:
            All labels, best first.

        Examples:
            >>> import vljepa_runtime as vj
            >>> model = vj.load("tiny")
            >>> labels = ["a ball falls", "a box jumps", "a cross spins"]
            >>> model.classify("clip.mp4", labels)  # as `vljepa classify tiny clip.mp4` does
            (Scored(label='a box jumps', score=0...), ...)
            >>> clip = vj.read_clip("clip.mp4", start_s=3, seconds=3)  # --start 3 --seconds 3
            >>> model.classify(clip, labels)[0].label
            'a ball falls'
        """
        names = checked_texts(labels, "labels")
        return self._rank(self.embed(frames, query_or_prompt(self, query, "classify", "caption")), names)

    def answer(self, frames: Frames, question: str, candidates: Iterable[str]) -> tuple[Scored, ...]:
        """Rank candidate answers to a question about frames (see `patches`), best first.

        Examples:
            >>> import vljepa_runtime as vj
            >>> model = vj.load("tiny")
            >>> clip = model.read_clip("clip.mp4", seconds=3)
            >>> model.answer(clip, "What colour is the box?", ["red", "white"])[0].label
            'white'
        """
        names = checked_texts(candidates, "candidates")
        return self._rank(self.embed(frames, question), names)

    def decode(self, embedding: Float32, *, max_tokens: int | None = None) -> str:
        """Turn one embedding (S,) into words; the Y-decoder is loaded at the first call.

        Raises:
            BundleError: the bundle has no Y-decoder.
            InputError: the embedding has another shape.
        """
        from vljepa_runtime.decoder import MAX_TOKENS, Decoder

        if not self.has_decoder:
            raise BundleError(
                f"{self._bundle.name} has no Y-decoder, so it can rank answers and not word one: pass candidates "
                "(--label), or take a bundle with a Y-decoder"
            )
        vector = self._checked_embedding(embedding)
        limit = MAX_TOKENS if max_tokens is None else whole(max_tokens, "max_tokens", least=1)
        with self._lock:
            if self._decoder is None:
                self._decoder = Decoder(self._bundle, self._engine, self._bundle.tokenizer_for(Y_DECODER))
        return self._decoder.text(vector, max_tokens=limit)

    def session(
        self,
        *,
        query: str | Iterable[str] | None = None,
        select: Policy | str | None = None,
        stride_s: float = 1.0,
        decode: str = "auto",
        tokens: TokenPolicy | str = "all",
        carry_s: float = 0.0,
        labels: Iterable[str] | None = None,
        min_score: float | None = None,
        embeddings: bool = False,
        states: States | str | Path | None = None,
        alerts: Iterable[Alert] | None = None,
        clips: ClipFolder | None = None,
    ) -> Session:
        """Open the state of one stream; see `Session`."""
        from vljepa_runtime.session import Session

        return Session(
            self,
            query=query,
            select=select,
            stride_s=stride_s,
            decode=decode,
            tokens=tokens,
            carry_s=carry_s,
            labels=labels,
            min_score=min_score,
            embeddings=embeddings,
            states=states,
            alerts=alerts,
            clips=clips,
        )

    @property
    def _texts(self) -> TextEncoder:
        """The Y-encoder, loaded at the first text."""
        with self._lock:
            if self._text_encoder is None:
                self._text_encoder = TextEncoder(self._bundle, self._engine)
            return self._text_encoder

    def _checked_embedding(self, embedding: Float32) -> Float32:
        vector = array(embedding, "embedding", np.float32)
        if vector.shape != (self.embedding_dim,):
            raise InputError(f"expected one embedding ({self.embedding_dim},), got {vector.shape}")
        if not np.isfinite(vector).all():
            raise InputError("expected an embedding of finite numbers, got NaN or infinity")
        return vector

    def _rank(self, embedding: Float32, labels: tuple[str, ...]) -> tuple[Scored, ...]:
        scores = self._texts.embed(labels) @ unit_rows(self._checked_embedding(embedding)[None])[0]
        order = np.argsort(-scores, kind="stable")
        return tuple(Scored(label=labels[index], score=float(scores[index])) for index in order)


def _query_tokens(bundle: Bundle, lengths: tuple[int, ...], query: str) -> tuple[Int32, Int32]:
    return bundle.tokenizer_for(PREDICTOR).encode([query], lengths=lengths)
