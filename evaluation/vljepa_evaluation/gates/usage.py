"""What users do with a model, done on recorded footage: sessions, budgets, questions, labels, words to their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from vljepa_data.world import PROMPTS
from vljepa_evaluation.gates.asked import Asked
from vljepa_evaluation.gates.behaviour import STRIDE_S, Scenes
from vljepa_evaluation.gates.footage import Footage, footage_windows
from vljepa_evaluation.tasks.protocol import Float32
from vljepa_runtime.contract import Y_ENCODER
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.files import AtMost
from vljepa_runtime.model import Model
from vljepa_runtime.preprocessing import Clip, SalientTokens, patchify
from vljepa_runtime.selection import EveryWindow, OnlineSelection

__all__ = ["FloatUsage", "Usage", "record_usage"]

APART_S = 10_000.0  # between pieces of footage, so that moments of one never meet those of another
AXES = {"windows_s": 2, "pictures": 3, "embeddings": 3, "kept": 2, "questions": 2, "chosen": 1, "texts": 2,
        "segments_s": 1, "changes_s": 1}  # fmt: skip
Array = npt.NDArray[Any]
Words = Annotated[tuple[str, ...], AtMost(1 << 16)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Usage:
    """What a model did. What needs a Y-encoder or a Y-decoder is empty where there is none.

    Attributes:
        windows_s: (W, 2) start and end of every window.
        pictures: (W + F, N, 3) uint8, mean colour of each tubelet: of the windows, and of F clips as a whole.
        embeddings: (W, P, S), each window asked each prompt.
        kept: (W, S), asked the first prompt at the token budget; (0, S) without one.
        questions: (F x Q, S), each clip asked each question.
        chosen: (F x Q,) number of the best answer.
        texts: (M, S), the embedded texts.
        segments_s: (D,) middles of the segments that selective decoding gives.
        changes_s: (C,) when another label holds.
        changes: (C,) which label holds then.
        spoken: (W x P) words for each window and prompt.
        worded: (W x P) words for the float model's embeddings of the same.
    """

    windows_s: Array
    pictures: Array
    embeddings: Array
    kept: Array
    questions: Array
    chosen: Array
    texts: Array
    segments_s: Array
    changes_s: Array
    changes: Words = ()
    spoken: Words = ()
    worded: Words = ()

    def __post_init__(self) -> None:
        shapes = {name: array.shape for name, array in self.arrays().items()}
        if wrong := [name for name, count in AXES.items() if len(shapes[name]) != count]:
            raise InputError(
                f"expected {wrong[0]} of {AXES[wrong[0]]} axes, got the shape {shapes[wrong[0]]}"
            )
        if self.windows_s.shape[1:] != (2,) or len(self.windows_s) != len(self.embeddings):
            raise InputError(
                f"expected the embeddings of {shapes['windows_s']} windows, got {shapes['embeddings']}"
            )
        if len(self.changes) != len(self.changes_s):
            raise InputError(f"expected {len(self.changes_s)} labels, got {len(self.changes)}")

    def arrays(self) -> dict[str, Array]:
        """What is no text, by name."""
        return {
            item.name: value
            for item in fields(self)
            if not isinstance(value := getattr(self, item.name), tuple)
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatUsage:
    """What the float model was shown and asked, and what it did."""

    footage: tuple[Footage, ...]
    asked: Asked
    usage: Usage

    def again(self, model: Model, scenes: Scenes) -> Usage:
        """What another model does with the same."""
        return record_usage(model, self.footage, self.asked, scenes, embeddings=self.usage.embeddings)


def record_usage(
    model: Model,
    footage: Sequence[Footage],
    asked: Asked,
    scenes: Scenes,
    *,
    embeddings: Array | None = None,
) -> Usage:
    """Do with a model what users do.

    Args:
        model: On any engine.
        footage: What it is shown.
        asked: What it is asked.
        scenes: With which thresholds segments are found.
        embeddings: (W, P, S) of the float model, which are put into words too; None takes the model's own.

    Raises:
        InputError: the bundle lacks a prompt that it had.

    Examples:
        >>> from vljepa_evaluation.gates import Scenes, ask_all, draw_footage, record_usage
        >>> from vljepa_runtime import load
        >>> model = load("tiny")
        >>> usage = record_usage(model, draw_footage()[:1], ask_all(["caption"]), Scenes())
        >>> usage.windows_s[0].tolist(), usage.embeddings.shape, usage.spoken[0]
        ([0.083, 2.083], (13, 1, 256), 'a ...')
    """
    if missing := [task for task in asked.tasks if task not in model.prompts]:
        raise InputError(f"expected a prompt for {', '.join(missing)}, the manifest has none")
    user = _User(model, footage, asked)
    windows_s, found, spoken = user.every_window()
    given = found if embeddings is None else embeddings
    questions, chosen = user.questions()
    changes_s, changes = user.changes()
    return Usage(
        windows_s=windows_s,
        pictures=user.pictures(),
        embeddings=found,
        kept=user.kept(),
        questions=questions,
        chosen=chosen,
        texts=user.texts(),
        segments_s=user.segments_s(scenes),
        changes_s=changes_s,
        changes=changes,
        spoken=spoken,
        worded=user.words(given),
    )


class _User:
    """Asks one model; embeddings are kept as float16, which costs a cosine less than 1e-6."""

    def __init__(self, model: Model, footage: Sequence[Footage], asked: Asked) -> None:
        self.model, self.footage, self.asked = model, footage, asked
        self.prompts = [model.prompts[task] for task in asked.tasks] or [PROMPTS["caption"]]
        self.clips: list[Clip] = [model.read_clip(each.source()) for each in footage]
        self.has_texts = Y_ENCODER in model.bundle.manifest.graphs

    def every_window(self) -> tuple[Array, Array, tuple[str, ...]]:
        """Times, embeddings and words of all windows, each asked every prompt in one session."""
        queries = list(dict.fromkeys(self.prompts))
        decode = "always" if self.model.has_decoder else "never"  # of what is unknown, too
        places = [queries.index(prompt) for prompt in self.prompts]
        told = self._told(query=queries, select=EveryWindow(), embeddings=True, decode=decode)
        times = np.array([(event.start_s, event.end_s) for event in told[:: len(queries)]])
        found = _rows(told, self.model).reshape(len(times), len(queries), -1)[:, places]
        words = np.array([event.text for event in told], object).reshape(len(times), -1)[:, places]
        return times, found, tuple(words.ravel()) if self.model.has_decoder else ()

    def kept(self) -> Array:
        """Embeddings of all windows at the token budget."""
        if not self.asked.keep:
            return np.empty((0, self.model.embedding_dim), np.float16)
        options = {"query": self.prompts[0], "tokens": SalientTokens(self.asked.keep)}
        return _rows(self._told(select=EveryWindow(), decode="never", embeddings=True, **options), self.model)

    def segments_s(self, scenes: Scenes) -> Array:
        """Middles of the segments that selective decoding finds."""
        policy = OnlineSelection(
            threshold=scenes.threshold, agree=scenes.agree, agree_clear=scenes.agree_clear
        )
        told = self._told(query=self.prompts[0], select=policy, decode="never")
        return np.array([(event.start_s + event.end_s) / 2 for event in told])

    def changes(self) -> tuple[Array, tuple[str, ...]]:
        """When another label holds, and which."""
        told = self._told(labels=self.asked.labels) if self.has_texts else []
        return np.array([event.start_s for event in told], np.float64), tuple(event.text for event in told)

    def questions(self) -> tuple[Array, Array]:
        """Every question asked of every clip as a whole, and the best of its answers."""
        rows: list[Float32] = []
        best: list[int] = []
        for visual in map(self.model.encode, self.clips):
            for asking in self.asked.askings:
                answers = self.model.embed_text(asking.answers) if self.has_texts else None
                for question in asking.questions:
                    rows.append(self.model.predict(visual, question))
                    if answers is not None:
                        best.append(int((answers @ rows[-1]).argmax()))
        return np.stack(rows).astype(np.float16), np.array(best, np.int32)

    def texts(self) -> Array:
        """Embeddings of all texts."""
        if not self.has_texts:
            return np.empty((0, self.model.embedding_dim), np.float16)
        return self.model.embed_text(self.asked.texts).astype(np.float16)

    def words(self, embeddings: Array) -> tuple[str, ...]:
        """What embeddings (..., S) are decoded into."""
        if not self.model.has_decoder:
            return ()
        rows = embeddings.reshape(-1, embeddings.shape[-1]).astype(np.float32)
        return tuple(map(self.model.decode, rows))

    def pictures(self) -> Array:
        """Mean colours of the tubelets of all windows, then of the clips."""
        pre = self.model.preprocess
        windows = [each.clip for part in self.footage for each in footage_windows(part, pre, STRIDE_S)]
        return np.stack([_colours(clip) for clip in [*windows, *self.clips]])

    def _told(self, **options: Any) -> list[Event]:
        """The events of a session over each piece of footage."""
        told: list[Event] = []
        for index, each in enumerate(self.footage):
            with self.model.session(stride_s=STRIDE_S, **options) as session:
                events = [
                    event for event in session.run(each.source()) if event.kind in ("segment", "answer")
                ]
            told += [_later(event, index * APART_S) for event in events]
        return told


def _later(event: Event, by_s: float) -> Event:
    return replace(event, start_s=event.start_s + by_s, end_s=event.end_s + by_s)


def _rows(told: Sequence[Event], model: Model) -> Array:
    """Embeddings (E, S) of events."""
    rows = np.array([event.embedding for event in told], np.float16)
    return rows.reshape(-1, model.embedding_dim)


def _colours(clip: Clip) -> Array:
    """(N, 3) uint8."""
    patches, _ = patchify(clip)
    return np.asarray(patches.reshape(len(patches), -1, 3).mean(axis=1).round(), np.uint8)
