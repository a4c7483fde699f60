"""What a model does with scenes of the procedural world: embeddings, rankings, labels, moments of decoding."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from vljepa_data.world import PROMPTS, Clip, Split, brief_captions, caption, make_clip, make_stream, near_miss
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.streams import FIRST_STREAM, windows_of
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import AtMost, check_record
from vljepa_runtime.files.values import Positive, PositiveNumber
from vljepa_runtime.preprocessing import Preprocess
from vljepa_runtime.selection import THRESHOLD, OnlineSelection, observe, run_policy

__all__ = ["STRIDE_S", "Behaviour", "Scenes", "record_behaviour"]

NEGATIVES = 15
"""Captions per clip that differ from the truth in one attribute."""
LABELS = 64
STRIDE_S = 0.5
MAX_CLIPS, MAX_SECONDS = 512, 3600.0  # every one is rendered and run
Progress = Callable[[float], None]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """Which scenes are shown; the same numbers give the same pictures.

    Attributes:
        clips: Short clips with one event each.
        seconds: Length of the stream on which the moments of decoding are compared.
        seed: Of the first clip; each later clip has the next one. It chooses the stream too.
        threshold: Cosine distance that opens a change in `OnlineSelection`; kept here, as the next two, because its
            defaults may change while a reference stays.
        agree: Cosine distance within which two windows in a row mean the same to it.
        agree_clear: The same for windows that show nothing of what was before.
    """

    clips: Annotated[Positive, AtMost(MAX_CLIPS)] = 24
    seconds: PositiveNumber = 60.0
    seed: Annotated[int, AtMost(2**31 - 1)] = 90_000
    threshold: float = THRESHOLD
    agree: float = OnlineSelection().agree
    agree_clear: float = OnlineSelection().agree_clear

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        if self.seconds > MAX_SECONDS:
            raise InputError(f"expected a stream of at most {MAX_SECONDS} s, got {self.seconds}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Behaviour:
    """What a model did.

    Attributes:
        checksum: Of all pixels shown, so that models that saw different pictures are never compared.
        embeddings: (K, S), one per clip, asked for a caption.
        ranks: (K, C), per clip the candidate captions, best first: the truth and hard negatives.
        labels: (K,), index of the best label per clip.
        triggers_s: (D,), the moments at which selective decoding would decode the stream.
    """

    checksum: int
    embeddings: Float32
    ranks: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    triggers_s: Float64

    def __post_init__(self) -> None:
        axes = {"embeddings": 2, "ranks": 2, "labels": 1, "triggers_s": 1}
        shapes = {name: np.shape(getattr(self, name)) for name in axes}
        if any(len(shapes[name]) != count for name, count in axes.items()):
            raise InputError(f"expected a behaviour of {axes} axes, got the shapes {shapes}")
        if len({shapes[name][0] for name in ("embeddings", "ranks", "labels")}) != 1:
            raise InputError(
                f"expected one embedding, ranking and label for each clip, got the shapes {shapes}"
            )
        if not 0 <= self.checksum < 2**32:
            raise InputError(f"expected a checksum of 32 bits, got {self.checksum!r}")


def record_behaviour(
    model: Evaluable, pre: Preprocess, scenes: Scenes, progress: Progress | None = None
) -> Behaviour:
    """Show a model all scenes.

    Args:
        model: Encodes, predicts and embeds texts.
        pre: How the model's windows are cut.
        scenes: Which clips and which stream the model is shown.
        progress: Called with the share done, 0..1.

    Examples:
        >>> from vljepa_evaluation.gates import Scenes, record_behaviour
        >>> from vljepa_runtime import load
        >>> model = load("tiny")
        >>> seen = record_behaviour(model, model.preprocess, Scenes(clips=2, seconds=4))
        >>> seen
        Behaviour(checksum=..., embeddings=array(...), ranks=array(...), labels=array(...), triggers_s=array(...))
        >>> seen.embeddings.shape
        (2, 256)
    """
    report = progress or (lambda share: None)
    labels = _labels()
    checksum = 0
    embeddings, ranks, best = [], [], []
    label_rows = model.embed_text(labels)
    for index, clip in enumerate(_clips(scenes, pre)):
        checksum = zlib.crc32(clip.frames.tobytes(), checksum)
        visual = model.encode(clip.frames)
        embedding = model.predict(visual, PROMPTS["caption"])
        embeddings.append(embedding)
        ranks.append(np.argsort(-(model.embed_text(_candidates(clip, index)) @ embedding), kind="stable"))
        best.append(int((label_rows @ model.predict(visual, PROMPTS["classify"])).argmax()))
        report(0.5 * (index + 1) / scenes.clips)
    triggers_s, checksum = _triggers(model, pre, scenes, checksum, report)
    return Behaviour(
        checksum=checksum,
        embeddings=np.stack(embeddings),
        ranks=np.stack(ranks).astype(np.int32),
        labels=np.array(best, np.int32),
        triggers_s=triggers_s,
    )


def _clips(scenes: Scenes, pre: Preprocess) -> Iterator[Clip]:
    for index in range(scenes.clips):
        yield make_clip(scenes.seed + index, Split.TEST, kind="single", size=pre.size, frames=pre.frames)


def _candidates(clip: Clip, index: int) -> list[str]:
    """The clip's caption, then captions of events that differ from its own in one attribute."""
    rng = np.random.default_rng([11, index])
    event = clip.events[0]
    texts = [caption([event], "caption")]
    while len(texts) <= NEGATIVES:
        text = caption([near_miss(event, rng)], "caption")
        if text not in texts:
            texts.append(text)
    return texts


def _labels() -> list[str]:
    every = brief_captions()
    return [every[index] for index in np.random.default_rng(12).permutation(len(every))[:LABELS]]


def _triggers(
    model: Evaluable, pre: Preprocess, scenes: Scenes, checksum: int, report: Progress
) -> tuple[Float64, int]:
    stream = make_stream(FIRST_STREAM + scenes.seed, Split.TEST, minutes=scenes.seconds / 60, size=pre.size)
    rows, times = [], []
    for window in windows_of(stream, pre, STRIDE_S):
        checksum = zlib.crc32(window.clip.frames.tobytes(), checksum)
        rows.append(model.predict(model.encode(window.clip), PROMPTS["caption"]))
        times.append((window.start_s + window.end_s) / 2)
        report(0.5 + 0.5 * min(1.0, window.end_s / scenes.seconds))
    seen = observe(np.stack(rows), np.array(times), window_s=pre.seconds)
    policy = OnlineSelection(threshold=scenes.threshold, agree=scenes.agree, agree_clear=scenes.agree_clear)
    decisions = run_policy(policy, seen)
    return np.array([decision.time_s for decision in decisions], np.float64), checksum
