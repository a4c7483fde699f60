"""What belongs together in time: outputs and the annotations they are scored with, moments and other moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics.intervals import Estimate, mean_of
from vljepa_runtime.errors import InputError

__all__ = ["Annotation", "alike_moments", "f1_of_moments", "interval_iou", "match_annotations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What happened from when to when; several captions when there are paraphrases."""

    start_s: float
    end_s: float
    captions: tuple[str, ...]


def match_annotations(
    times_s: npt.NDArray[np.floating], annotations: Sequence[Annotation]
) -> npt.NDArray[np.int64]:
    """For each annotation the output nearest in time.

    The distance to an interval is 0 inside it; among outputs at the same distance the one nearest to the
    interval's middle counts, then the earlier.

    Args:
        times_s: (N,) times of the decoded outputs.
        annotations: (A,) spans of time.

    Returns:
        (A,) int64 indices of outputs.

    Raises:
        InputError: no outputs.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import Annotation, match_annotations
        >>> rolls = Annotation(start_s=0, end_s=2, captions=("a ball rolls", "a ball is rolling"))
        >>> jumps = Annotation(start_s=2, end_s=9, captions=("a box jumps",))
        >>> match_annotations(np.array([0.2, 1.1, 4.0]), [rolls, jumps])
        array([1, 2])
    """
    if not len(times_s):
        raise InputError("expected at least one decoded output to match annotations with")
    starts = np.array([annotation.start_s for annotation in annotations])[:, None]
    ends = np.array([annotation.end_s for annotation in annotations])[:, None]
    outside = np.maximum(np.maximum(starts - times_s, times_s - ends), 0.0)
    off_middle = np.abs(times_s - (starts + ends) / 2)
    return np.asarray(np.lexsort((off_middle, outside), axis=1)[:, 0], np.int64)


def interval_iou(spans: npt.NDArray[np.floating], truth: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Intersection over union of spans of time (N, 2) with one (start, end): (N,) float64.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import interval_iou
        >>> interval_iou(np.array([[0.0, 4.0], [2.0, 6.0], [8.0, 9.0]]), (0.0, 4.0)).round(2)
        array([1.  , 0.33, 0.  ])
    """
    shared = np.minimum(spans[:, 1], truth[1]) - np.maximum(spans[:, 0], truth[0])
    union = np.maximum(spans[:, 1], truth[1]) - np.minimum(spans[:, 0], truth[0])
    return np.asarray(np.maximum(shared, 0.0) / np.maximum(union, 1e-12), np.float64)


def f1_of_moments(
    reference: npt.NDArray[np.floating], other: npt.NDArray[np.floating], *, within_s: float
) -> float:
    """F1 of moments (N,) and (M,) matched in order, each once, up to so far apart; 1.0 when neither has any.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import f1_of_moments
        >>> round(f1_of_moments(np.array([1.0, 5.0]), np.array([1.2, 3.0, 5.1]), within_s=0.5), 2)
        0.8
    """
    if not len(reference) and not len(other):
        return 1.0
    matched = first = 0
    for moment in reference:
        while first < len(other) and other[first] < moment - within_s - 1e-6:
            first += 1
        if first < len(other) and abs(other[first] - moment) <= within_s + 1e-6:
            matched, first = matched + 1, first + 1
    return 2 * matched / (len(reference) + len(other))


def alike_moments(
    ours: Sequence[npt.NDArray[np.floating]], theirs: Sequence[npt.NDArray[np.floating]], *, within_s: float
) -> Estimate:
    """Share of all moments, of both sides, that the other side has too: when two models begin their segments.

    Args:
        ours: Moments (N,) in seconds of one model, an array for each stream.
        theirs: Those of another on the same streams.
        within_s: How far apart two moments may be that are one.

    Returns:
        The share, with an interval over streams; 1.0 where neither side has any moment.

    Raises:
        InputError: the streams are not as many.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import alike_moments
        >>> first, second = np.array([0.0, 4.0, 9.0]), np.array([0.0, 5.0, 9.0])
        >>> alike_moments([first], [second], within_s=0.01).value
        0.66...
        >>> alike_moments([first], [second], within_s=1.0).value
        1.0
    """
    if len(ours) != len(theirs) or not ours:
        raise InputError(f"expected moments of the same streams, got {len(ours)} and {len(theirs)}")
    found, groups = list[bool](), list[int]()
    for number, (mine, other) in enumerate(zip(ours, theirs)):
        apart = np.abs(np.asarray(mine)[:, None] - np.asarray(other)[None])
        near = [apart.min(axis=axis, initial=np.inf) <= within_s for axis in (1, 0)]
        found += np.concatenate(near).tolist()
        groups += [number] * sum(apart.shape)
    if not found:
        return mean_of([1.0] * len(ours))
    return mean_of(found, groups=groups)
