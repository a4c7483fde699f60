"""What the float model gave: inputs and outputs per graph, and its behaviour. A bundle carries it as one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from vljepa_data.world import PROMPTS, Split, caption_lesson, make_clip
from vljepa_evaluation.gates.behaviour import Behaviour, Progress, Scenes, record_behaviour
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
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files import AtMost, parse_json, plain, read_record
from vljepa_runtime.files.tensors import pack, unpack
from vljepa_runtime.files.values import Name, shown
from vljepa_runtime.model import Model
from vljepa_runtime.preprocessing import Preprocess, clip_tokens, fit_frames
from vljepa_runtime.tokenizer import LENGTHS

__all__ = ["REFERENCE_FILE", "Reference", "Sample", "record_reference"]

REFERENCE_FILE = "reference.safetensors"
MAX_BYTES = 1 << 30  # read as a whole; a model of 2,048 tokens and 8 layers of cache records some 100 MB
MAX_CALLS = 1 << 16  # of a graph, read; of more than the next, the first are run
MAX_SAMPLES = 64  # per graph, each of which is run; an export records two
QUERIES = (PROMPTS["caption"], PROMPTS["classify"])
STEPS = 2
BEHAVIOUR = ("embeddings", "ranks", "labels", "triggers_s")
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One call of a graph: inputs by name, and the float model's outputs in order."""

    feeds: Mapping[str, Array]
    outputs: tuple[Array, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What to compare with.

    Attributes:
        samples: Per graph its inputs, and what the float model gave for them.
        scenes: What was shown; None when only graphs were recorded.
        behaviour: What the float model did with them.
    """

    samples: Mapping[str, tuple[Sample, ...]]
    scenes: Scenes | None = None
    behaviour: Behaviour | None = None

    def to_bytes(self) -> bytes:
        """One file; an array that is one graph's output and another's input is stored once."""
        store, seen = _Store(), None
        samples = {name: tuple(map(store.call, group)) for name, group in self.samples.items()}
        if self.scenes is not None and self.behaviour is not None:
            arrays = {name: store.add(getattr(self.behaviour, name)) for name in BEHAVIOUR}
            seen = _Seen(checksum=self.behaviour.checksum, **arrays)
        contents = _Contents(samples=samples, scenes=self.scenes if seen else None, behaviour=seen)
        texts = {name: json.dumps(value) for name, value in plain(contents).items() if value is not None}
        return pack(store.arrays, texts)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = REFERENCE_FILE) -> Reference:
        """Read what `to_bytes` wrote.

        Raises:
            BundleError: it is something else.
        """
        try:
            arrays, metadata = unpack(data)
        except ValueError as error:
            raise BundleError(
                f"{where} holds no readable tensors ({str(error)[:200]}): download or export the bundle again"
            ) from error
        try:
            found = {name: parse_json(text) for name, text in metadata.items()}
            contents = read_record(_Contents, found, "reference", error=InputError)
            samples = {
                name: tuple(call.sample(arrays) for call in group[:MAX_SAMPLES])
                for name, group in contents.samples.items()
            }
            behaviour = contents.behaviour.behaviour(arrays) if contents.behaviour else None
        except (ValueError, KeyError) as error:
            raise BundleError(
                f"{where} is not a reference of this version ({shown(str(error))}): export the bundle again"
            ) from error
        return cls(samples=samples, scenes=contents.scenes, behaviour=behaviour)

    @classmethod
    def of(cls, bundle: Bundle) -> Reference:
        """The reference that a bundle carries.

        Raises:
            BundleError: it carries none, or something else.
        """
        if REFERENCE_FILE not in bundle.manifest.files:
            raise BundleError(
                f"{bundle.name} carries no {REFERENCE_FILE}: export it again, or compare it with its fp32 bundle "
                "(vljepa verify BUNDLE --against FP32_BUNDLE)"
            )
        size = bundle.manifest.files[REFERENCE_FILE].size
        if size > MAX_BYTES:
            raise BundleError(
                f"{REFERENCE_FILE}: expected at most {MAX_BYTES} bytes, got {size}: export it again"
            )
        return cls.from_bytes(bundle.read(REFERENCE_FILE))


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
    behaviour = record_behaviour(Model(bundle, engine), bundle.manifest.preprocess, scenes, progress)
    return Reference(samples=samples, scenes=scenes, behaviour=behaviour)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Names of the arrays of a sample."""

    feeds: Mapping[Name, Name]
    outputs: tuple[Name, ...]

    def sample(self, arrays: Mapping[str, Array]) -> Sample:
        return Sample(
            feeds={key: arrays[name] for key, name in self.feeds.items()},
            outputs=tuple(arrays[name] for name in self.outputs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Names of the arrays of a behaviour."""

    embeddings: Name
    ranks: Name
    labels: Name
    triggers_s: Name
    checksum: int

    def behaviour(self, arrays: Mapping[str, Array]) -> Behaviour:
        seen: dict[str, Any] = {name: arrays[getattr(self, name)] for name in BEHAVIOUR}
        return Behaviour(checksum=self.checksum, **seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """The texts of a reference, which say what its arrays are."""

    samples: Mapping[Name, Annotated[tuple[_Call, ...], AtMost(MAX_CALLS)]]
    scenes: Scenes | None = None
    behaviour: _Seen | None = None

    def __post_init__(self) -> None:
        if (self.scenes is None) != (self.behaviour is None):
            raise InputError("expected scenes and behaviour together, got one of them")


class _Store:
    """Arrays by a short name, each content once."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def call(self, sample: Sample) -> _Call:
        """Take in what a sample holds."""
        feeds = {key: self.add(value) for key, value in sample.feeds.items()}
        return _Call(feeds=feeds, outputs=tuple(map(self.add, sample.outputs)))

    def add(self, array: Array) -> str:
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = f"t{len(self._names)}"
            self.arrays[self._names[key]] = array
        return self._names[key]


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
            patches, positions = clip_tokens(fit_frames(frames, self.pre), keep=count)
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
