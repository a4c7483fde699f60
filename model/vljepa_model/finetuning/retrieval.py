"""Does a model find the video of a text? Measured on annotated clips that it did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vljepa_data.annotations import Example, by_segment, survey
from vljepa_data.metrics import ranks
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.finetuning.batches import load_clips
from vljepa_model.finetuning.objective import encode_clips
from vljepa_model.finetuning.texts import Tokenizers, meaning_of, tokenise
from vljepa_model.finetuning.visual_cache import VisualCache

__all__ = ["Found", "text_to_video"]

AT_ONCE = 16
MAX_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Text-to-video retrieval over a pool of clips.

    Attributes:
        recall_at_1: Share of the texts whose own video comes first.
        recall_at_5: Share whose own video is among the first five.
        chance: What guessing gives at one.
        clips: Size of the pool.
        skipped: Clips left out because their video cannot be read.
    """

    recall_at_1: float
    recall_at_5: float
    chance: float
    clips: int
    skipped: int


def text_to_video(
    checkpoint: Checkpoint, examples: Sequence[Example], *, cache: VisualCache | None = None
) -> Found:
    """Rank all clips for the first text of each.

    Of clips whose first texts mean the same, the first is taken: the others could not be told apart.

    Args:
        checkpoint: Model, tokenizer and geometry; the model computes where it is.
        examples: Texts about clips.
        cache: Of the checkpoint's X-encoder.
    """
    groups = by_segment(examples)
    bad = {unusable.segment for unusable in survey(groups, checkpoint.preprocess)}
    distinct = {meaning_of(texts[0].text): texts[0] for s, texts in reversed(groups.items()) if s not in bad}
    pool = list(reversed(distinct.values()))
    tokenizers = Tokenizers.of(checkpoint)
    model = checkpoint.model.eval()
    device = model.log_temperature.device
    videos, texts = [], []
    with torch.no_grad():
        for start in range(0, len(pool), AT_ONCE):
            some = pool[start : start + AT_ONCE]
            clips = load_clips([example.segment for example in some], checkpoint.preprocess, cache)
            model.x_encoder.requires_grad_(False)
            visual = encode_clips(model.x_encoder, clips, cache).to(device)
            queries = tokenise(tokenizers.query, [example.query for example in some], MAX_TOKENS)
            videos.append(model.predictor(visual, *(part.to(device) for part in queries)).cpu())
            words = tokenise(tokenizers.text, [example.text for example in some], MAX_TOKENS)
            texts.append(model.y_encoder(*(part.to(device) for part in words)).cpu())
    places = ranks((torch.cat(texts) @ torch.cat(videos).T).float().numpy())
    return Found(
        recall_at_1=float(np.mean(places < 1)), recall_at_5=float(np.mean(places < 5)),
        chance=1 / len(pool), clips=len(pool), skipped=len(bad),
    )  # fmt: skip
