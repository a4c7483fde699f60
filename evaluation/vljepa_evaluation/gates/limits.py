"""What numbers of a width may cost. Which precision is held to which limits, the table of `vljepa_quant` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_evaluation.gates.agreement import Agreement
    from vljepa_evaluation.gates.parity import GraphParity
    from vljepa_evaluation.gates.usage_agreement import UsageAgreement

__all__ = ["EIGHT_BIT", "FLOAT", "FOUR_BIT", "HALF", "PSNR_FLOOR_DB", "Gates", "Limits", "misses"]

Gates = Mapping[str, tuple[float, float]]
"""What was measured, and the limit that it must reach, by name."""
PSNR_FLOOR_DB = 35.0
"""Below this a graph is broken, whatever its cosine says."""

OF_TEXTS = "worst embedding cosine of a text"
"""The gate end to end that the Y-encoder alone decides."""
PICTURES = 0.99
"""Mean colours of tubelets may be 2.5 of 255 levels apart: resizing differs by one between versions of OpenCV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The smallest values that a bundle may have.

    Attributes:
        mean_cosine: Of a graph, the mean cosine over rows of its outputs.
        p1_cosine: Of a graph, the first percentile of these cosines.
        worst_cosine: Of a graph, the smallest of these cosines.
        psnr_db: Of a graph, the peak signal-to-noise ratio of its outputs.
        embedding_cosine: Worst embedding of a clip, end to end, whatever it is asked.
        text_cosine: Worst embedding of a text.
        overlap: Mean share of the float model's best captions kept among hard negatives.
        labels: Share of the clips whose best label is the float model's.
        triggers: F1 of the moments at which selective decoding decodes, against the float model's.
        answers: Share of questions whose best answer is the float model's.
        worded: Share of embeddings that are decoded into exactly the words that the float model finds for them.
        spoken: The same where each has its own embedding.
    """

    mean_cosine: float
    p1_cosine: float
    worst_cosine: float
    psnr_db: float = PSNR_FLOOR_DB
    embedding_cosine: float
    text_cosine: float
    overlap: float
    labels: float
    triggers: float
    answers: float
    worded: float
    spoken: float

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

    def usage_gates(self, usage: UsageAgreement) -> Gates:
        """What is held to its limit of what users do; nothing of what was not compared."""
        found = {
            "worst embedding cosine on recorded footage": (usage.footage_worst, self.embedding_cosine),
            "worst embedding cosine of a question": (usage.questions_worst, self.embedding_cosine),
            OF_TEXTS: (usage.texts_worst, self.text_cosine),
            "answer agreement": (usage.answers, self.answers),
            "segment agreement on recorded footage": (usage.segments, self.triggers),
            "label-change agreement": (usage.changes, self.triggers),
            "share of equal words for equal embeddings": (usage.worded, self.worded),
            "share of equal words end to end": (usage.spoken, self.spoken),
        }
        return {name: (value, limit) for name, (value, limit) in found.items() if value is not None}

    def picture_gates(self, usage: UsageAgreement) -> Gates:
        """What does not depend on any graph: how frames become windows."""
        return {
            "share of windows with the recorded times": (usage.windows, 1.0),
            "likeness of the windows' pictures": (usage.pictures, PICTURES),
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
    embedding_cosine=0.9999, text_cosine=0.9999, overlap=0.99, labels=0.99, triggers=0.99,
    answers=0.97, worded=0.95, spoken=0.95,
)  # fmt: skip
HALF = Limits(
    mean_cosine=0.999, p1_cosine=0.998, worst_cosine=0.99,
    embedding_cosine=0.998, text_cosine=0.998, overlap=0.95, labels=0.95, triggers=0.9,
    answers=0.95, worded=0.9, spoken=0.85,
)  # fmt: skip
EIGHT_BIT = Limits(
    mean_cosine=0.995, p1_cosine=0.985, worst_cosine=0.98,
    embedding_cosine=0.98, text_cosine=0.97, overlap=0.85, labels=0.85, triggers=0.8,
    answers=0.9, worded=0.85, spoken=0.75,
)  # fmt: skip
FOUR_BIT = Limits(
    mean_cosine=0.97, p1_cosine=0.93, worst_cosine=0.85, psnr_db=25.0,
    embedding_cosine=0.9, text_cosine=0.9, overlap=0.7, labels=0.7, triggers=0.6,
    answers=0.75, worded=0.5, spoken=0.4,
)  # fmt: skip
