"""How far a candidate answers otherwise than the most exact one, on the same windows.

Accuracy needs the truth, which a recording does not hold. But whoever gives the same answers is right as often, so the
share of windows with another answer is the most that accuracy can have lost there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import mean_of, row_cosines

__all__ = ["AS_GOOD", "ExactAnswers", "Lost", "stored_loss"]

Float32 = npt.NDArray[np.float32]
AS_GOOD = 0.02
"""Cosine by which two answers may differ in the most exact candidate's own eyes and still be equally good: what
`OnlineSelection.agree` calls the same meaning. Windows that show the end of one event and the begin of the next lie
between both, and every rounding decides otherwise: of one minute of the procedural world `--tokens static` answered
3.9 % of the windows otherwise, 0.4 % by this margin, and none that lay inside an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What a candidate lost on a recording.

    Attributes:
        points: Windows (times queries) with another answer, in percent.
        low_points: Lower end of the 95 % interval.
        windows: How many were compared.
        cosine_p1: First percentile of the cosines between the embeddings.
    """

    points: float
    low_points: float
    windows: int
    cosine_p1: float


class ExactAnswers:
    """What the most exact candidate answered.

    Args:
        embeddings: (W, Q, S) of its windows and queries.
        answers: (A, S) that are possible, for each query.
    """

    def __init__(self, embeddings: Float32, answers: Sequence[Float32]) -> None:
        self.embeddings = embeddings
        self._answers = list(answers)
        self.choices = min((len(each) for each in answers), default=0)

    @property
    def windows(self) -> int:
        """How many there are."""
        return len(self.embeddings)

    def lost_by(self, embeddings: Float32) -> Lost:
        """Compare a candidate (W', Q, S), of as many windows from the first as it has."""
        count = min(len(embeddings), len(self.embeddings))
        exact, mine = self.embeddings[:count], embeddings[:count]
        cosines = row_cosines(exact.reshape(-1, exact.shape[-1]), mine.reshape(-1, mine.shape[-1]))
        other = [
            self._differs(exact[:, number], mine[:, number], answers)
            for number, answers in enumerate(self._answers)
            if len(answers) > 1
        ]
        cosine_p1 = float(np.percentile(cosines, 1)) if count else 1.0
        if not other or not count:
            return Lost(points=0.0, low_points=0.0, windows=0, cosine_p1=cosine_p1)
        found = mean_of(np.concatenate(other).astype(float), span=(0.0, 1.0))
        return Lost(
            points=100 * found.value, low_points=100 * found.low, windows=found.n, cosine_p1=cosine_p1
        )

    @staticmethod
    def _differs(exact: Float32, mine: Float32, answers: Float32) -> npt.NDArray[np.bool_]:
        """(W,) whether the candidate's best answer is one that the most exact one holds for worse than its own."""
        scores = exact @ answers.T
        chosen = (mine @ answers.T).argmax(axis=1)
        return np.asarray(scores.max(axis=1) - scores[np.arange(len(scores)), chosen] > AS_GOOD)


def stored_loss(exact: Mapping[str, float], mine: Mapping[str, float]) -> float | None:
    """Points that a bundle's own accuracy lies below another's: the mean over the tasks that both were measured on.

    Args:
        exact: Accuracy by task, as the manifest of the most exact bundle holds it.
        mine: Of another.

    Returns:
        None where no task was measured on both; below 0 where it is better.
    """
    both = [name for name in exact if name in mine]
    return 100 * float(np.mean([exact[name] - mine[name] for name in both])) if both else None
