"""How far two models do the same for a user, on the same recorded footage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.gates.behaviour import STRIDE_S
from vljepa_evaluation.gates.usage import Usage
from vljepa_evaluation.metrics import f1_of_moments, row_cosines
from vljepa_runtime.errors import InputError

__all__ = ["UsageAgreement", "compare_usages"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageAgreement:
    """How far two models did the same; None where there is nothing to compare.

    Attributes:
        windows: Share of the windows that have the same times.
        pictures: 1 less the largest difference of a tubelet's mean colour: 0.99 are 2.5 of 255 levels.
        footage_worst: Smallest cosine of a window's embedding, over all prompts and at the token budget.
        questions_worst: Smallest cosine of the embedding of a question to a clip.
        texts_worst: Smallest cosine of a text's embedding.
        answers: Share of questions with the same best answer.
        segments: F1 of the segments' middles, matched within a stride.
        changes: F1 of the moments at which labels change to the same label.
        worded: Share of embeddings, the same for both, with exactly the same words.
        spoken: Share of windows and prompts with exactly the same words, each from its own embedding.
    """

    windows: float
    pictures: float
    footage_worst: float | None = None
    questions_worst: float | None = None
    texts_worst: float | None = None
    answers: float | None = None
    segments: float | None = None
    changes: float | None = None
    worded: float | None = None
    spoken: float | None = None

    @property
    def same_windows(self) -> bool:
        """Whether both were shown the same windows, so that anything else can be compared."""
        return self.footage_worst is not None

    def to_dict(self) -> dict[str, float]:
        """What was compared, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def compare_usages(reference: Usage, other: Usage) -> UsageAgreement:
    """Compare what two models did with the same footage.

    Raises:
        InputError: one of them has other embeddings, or lacks what the other has.

    Examples:
        >>> from vljepa_evaluation.gates import (
        ...     FloatUsage, Scenes, Usage, ask_all, compare_usages, draw_footage, record_usage
        ... )
        >>> from vljepa_runtime import load
        >>> model, footage, asked = load("tiny"), draw_footage()[:1], ask_all(["caption"])
        >>> usage: Usage = record_usage(model, footage, asked, Scenes())
        >>> recorded = FloatUsage(footage=footage, asked=asked, usage=usage)
        >>> compare_usages(usage, recorded.again(model, Scenes()))
        UsageAgreement(windows=1.0, pictures=1.0, footage_worst=..., answers=1.0, segments=1.0, ...)
    """
    windows = _same_times(reference.windows_s, other.windows_s)
    if windows < 1.0 or reference.pictures.shape != other.pictures.shape:
        return UsageAgreement(windows=windows, pictures=_likeness(reference.pictures, other.pictures))
    _check_alike(reference, other)
    return UsageAgreement(
        windows=windows,
        pictures=_likeness(reference.pictures, other.pictures),
        footage_worst=min(
            _worst(reference.embeddings, other.embeddings), _worst(reference.kept, other.kept, empty=1.0)
        ),
        questions_worst=_worst(reference.questions, other.questions),
        texts_worst=_worst(reference.texts, other.texts) if len(reference.texts) else None,
        answers=_share(reference.chosen, other.chosen),
        segments=f1_of_moments(reference.segments_s, other.segments_s, within_s=STRIDE_S),
        changes=_same_changes(reference, other) if len(reference.texts) else None,
        worded=_share(reference.worded, other.worded),
        spoken=_share(reference.spoken, other.spoken),
    )


def _check_alike(reference: Usage, other: Usage) -> None:
    mine, theirs = other.arrays(), reference.arrays()
    for name in ("embeddings", "kept", "questions", "chosen", "texts"):
        if mine[name].shape != theirs[name].shape:
            raise InputError(
                f"expected {name} {theirs[name].shape} as in the reference, got {mine[name].shape}: "
                "a graph is missing, or it belongs to another model"
            )
    for name in ("spoken", "worded"):
        if len(getattr(reference, name)) != len(getattr(other, name)):
            raise InputError(
                "expected words as in the reference, got none: the bundle has lost its Y-decoder"
            )


def _same_times(one: Array, two: Array) -> float:
    if one.shape != two.shape:
        return 0.0
    return float((np.abs(one - two) < 1e-6).all(axis=1).mean())


def _likeness(one: Array, two: Array) -> float:
    if one.shape != two.shape:
        return 0.0
    return 1.0 - float(np.abs(one.astype(np.int16) - two.astype(np.int16)).max()) / 255


def _worst(one: Array, two: Array, *, empty: float = -1.0) -> float:
    rows = [array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (one, two)]
    if not len(rows[0]):
        return empty
    cosines = row_cosines(rows[0], rows[1])
    return float(np.minimum(np.where(np.isfinite(cosines), cosines, -1.0), 1.0).min())


def _share(one: Sequence[Any] | Array, two: Sequence[Any] | Array) -> float | None:
    """How many are equal; None of none."""
    return float(np.mean([a == b for a, b in zip(one, two)])) if len(one) else None


def _same_changes(reference: Usage, other: Usage) -> float:
    """F1 of the changes to each label, weighed by how often it holds."""
    labels = sorted({*reference.changes, *other.changes})
    counts = [(*reference.changes, *other.changes).count(label) for label in labels]
    scores = [
        f1_of_moments(
            *(usage.changes_s[[label == each for each in usage.changes]] for usage in (reference, other)),
            within_s=STRIDE_S,
        )
        for label in labels
    ]
    return float(np.average(scores, weights=counts)) if labels else 1.0
