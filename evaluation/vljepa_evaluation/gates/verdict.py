"""Kept, missed or not judged: what a judgement of a bundle came to, and what several come to together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

__all__ = ["Judgement", "Verdict", "verdict_of"]


class Verdict(str, Enum):
    """What a judgement came to. `KEPT` alone is true in a condition."""

    KEPT = "kept"
    MISSED = "missed"
    NOT_JUDGED = "not judged"

    def __bool__(self) -> bool:
        return self is Verdict.KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One of the questions that a bundle is asked, and its answer.

    Attributes:
        name: constants (is the graph what was meant), repeat (does the engine compute it), distance (how far is it
            from float), seal (is this what the reference was made with).
        misses: What is wrong, in words.
        unjudged: What could have been judged and was not, each with its reason.
        absent: Why nothing here can be judged: what was recorded holds nothing to judge with. Empty where it does.
    """

    name: str
    misses: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    absent: str = ""

    @property
    def verdict(self) -> Verdict:
        """Kept only where all that could be judged was, and was kept."""
        if self.misses:
            return Verdict.MISSED
        return Verdict.NOT_JUDGED if self.unjudged or self.absent else Verdict.KEPT

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"verdict": self.verdict.value, **asdict(self)}


def verdict_of(judgements: Iterable[Judgement]) -> Verdict:
    """What judgements come to together: one that is absent says nothing, unless all are.

    Examples:
        >>> from vljepa_evaluation.gates import Judgement, verdict_of
        >>> distance = Judgement(name="distance")
        >>> older = Judgement(name="repeat", absent="the reference is older than this judgement")
        >>> verdict_of([distance, older])
        <Verdict.KEPT: 'kept'>
        >>> verdict_of([distance, Judgement(name="repeat", unjudged=("no engine here runs it",))])
        <Verdict.NOT_JUDGED: 'not judged'>
    """
    every = list(judgements)
    if any(each.misses for each in every):
        return Verdict.MISSED
    unjudged = any(each.unjudged for each in every) or all(each.absent for each in every)
    return Verdict.NOT_JUDGED if unjudged else Verdict.KEPT
