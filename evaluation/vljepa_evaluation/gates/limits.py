"""What numbers of a width may cost. Which precision is held to which limits, the table of `vljepa_quant` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_evaluation.gates.parity import GraphParity

__all__ = ["EIGHT_BIT", "FLOAT", "FOUR_BIT", "HALF", "PSNR_FLOOR_DB", "Limits"]

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

    def misses(self, parity: GraphParity) -> tuple[str, ...]:
        """What a graph does not reach, in words."""
        measured = {
            "mean cosine": (parity.mean_cosine, self.mean_cosine),
            "p1 cosine": (parity.p1_cosine, self.p1_cosine),
            "worst cosine": (parity.worst_cosine, self.worst_cosine),
            "PSNR in dB": (parity.psnr_db, self.psnr_db),
        }
        return misses(measured)


def misses(measured: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """(value, floor) pairs by name; those below their floor in words. NaN is below every floor."""
    return tuple(
        f"expected a {name} of at least {floor:g}, got {value:.6g}"
        for name, (value, floor) in measured.items()
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
