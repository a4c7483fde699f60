"""What both contenders may learn from texts alone, before the contest: the text side of each, and the texts.

The paper's Y-encoder is a pretrained text model, and its decoder appears to be one, too (SONAR: encoder and decoder
learn to put a sentence into other words through one embedding); its VLM begins as a pretrained language model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.data import Dataset

from vljepa_data.world import PROMPTS, Split, caption, draw_events, meaning
from vljepa_model.losses import info_nce
from vljepa_model.padding import padded
from vljepa_model.versus.bank import LEVELS
from vljepa_model.versus.contenders import JepaContender, VlmContender
from vljepa_model.versus.lessons import Samples
from vljepa_model.versus.plan import Plan

__all__ = ["JepaTextSide", "TextPairs", "VlmTextSide", "text_side"]


@dataclass(frozen=True, slots=True)
class TextSamples:
    """Two wordings of each of B meanings; neither has a video.

    Attributes:
        one: Samples of the first wordings, with no visual tokens: (B, 0, Dv).
        other: Those of the second ones.
    """

    one: Samples
    other: Samples


class TextPairs(Dataset[TextSamples]):
    """Draws what might happen, as the training split allows it, and two wordings of it; no clip is made."""

    def __init__(self, tokenizer: Tokenizer, plan: Plan, seed: int, *, visual_width: int) -> None:
        self.plan, self.seed, self.visual_width = plan, seed, visual_width
        self._encode = tokenizer.encode_batch

    def __len__(self) -> int:
        return self.plan.text_steps

    def __getitem__(self, step: int) -> TextSamples:
        rng = np.random.default_rng([self.seed, step, 2])
        levels = [LEVELS[i] for i in rng.integers(len(LEVELS), size=self.plan.batch)]
        drawn = [draw_events(rng, Split.TRAIN) for _ in levels]
        keys = torch.tensor([meaning(caption(e, level)) for e, level in zip(drawn, levels, strict=True)])
        queries = self._ids([PROMPTS[level] for level in levels])
        one, other = (
            Samples(
                visual=torch.zeros(len(levels), 0, self.visual_width),
                queries=queries,
                answers=self._ids([caption(e, level, rng) for e, level in zip(drawn, levels, strict=True)]),
                keys=keys,
            )
            for _ in range(2)
        )
        return TextSamples(one, other)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._encode(texts, add_special_tokens=False)]


class JepaTextSide(nn.Module):
    """Y-encoder and Y-decoder; the temperature is one of its own, so that the predictor begins with a new one."""

    def __init__(self, contender: JepaContender) -> None:
        super().__init__()
        self.y_encoder, self.y_decoder = contender.y_encoder, contender.y_decoder
        self.log_temperature = nn.Parameter(contender.log_temperature.detach().clone())
        self._wording_loss, self._pad = contender.wording_loss, contender.config.pad_id

    def loss(self, texts: TextSamples) -> Tensor:
        """InfoNCE between two wordings, plus the cross-entropy of each, decoded from the other's embedding."""
        one, other = (padded(samples.answers, self._pad) for samples in (texts.one, texts.other))
        first, second = self.y_encoder(*one), self.y_encoder(*other)
        aligned = info_nce(first, second, self.log_temperature, texts.one.keys, texts.one.keys)
        return aligned + 0.5 * (self._wording_loss(first, *other) + self._wording_loss(second, *one))


class VlmTextSide(nn.Module):
    """The token VLM but for its visual projection: a language model that answers without a video."""

    def __init__(self, contender: VlmContender) -> None:
        super().__init__()
        self.embed, self.stack = contender.vlm.embed, contender.vlm.stack
        self._loss = contender.loss

    def loss(self, texts: TextSamples) -> Tensor:
        """Mean cross-entropy per token of both wordings."""
        return 0.5 * (self._loss(texts.one) + self._loss(texts.other))


def text_side(contender: JepaContender | VlmContender) -> JepaTextSide | VlmTextSide:
    """The part of a contender that learns from texts; it shares the contender's weights."""
    return JepaTextSide(contender) if isinstance(contender, JepaContender) else VlmTextSide(contender)
