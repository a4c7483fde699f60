"""What numbers of a width may cost. Which precision is held to which limits, the table of `vljepa_quant` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_evaluation.gates.agreement import Agreement
    from vljepa_evaluation.gates.parity import GraphParity

__all__ = ["EIGHT_BIT", "FLOAT", "FOUR_BIT", "HALF", "PSNR_FLOOR_DB", "Gates", "Limits", "misses"]

Gates = Mapping[str, tuple[float, float]]
"""What was measured, and the limit that it must reach, by name."""
PSNR_FLOOR_DB = 35.0
"""Below this a graph is broken, whatever its cosine says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The smallest values that a bundle may have.

    Attributes:
        mean_cosine: Of a graph, the mean cosine over rows of its outputs.
        p1_cosine: Of a graph, the first percentile of these cosines.
        worst_cosine: Of a graph, the smallest of these cosines.
        psnr_db: Of a graph, the peak signal-to-noise ratio of its outputs.
        embedding_cosine: Worst embedding of a clip, end to end.
        overlap: Mean share of the float model's best captions kept among hard negatives.
        labels: Share of the clips whose best label is the float model's.
        triggers: F1 of the moments at which selective decoding decodes, against the float model's.
    """

    mean_cosine: float
    p1_cosine: float
    worst_cosine: float
    psnr_db: float = PSNR_FLOOR_DB
    embedding_cosine: float
    overlap: float
    labels: float
    triggers: float

    @classmethod
    def loosest(cls, limits: Iterable[Limits]) -> Limits:
        """The smallest of each limit: a chain is as good as its weakest graph."""
        every = list(limits)
        return cls(**{item.name: min(getattr(each, item.name) for each in every) for item in fields(cls)})

    def graph_gates(self, parity: GraphParity) -> Gates:
        """What is held to its limit of one graph."""
        return {
            "mean cosine": (parity.mean_cosine, self.mean_cosine),
            "p1 cosine": (parity.p1_cosine, self.p1_cosine),
            "worst cosine": (parity.worst_cosine, self.worst_cosine),
            "PSNR in dB": (parity.psnr_db, self.psnr_db),
        }

    def bundle_gates(self, agreement: Agreement) -> Gates:
        """What is held to its limit end to end."""
        return {
            "worst embedding cosine": (agreement.embedding_worst, self.embedding_cosine),
            "top-5 overlap on hard negatives": (agreement.overlap, self.overlap),
            "label agreement": (agreement.labels, self.labels),
            "decode-trigger agreement": (agreement.triggers, self.triggers),
        }


def misses(gates: Gates) -> tuple[str, ...]:
    """The gates below their limit, in words. NaN is below every limit.

    Examples:
        >>> from vljepa_evaluation.gates import EIGHT_BIT, FLOAT, Limits, misses
        >>> loosest = Limits.loosest([FLOAT, EIGHT_BIT])
        >>> misses({"label agreement": (0.75, loosest.labels), "PSNR in dB": (40.0, loosest.psnr_db)})
        ('expected a label agreement of at least 0.85, got 0.75',)
    """
    return tuple(
        f"expected a {name} of at least {floor:g}, got {value:.6g}"
        for name, (value, floor) in gates.items()
        if not value >= floor
    )


FLOAT = Limits(
    mean_cosine=0.99999, p1_cosine=0.9999, worst_cosine=0.9999,
    embedding_cosine=0.9999, overlap=0.99, labels=0.99, triggers=0.99,
)  # fmt: skip
HALF = Limits(
    mean_cosine=0.999, p1_cosine=0.998, worst_cosine=0.99,
    embedding_cosine=0.998, overlap=0.95, labels=0.95, triggers=0.9,
)  # fmt: skip
EIGHT_BIT = Limits(
    mean_cosine=0.995, p1_cosine=0.985, worst_cosine=0.98,
    embedding_cosine=0.98, overlap=0.85, labels=0.85, triggers=0.8,
)  # fmt: skip
FOUR_BIT = Limits(
    mean_cosine=0.97, p1_cosine=0.93, worst_cosine=0.85, psnr_db=25.0,
    embedding_cosine=0.9, overlap=0.7, labels=0.7, triggers=0.6,
)  # fmt: skip
