"""Which clip leads from one state to the other? (WorldPrediction-WM; arXiv 2512.10942, 4.)"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from vljepa_data.annotations import Part, Segment, Transition, read_segment
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.task import MARGIN, TaskResult
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Clip, Preprocess

__all__ = ["states_clip", "transitions"]


def transitions(
    model: Evaluable,
    pre: Preprocess,
    part: Part,
    name: str,
    progress: Callable[[float, str], None],
    unreadable: list[str] | None,
) -> Iterator[TaskResult]:
    """Accuracy of the clip whose embedding is nearest to that of both states as one clip, in all and for each kind.

    Args:
        model: Encodes and predicts.
        pre: How pictures and clips are read.
        part: Pairs of states with their candidates.
        name: Of the report.
        progress: Called with the share done and what is being done.
        unreadable: Takes why a picture or clip cannot be read, whose item is then left out; None raises.

    Raises:
        SourceError: a file cannot be read and `unreadable` is None, or none can.
    """
    items, margins, chosen = list[Transition](), list[float](), list[str]()
    known: dict[Segment, Float32] = {}
    every = [item for item in part.items if isinstance(item, Transition)]
    for number, item in enumerate(every):
        progress(number / len(every), "transitions")
        try:
            scores = _scores(model, pre, item, part.prompt, known)
        except SourceError as error:
            if unreadable is None or len(unreadable) + 1 == len(every):
                raise
            unreadable.append(str(error))
            continue
        items.append(item)
        margins.append(float(scores[item.right] - np.delete(scores, item.right).max()))
        chosen.append(str(int(scores.argmax())))
    kinds = dict.fromkeys(item.kind for item in items)
    for kind in ("", *(kinds if len(kinds) > 1 else ())):
        picked = [number for number, item in enumerate(items) if not kind or item.kind == kind]
        found = np.array(margins)[picked]
        yield TaskResult.of(
            f"{name}/{kind}" if kind else name,
            "accuracy",
            {"accuracy": found > 0, MARGIN: found},
            chance=float(np.mean([1 / len(items[number].actions) for number in picked])),
            note=f"{len(picked)} pairs of states",
            chosen=tuple(chosen[number] for number in picked),
        )
    progress(1.0, "transitions")


def _scores(
    model: Evaluable, pre: Preprocess, item: Transition, prompt: str, known: dict[Segment, Float32]
) -> Float32:
    """Cosines of the candidates (A,) with both states; `known` keeps the embeddings of clips."""
    states = model.predict(model.encode(states_clip(item, pre)), prompt)
    for action in item.actions:
        if action not in known:
            known[action] = model.predict(model.encode(read_segment(action, pre)), prompt)
    return np.stack([known[action] for action in item.actions]) @ states


def states_clip(item: Transition, pre: Preprocess) -> Clip:
    """Both states as one clip: the first picture for the first half of its frames, the last for the rest."""
    before, after = read_segment(item.before, pre), read_segment(item.after, pre)
    half = pre.frames // 2
    return Clip(np.concatenate([before.frames[:half], after.frames[half:]]), pre)
