"""How far two models say the same of the same clips, sample by sample."""

from __future__ import annotations

from vljepa_evaluation.metrics import Estimate, mean_of, row_cosines
from vljepa_evaluation.tasks.task import TaskResult

__all__ = ["same_answers"]


def same_answers(mine: TaskResult, other: TaskResult) -> dict[str, Estimate]:
    """How far two models say the same of the same clips, whether right or wrong.

    Args:
        mine: A task of one model.
        other: The same of another, on the same clips.

    Returns:
        `best_label`, share of samples with the same best candidate or words; `cosine`, mean of the cosines of
        both embeddings, of as many samples as have kept theirs. Either is missing where it was not measured, or cannot
        be compared.
    """
    found = {}
    if mine.chosen and len(mine.chosen) == len(other.chosen):
        same = [a == b for a, b in zip(mine.chosen, other.chosen)]
        found["best_label"] = mean_of(same, groups=mine.groups or None)
    if mine.embeddings.size and mine.embeddings.shape == other.embeddings.shape:
        groups = mine.groups[: len(mine.embeddings)] or None
        found["cosine"] = mean_of(row_cosines(mine.embeddings, other.embeddings), groups=groups)
    return found
