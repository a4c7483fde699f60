"""How far two models do the same with the same scenes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from vljepa_evaluation.gates.behaviour import STRIDE_S, Behaviour
from vljepa_evaluation.metrics import f1_of_moments, row_cosines
from vljepa_runtime.errors import InputError

__all__ = ["Agreement", "compare_behaviours"]

KEPT = 5
"""Best captions whose overlap is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two models did the same.

    Attributes:
        embedding_mean: Mean cosine of a clip's embedding.
        embedding_worst: Smallest cosine of a clip's embedding.
        overlap: Mean share of the reference's 5 best captions that are among the other's.
        labels: Share of clips with the same best label.
        triggers: F1 of the moments of decoding, matched within a stride.
    """

    embedding_mean: float
    embedding_worst: float
    overlap: float
    labels: float
    triggers: float

    def to_dict(self) -> dict[str, float]:
        """Plain values by name."""
        return asdict(self)


def compare_behaviours(reference: Behaviour, other: Behaviour) -> Agreement:
    """Compare two behaviours over the same scenes.

    Raises:
        InputError: they are of other scenes, or of models with other embeddings.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.gates import Behaviour, compare_behaviours
        >>> def seen(labels: list[int], triggers_s: list[float]) -> Behaviour:
        ...     ranks, times = np.tile(np.arange(16), (2, 1)), np.array(triggers_s)
        ...     return Behaviour(
        ...         checksum=1, embeddings=np.eye(2), ranks=ranks, labels=np.array(labels), triggers_s=times
        ...     )
        >>> compare_behaviours(seen([3, 5], [1.0, 4.0]), seen([3, 8], [1.5, 9.0]))
        Agreement(embedding_mean=1.0, embedding_worst=1.0, overlap=1.0, labels=0.5, triggers=0.5)
    """
    if reference.embeddings.shape != other.embeddings.shape or not len(other.embeddings):
        raise InputError(
            f"expected embeddings {other.embeddings.shape} in the reference, got {reference.embeddings.shape}: "
            "it belongs to another model"
        )
    cosines = row_cosines(reference.embeddings, other.embeddings)
    cosines = np.where(np.isfinite(cosines), cosines, -1.0)
    shared = [
        len(np.intersect1d(one[:KEPT], two[:KEPT])) / KEPT for one, two in zip(reference.ranks, other.ranks)
    ]
    return Agreement(
        embedding_mean=float(cosines.mean()),
        embedding_worst=float(cosines.min()),
        overlap=float(np.mean(shared)),
        labels=float((reference.labels == other.labels).mean()),
        triggers=f1_of_moments(reference.triggers_s, other.triggers_s, within_s=STRIDE_S),
    )
