"""Whether what was written holds what was meant: a graph's constants beside the float graph's. Compares nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from vljepa_evaluation.gates.verdict import Judgement

__all__ = ["ConstantsProof", "judge_constants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantsProof:
    """One graph, or one tokenizer, beside what it was made from; no input is run through either.

    Attributes:
        name: The graph's, as the contract has it, or the tokenizer's file.
        compared: Constants that were compared, all of their elements.
        quantised: Those of them that are stored in a smaller type.
        values: Elements of all of them.
        worst_steps: How far an element that stands for a float is from it at most, in steps of its scale; 0.5 is
            what rounding costs.
        faults: What is not what was meant, in words that name the tensor or the node.
        unjudged: Why it, or a part of it, could not be judged; empty where all of it was.
        note: What cannot be seen here, and who sees it; empty when there is nothing.

    Examples:
        >>> from vljepa_evaluation.gates import ConstantsProof
        >>> fault = "blocks.0.mlp.weight.scale: expected 0.0125 at (3,), got 0.01275"
        >>> ConstantsProof(name="predictor", compared=41, quantised=12, worst_steps=2.5, faults=(fault,)).kept
        False
        >>> ConstantsProof(name="predictor", unjudged="int3 has no rows").kept
        False
    """

    name: str
    compared: int = 0
    quantised: int = 0
    values: int = 0
    worst_steps: float = 0.0
    faults: tuple[str, ...] = ()
    unjudged: str = ""
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether all of it was judged, and found to be what was meant."""
        return not self.faults and not self.unjudged

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kept": self.kept, **asdict(self)}


def judge_constants(proofs: Iterable[ConstantsProof]) -> Judgement:
    """What proofs of all parts of a bundle come to.

    Examples:
        >>> from vljepa_evaluation.gates import ConstantsProof, judge_constants
        >>> proofs = [ConstantsProof(name="predictor", compared=60), ConstantsProof(name="y_encoder", unjudged="...")]
        >>> judge_constants(proofs).verdict
        <Verdict.NOT_JUDGED: 'not judged'>
    """
    every = list(proofs)
    return Judgement(
        name="constants",
        misses=tuple(f"{proof.name}: {fault}" for proof in every for fault in proof.faults),
        unjudged=tuple(f"{proof.name}: {proof.unjudged}" for proof in every if proof.unjudged),
    )
