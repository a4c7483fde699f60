"""Long held-out streams as sequences of embeddings, kept on disk so that a stopped run goes on where it was."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_data.world import PROMPTS, EventStream, HandBank, Split, hand_caption, make_stream, paraphrases
from vljepa_evaluation.metrics import Annotation
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import replace_file
from vljepa_runtime.preprocessing import Preprocess, Window, WindowSampler
from vljepa_runtime.selection import Observation, observe
from vljepa_runtime.sources import Frame, open_file

__all__ = ["FIRST_STREAM", "FIRST_TUNING", "Recording", "StreamPlan", "record", "record_video", "windows_of"]

FIRST_STREAM = 5_000
"""Seeds of measured streams start here."""
FIRST_TUNING = 4_000
"""Seeds of streams on which settings are chosen start here."""
SEPARATOR = "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """How streams are made and looked at.

    Attributes:
        minutes: Length of a stream.
        stride_s: Seconds between windows.
        size: Side of the rendered frames.
        fps: Rendered frames per second.
        query: What every window is asked.
    """

    minutes: float = 5.0
    stride_s: float = 0.5
    size: int = 96
    fps: float = 8.0
    query: str = PROMPTS["caption"]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a model saw in one stream, beside the truth.

    Attributes:
        embeddings: (T, S) float32, one per window.
        windows_s: (T, 2) start and end of each window.
        events_s: (E, 2) start and end of each annotation.
        references: All wordings of each annotation, the canonical one first.
    """

    embeddings: Float32
    windows_s: npt.NDArray[np.float64]
    events_s: npt.NDArray[np.float64]
    references: tuple[tuple[str, ...], ...]

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """What happened when."""
        pairs = zip(self.events_s.tolist(), self.references)
        return tuple(Annotation(start_s=s, end_s=e, captions=texts) for (s, e), texts in pairs)

    @property
    def duration_s(self) -> float:
        """Length of the stream, counting one stride for every window."""
        times_s = self.windows_s.mean(axis=1)
        count = len(times_s)
        return float(times_s[-1] - times_s[0]) * count / (count - 1) if count > 1 else self.window_s

    @property
    def window_s(self) -> float:
        """Length of a window."""
        return float(np.median(self.windows_s[:, 1] - self.windows_s[:, 0]))

    def observations(self) -> Iterator[Observation]:
        """The windows as a selection policy takes them."""
        return observe(self.embeddings, self.windows_s.mean(axis=1), window_s=self.window_s)

    def save(self, path: Path) -> None:
        """Write an `.npz`, under a temporary name first."""
        texts = np.array([SEPARATOR.join(group) for group in self.references])
        replace_file(
            path,
            lambda file: np.savez(
                file,
                embeddings=self.embeddings,
                windows_s=self.windows_s,
                events_s=self.events_s,
                references=texts,
            ),
        )

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as held:
            texts = tuple(tuple(str(group).split(SEPARATOR)) for group in held["references"])
            return cls(held["embeddings"], held["windows_s"], held["events_s"], texts)


def record(
    model: Evaluable,
    seed: int,
    plan: StreamPlan,
    pre: Preprocess,
    *,
    hands: HandBank | None = None,
    cache: Path | None = None,
    model_key: str = "",
) -> Recording:
    """Embed every window of one stream.

    Args:
        model: Encodes and predicts.
        seed: Decides all that happens in the stream.
        plan: Length, stride and rendering.
        pre: Cuts the windows, as the model wants them.
        hands: Photographs for occasional hand signs.
        cache: Folder for recordings; one already there is read instead.
        model_key: Names the model's weights in the cache, so that models are never mixed up.
    """
    kind = f"{seed}-{plan.minutes:g}min-{plan.stride_s:g}s{'-hands' if hands else ''}"
    path = cache / f"{model_key or 'model'}-{kind}.npz" if cache else None
    if path is not None and path.is_file():
        try:
            return Recording.load(path)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            path.unlink()  # damaged: make it again
    stream = make_stream(seed, Split.TEST, minutes=plan.minutes, size=plan.size, fps=plan.fps, hands=hands)
    embeddings, times = [], []
    for window in windows_of(stream, pre, plan.stride_s):
        embeddings.append(model.predict(model.encode(window.clip), plan.query))
        times.append((window.start_s, window.end_s))
    events_s = np.array([(event.start_s, event.end_s) for event in stream.events])
    recording = Recording(np.stack(embeddings), np.array(times), events_s, references_of(stream))
    if path is not None:
        recording.save(path)
    return recording


def record_video(
    model: Evaluable, path: Path, annotations: Sequence[Annotation], plan: StreamPlan, pre: Preprocess
) -> Recording:
    """Embed every window of an annotated video.

    Args:
        model: Encodes and predicts.
        path: The video.
        annotations: What happens when.
        plan: Stride and query.
        pre: Cuts the windows, as the model wants them.

    Raises:
        SourceError: it cannot be read.
        InputError: it has no window, or nothing is said of it.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_evaluation.metrics import Annotation
        >>> from vljepa_evaluation.tasks import StreamPlan, record_video
        >>> from vljepa_runtime import load
        >>> model, jumps = load("tiny"), Annotation(start_s=0, end_s=2, captions=("a box jumps",))
        >>> record_video(model, Path("clip.mp4"), [jumps], StreamPlan(), model.preprocess).references
        (('a box jumps',),)
    """
    sampler, embeddings, times = WindowSampler(pre, plan.stride_s), [], []
    with open_file(path) as source:
        pushed = (window for frame in source if isinstance(frame, Frame) for window in sampler.push(frame))
        for window in (*pushed, *sampler.flush()):
            embeddings.append(model.predict(model.encode(window.clip), plan.query))
            times.append((window.start_s, window.end_s))
    if not embeddings or not annotations:
        raise InputError(
            f"expected windows and annotations of {path}, got {len(embeddings)} and {len(annotations)}"
        )
    events_s = np.array([(each.start_s, each.end_s) for each in annotations])
    return Recording(
        np.stack(embeddings), np.array(times), events_s, tuple(each.captions for each in annotations)
    )


def windows_of(stream: EventStream, pre: Preprocess, stride_s: float) -> Iterator[Window]:
    """The windows that the runtime would cut from a stream."""
    sampler = WindowSampler(pre, stride_s)
    for index, image in enumerate(stream):
        yield from sampler.push(Frame(image=image, time_s=index / stream.fps, index=index))
    yield from sampler.flush()


def references_of(stream: EventStream) -> tuple[tuple[str, ...], ...]:
    """All wordings of each annotation."""
    return tuple(
        paraphrases([act.event], "caption")
        if act.event
        else (hand_caption([act.hand.digit if act.hand else 0]),)
        for act in stream.acts
    )
