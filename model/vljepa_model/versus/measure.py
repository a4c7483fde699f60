"""What a contender knows after some samples: CIDEr of its captions and whether the right label is among its best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict, cast

import numpy as np
import torch

from vljepa_data.world import brief_captions
from vljepa_evaluation.metrics import cider_d, ranks
from vljepa_model.versus.bank import Bank
from vljepa_model.versus.contenders import Contender, JepaContender, VlmContender

__all__ = ["Point", "measure"]

AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measurement of one run.

    Attributes:
        samples: How many were seen so far.
        cider: CIDEr-D of captions of held-out clips, 0..10.
        top5: Share of held-out clips whose label is among the five best.
        top1: Share of held-out clips whose label is the best.
        loss: Mean training loss since the point before.
        train_s: Seconds of processor time spent on training so far.
        wording: CIDEr-D of what the Y-decoder makes of the true captions' own embeddings; None where there is none.
    """

    samples: int
    cider: float
    top5: float
    top1: float
    loss: float
    train_s: float
    wording: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Point:
        """Read what `to_dict` wrote."""
        return cls(**values)


class Quality(TypedDict):
    """The measured fields of a Point."""

    cider: float
    top5: float
    top1: float
    wording: float | None


def measure(contender: JepaContender | VlmContender, held_out: Bank, candidates: int) -> Quality:
    """CIDEr-D, top-5 and top-1 of a contender, and what its Y-decoder is worth alone.

    Args:
        contender: Is put into evaluation mode, and back into training mode afterwards.
        held_out: Clips in which one thing happens.
        candidates: Labels to choose from; the wrong ones are drawn by the clip's number, the same for all contenders.

    Returns:
        Means over the clips.
    """
    references = [entry.references for entry in held_out.entries]
    contender.eval()
    with torch.inference_mode():
        captions, wording = _captions(contender, held_out), None
        if isinstance(contender, JepaContender):
            said = contender.words(contender.embed([own[0] for own in references]))
            wording = float(cider_d(said, references).mean())
        places = np.concatenate([_place(contender, held_out, i, candidates) for i in range(len(captions))])
    contender.train()
    cider = float(cider_d(captions, references).mean())
    top5, top1 = (float((places < count).mean()) for count in (5, 1))
    return Quality(cider=cider, top5=top5, top1=top1, wording=wording)


def _captions(contender: Contender, held_out: Bank) -> list[str]:
    captions: list[str] = []
    for start in range(0, len(held_out.entries), AT_ONCE):
        captions += contender.captions(held_out.visual[start : start + AT_ONCE].float())
    return captions


def _place(contender: Contender, held_out: Bank, index: int, candidates: int) -> np.ndarray[Any, Any]:
    """Place of the right label among the candidates, 0 for the best: (1,)."""
    labels, right = brief_captions(), held_out.entries[index].label
    others = np.random.default_rng([7, index]).permutation(len(labels))
    chosen = [right, *others[others != right][: candidates - 1].tolist()]
    visual = held_out.visual[index : index + 1].float()
    scores = contender.class_scores(visual, [labels[i] for i in chosen]).float().cpu().numpy()
    return cast("np.ndarray[Any, Any]", ranks(scores[None], np.zeros(1)))
