"""From frames to an answer: what each contender does, as calls that somebody else times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vljepa_data.world import Split, brief_captions, make_clip
from vljepa_model.versus.bank import world_tokens
from vljepa_model.versus.contenders import CONTENDERS, JepaContender
from vljepa_model.versus.contest import HELD_OUT_SEED, Contest

__all__ = ["answer_cells"]


def answer_cells(contest: Contest) -> dict[str, dict[str, Callable[[], object]]]:
    """Calls by contender and by what is wanted, with the weights of the first seed.

    Every call but `X-encoder` begins with visual tokens. VL-JEPA has two cells of its own: `embedding`, the answer that
    a monitor compares with the one before, and `embedding to words`, what it may then leave out. Labels are embedded
    beforehand, since they do not depend on the video.

    Args:
        contest: One whose contenders are trained.
    """
    pre, encoder = contest.checkpoint.preprocess, contest.checkpoint.model.x_encoder
    clip = make_clip(HELD_OUT_SEED, Split.TEST, kind="single", size=pre.size, frames=pre.frames)
    patches, positions = (torch.from_numpy(x)[None] for x in world_tokens(clip, pre, contest.plan.keep))
    visual = contest.held_out.visual[:1].float()
    picks = np.random.default_rng(7).permutation(len(brief_captions()))[: contest.plan.candidates]
    labels = [brief_captions()[i] for i in picks]
    cells: dict[str, dict[str, Callable[[], object]]] = {}
    for name in CONTENDERS:
        contender = contest.load(name, contest.plan.seeds[0])[1].eval()
        calls: dict[str, Callable[[], object]] = {
            "X-encoder": partial(encoder, patches, positions),
            "caption in words": partial(contender.captions, visual),
            f"best of {len(labels)} labels": partial(contender.class_scores, visual, labels),
            **(_own_cells(contender, visual) if isinstance(contender, JepaContender) else {}),
        }
        cells[name] = {what: partial(_quietly, call) for what, call in calls.items()}
    return cells


def _own_cells(contender: JepaContender, visual: Tensor) -> Mapping[str, Callable[[], object]]:
    with torch.inference_mode():
        embedding = contender.predict(visual, "caption")
    return {
        "embedding": partial(contender.predict, visual, "caption"),
        "embedding to words": partial(contender.words, embedding),
    }


def _quietly(call: Callable[[], object]) -> object:
    with torch.inference_mode():
        return call()
