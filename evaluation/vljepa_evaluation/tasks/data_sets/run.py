"""Measure a model on a data set: a clip is read and encoded once, then asked all that any task wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vljepa_data.annotations import Contrast, DataSet, Example, Part, Segment
from vljepa_evaluation.tasks.data_sets.choosing import Choosing
from vljepa_evaluation.tasks.data_sets.contrasting import Contrasting
from vljepa_evaluation.tasks.data_sets.finding import TextToVideo, VideoToText
from vljepa_evaluation.tasks.data_sets.leading import transitions
from vljepa_evaluation.tasks.data_sets.shown import ClipTask, shown
from vljepa_evaluation.tasks.data_sets.watching import moments, streaming
from vljepa_evaluation.tasks.data_sets.wording import Captioning, OpenAnswers
from vljepa_evaluation.tasks.protocol import Evaluable, Float32, Scoring
from vljepa_evaluation.tasks.run import measure_tasks
from vljepa_evaluation.tasks.shown import own_address
from vljepa_evaluation.tasks.task import TaskResult
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Preprocess

__all__ = ["evaluate_data"]

Progress = Callable[[float, str], None]
GAP_S = 1.0
"""Seconds between what is seen and the action that is anticipated, as EPIC-Kitchens-100 asks it."""


def evaluate_data(
    model: Evaluable,
    pre: Preprocess,
    data_set: DataSet,
    *,
    progress: Progress = lambda share, what: None,
) -> Iterator[TaskResult]:
    """Measure a model on all parts of a data set.

    Args:
        model: Anything that encodes, predicts, embeds texts and, for captions and open answers, decodes.
        pre: How its clips are read.
        data_set: See `open_data`.
        progress: Called with the share done (0..1) and what is being done.

    Yields:
        Results named SET/PART, and SET/PART/KIND where questions are of several kinds; a task that fails says so in
        its `note`, as does one whose videos are partly missing.

    Raises:
        SourceError: a video cannot be read; of a published set, none can.

    Examples:
        >>> from vljepa_data.annotations import open_data
        >>> from vljepa_evaluation.tasks import evaluate_data
        >>> from vljepa_runtime import load
        >>> model = load("tiny")
        >>> for result in evaluate_data(model, model.preprocess, open_data("clips.csv")):
        ...     print(result.task, result.headline, result.main.value)
        own/labels accuracy 1.0
        own/retrieval recall_at_1 1.0
    """
    if getattr(model, "has_decoder", True) and not isinstance(model, Scoring):
        model = _Decoding(model, progress)
    opened = [(part, task) for part in data_set.parts for task in _clip_tasks(data_set, part, pre)]
    tasks = [task for _, task in opened]
    missing = {task.name: part for part, task in opened if part.missing}
    segments = list(dict.fromkeys(segment for task in tasks for segment in task.about))
    total = max(sum(task.wanted for task in tasks), 1)

    def report() -> None:
        left = sum(task.wanted for task in tasks)
        progress(1 - left / total, "clips" if left else "ranking")

    def address(number: int) -> str:
        return own_address(segments[number])

    bad: list[str] | None = [] if data_set.published else None
    clips = shown(segments, pre, bad)
    for result in measure_tasks(model, tasks, clips, report, address=address) if tasks else ():
        if bad and len(bad) == len(segments):
            raise SourceError(f"none of {len(segments)} clips of {data_set.name} can be read: {bad[0]}")
        yield _told(result, missing.get(result.task), bad)
    for part in data_set.parts:
        if part.task in LONG_TASKS:
            name = f"{data_set.name}/{part.name}"
            if isinstance(model, Scoring):
                yield TaskResult(task=name, note="cannot: it rates texts for one clip and embeds none")
                continue
            bad = [] if data_set.published else None
            for result in LONG_TASKS[part.task](model, pre, part, name, progress, bad):
                yield _told(result, part if part.missing else None, bad)


class _Decoding:
    """The same model, which tells how many texts it has made."""

    def __init__(self, model: Evaluable, progress: Progress) -> None:
        self.encode, self.predict, self.embed_text = model.encode, model.predict, model.embed_text
        self._model, self._progress, self._count = model, progress, 0

    def decode(self, embedding: Float32, /) -> str:
        """See `Evaluable.decode`."""
        self._count += 1
        self._progress(1.0, f"texts: {self._count}")
        return self._model.decode(embedding)


def _told(result: TaskResult, part: Part | None, bad: Sequence[str] | None) -> TaskResult:
    """A note of what was left out."""
    note = result.note
    if part is not None:
        note += f"; {part.missing} of {part.missing + len(part.items)} left out: not in the folder"
    if bad:
        note += f"; {len(bad)} files or clips could not be read: {bad[0]}"
    return replace(result, note=note)


def _clip_tasks(data_set: DataSet, part: Part, pre: Preprocess) -> Iterator[ClipTask]:
    """The tasks of a part: one for all examples, and one for each kind where there are several."""
    make = CLIP_TASKS.get(part.task)
    if make is None:
        return
    examples: list[Any] = [item for item in part.items if isinstance(item, Example | Contrast)]
    if part.task == "anticipation":
        examples = _before(examples, pre)
    kinds = dict.fromkeys(example.kind for example in examples)
    name = f"{data_set.name}/{part.name}"
    yield from make(name, examples, part.prompt, data_set)
    for kind in kinds if len(kinds) > 1 else ():
        chosen = [example for example in examples if example.kind == kind]
        yield from make(f"{name}/{kind or 'other'}", chosen, part.prompt, data_set)


def _choosing(name: str, examples: Sequence[Example], prompt: str, data: DataSet) -> Iterator[ClipTask]:
    texts = tuple(dict.fromkeys(example.text for example in examples))
    yield Choosing(name, examples, prompt, data.vocabulary, texts=texts)


def _before(examples: Sequence[Example], pre: Preprocess) -> list[Example]:
    """What is seen before an action begins: a window that ends `GAP_S` before it; none where the video is too young."""
    found, texts = [], tuple(dict.fromkeys(example.text for example in examples))
    for example in examples:
        end_s = example.segment.start_s - GAP_S
        if end_s >= 1 / pre.fps:
            segment = Segment(example.segment.path, max(0.0, end_s - pre.seconds), end_s)
            found.append(replace(example, segment=segment, candidates=example.candidates or texts))
    return found


def _anticipating(name: str, examples: Sequence[Example], prompt: str, data: DataSet) -> Iterator[ClipTask]:
    texts = tuple(dict.fromkeys(example.text for example in examples))
    yield Choosing(name, examples, prompt, data.vocabulary, texts=texts, by_class=True)


def _contrasting(name: str, contrasts: Sequence[Any], prompt: str, data: DataSet) -> Iterator[ClipTask]:
    yield Contrasting(name, contrasts, prompt)


def _finding(name: str, examples: Sequence[Example], prompt: str, data: DataSet) -> Iterator[ClipTask]:
    own = any(part.task == "labels" for part in data.parts)
    yield TextToVideo(name, examples, prompt, distinct=own)
    if not own:
        yield VideoToText(f"{name}/video-to-text", examples, prompt)


def _captioning(name: str, examples: Sequence[Example], prompt: str, data: DataSet) -> Iterator[ClipTask]:
    yield Captioning(name, examples, prompt)


def _open(name: str, examples: Sequence[Example], prompt: str, data: DataSet) -> Iterator[ClipTask]:
    yield OpenAnswers(name, examples, prompt)


CLIP_TASKS: Mapping[str, Callable[[str, Sequence[Any], str, DataSet], Iterator[ClipTask]]] = {
    "labels": _choosing,
    "classification": _choosing,
    "anticipation": _anticipating,
    "vqa": _choosing,
    "retrieval": _finding,
    "captioning": _captioning,
    "open-vqa": _open,
    "contrasts": _contrasting,
}
"""What measures each task of `TASK_PROMPTS` that asks about clips one by one."""

LONG_TASKS: Mapping[str, Callable[..., Iterator[TaskResult]]] = {
    "moments": moments,
    "streaming": streaming,
    "transitions": transitions,
}
"""What measures those that look at whole videos, or at several clips for one question."""
