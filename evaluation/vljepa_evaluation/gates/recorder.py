"""Runs the float model on the gates' inputs: each graph in order, then the model on the scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_data.world import PROMPTS, Split, caption_lesson, make_clip
from vljepa_evaluation.gates.asked import ask_all
from vljepa_evaluation.gates.behaviour import Progress, Scenes, record_behaviour
from vljepa_evaluation.gates.footage import draw_footage
from vljepa_evaluation.gates.reference import Reference
from vljepa_evaluation.gates.sample import Sample
from vljepa_evaluation.gates.usage import FloatUsage, record_usage
from vljepa_runtime.bundle import Bundle, GraphSpec, Manifest
from vljepa_runtime.contract import (
    IDS,
    PATCHES,
    PREDICTOR,
    PREFILL,
    QUERY_IDS,
    STEP,
    X_ENCODER,
    Y_DECODER,
    Y_ENCODER,
    feeds_of,
)
from vljepa_runtime.engines import Engine, Graph
from vljepa_runtime.model import Model
from vljepa_runtime.preprocessing import Preprocess, SalientTokens, clip_tokens, fit_frames
from vljepa_runtime.tokenizer import LENGTHS

__all__ = ["record_reference"]

QUERIES = (PROMPTS["caption"], PROMPTS["classify"])
STEPS = 2
Array = npt.NDArray[Any]


def record_reference(
    bundle: Bundle,
    engine: Engine,
    *,
    like: Manifest | None = None,
    scenes: Scenes | None = None,
    progress: Progress | None = None,
) -> Reference:
    """Run a float bundle on the gates' inputs.

    Args:
        bundle: The float model's.
        engine: Runs the float bundle.
        like: The bundle that will be compared: inputs take its fixed sizes and token budgets. None for `bundle`.
        scenes: What to show end to end; None records graphs only.
        progress: Called with the share done, 0..1.

    Examples:
        >>> from vljepa_evaluation.gates import record_reference
        >>> from vljepa_runtime import Bundle, open_engine
        >>> reference = record_reference(Bundle.open("tiny"), open_engine("onnxruntime"))
        >>> reference.samples["y_encoder"][0]
        Sample(feeds={'ids': array(...), 'mask': array(...)}, outputs=(array(...),))
    """
    samples = _Recorder(bundle, engine, like or bundle.manifest).samples()
    if scenes is None:
        return Reference(samples=samples)
    model = Model(bundle, engine)
    behaviour = record_behaviour(model, bundle.manifest.preprocess, scenes, progress)
    asked, footage = ask_all(model.prompts, keep=_budget(like or bundle.manifest)), draw_footage()
    usage = FloatUsage(footage=footage, asked=asked, usage=record_usage(model, footage, asked, scenes))
    return Reference(samples=samples, scenes=scenes, behaviour=behaviour, usage=usage)


def _budget(manifest: Manifest) -> int:
    """Half of a window's tokens, or what is nearest to it that the bundle takes; 0 where that is whole windows."""
    tokens, spec = manifest.preprocess.tokens, manifest.graphs[X_ENCODER]
    if isinstance(_axis(spec, PATCHES, 1), int):
        return 0
    counts = [count for count in spec.token_budgets if count < tokens]
    if spec.token_budgets:
        return min(counts, key=lambda count: abs(count - tokens // 2), default=0)
    return tokens // 2


class _Recorder:
    """Feeds the float graphs in their order, each with what the ones before gave."""

    def __init__(self, bundle: Bundle, engine: Engine, like: Manifest) -> None:
        self.bundle, self.engine, self.like = bundle, engine, like
        self.pre: Preprocess = bundle.manifest.preprocess

    def samples(self) -> dict[str, tuple[Sample, ...]]:
        rng = np.random.default_rng(0)
        clips = [
            make_clip(index, Split.TEST, size=self.pre.size, frames=self.pre.frames)
            for index in range(len(QUERIES))
        ]
        captions = [caption_lesson(clip, "caption", rng).target for clip in clips]
        made = {X_ENCODER: self._run(X_ENCODER, self._windows([clip.frames for clip in clips]))}
        queries = [
            feeds_of(PREDICTOR, sample.outputs[0], *self._ids(PREDICTOR, QUERY_IDS, text))
            for sample, text in zip(made[X_ENCODER], QUERIES * len(made[X_ENCODER]))
        ]
        made[PREDICTOR] = self._run(PREDICTOR, queries)
        graphs = self.bundle.manifest.graphs
        if Y_ENCODER in graphs:
            texts = [feeds_of(Y_ENCODER, *self._ids(Y_ENCODER, IDS, text)) for text in captions]
            made[Y_ENCODER] = self._run(Y_ENCODER, texts)
        if PREFILL in graphs and STEP in graphs:
            made |= self._decoder(made[PREDICTOR][0].outputs[0], captions[0])
        return {name: tuple(group) for name, group in made.items() if name in self.like.graphs}

    def _run(self, name: str, feeds: Sequence[Mapping[str, Array]]) -> list[Sample]:
        graph = self.engine.load(self.bundle, name)
        return [Sample(feeds=each, outputs=_outputs(graph, each)) for each in feeds]

    def _windows(self, clips: Sequence[npt.NDArray[np.uint8]]) -> list[dict[str, Array]]:
        """A full window and one with half of its tokens, or one of each of the first budgets."""
        tokens = self.pre.tokens
        spec = self._spec(X_ENCODER)
        counts = spec.token_budgets[: len(clips)] or (tokens, max(1, tokens // 2))
        if isinstance(fixed := _axis(spec, PATCHES, 1), int):
            counts = (fixed,)
        feeds: list[dict[str, Array]] = []
        for frames, count in zip(clips, counts):
            patches, positions = clip_tokens(fit_frames(frames, self.pre), tokens=SalientTokens(count))
            feeds.append(feeds_of(X_ENCODER, patches[None], positions[None]))
        return feeds

    def _ids(self, role: str, name: str, text: str) -> tuple[Array, Array]:
        """Ids and mask of a text, as wide as the input of this name is."""
        tokenizer = self.bundle.tokenizer_for(role)
        width = _axis(self._spec(role), name, 1)
        return tokenizer.encode([text], lengths=(width,) if isinstance(width, int) else LENGTHS)

    def _decoder(self, embedding: Array, text: str) -> dict[str, list[Sample]]:
        """Teacher-forced: the float model's own caches, so that errors of one step do not hide those of the next."""
        prefill = self._run(PREFILL, [feeds_of(PREFILL, embedding)])
        step = self.engine.load(self.bundle, STEP)
        names = [spec.name for spec in self.bundle.graph(PREFILL).outputs]
        past = dict(zip(names[1:], prefill[0].outputs[1:]))
        ids, _ = self._ids(Y_DECODER, IDS, text)
        steps = []
        for index in range(STEPS):
            feeds = feeds_of(STEP, np.ascontiguousarray(ids[:, index : index + 1])) | past
            steps.append(Sample(feeds=feeds, outputs=_outputs(step, feeds)))
            past = dict(zip(past, steps[-1].outputs[1:]))
        return {PREFILL: prefill, STEP: steps}

    def _spec(self, name: str) -> GraphSpec:
        return self.like.graphs.get(name) or self.bundle.manifest.graphs.get(name) or GraphSpec(
            file=name, inputs=(), outputs=()
        )  # fmt: skip


def _outputs(graph: Graph, feeds: Mapping[str, Array]) -> tuple[Array, ...]:
    results = graph.run(feeds)
    return tuple(results[spec.name] for spec in graph.outputs)


def _axis(spec: GraphSpec, name: str, axis: int) -> int | str:
    """Size or symbol of one axis of an input; empty where there is no such input."""
    return next((tensor.shape[axis] for tensor in spec.inputs if tensor.name == name), "")
