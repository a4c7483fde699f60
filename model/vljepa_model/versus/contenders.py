"""The two contenders behind one interface: a loss for training, captions and class scores for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from vljepa_data.world import PROMPTS
from vljepa_model.config import ModelConfig, YDecoderConfig
from vljepa_model.losses import decoder_loss, info_nce
from vljepa_model.padding import decoder_targets, padded
from vljepa_model.predictor import Predictor
from vljepa_model.token_vlm import TokenVLM
from vljepa_model.versus.lessons import Samples
from vljepa_model.versus.plan import Plan, stack_of
from vljepa_model.y_decoder import YDecoder
from vljepa_model.y_encoder import YEncoder

__all__ = ["CONTENDERS", "Contender", "JepaContender", "VlmContender", "build", "parameters"]

CONTENDERS = ("vl-jepa", "token-vlm")
LONGEST = 24  # tokens of an answer; the longest caption of the world has 17


class Contender(Protocol):
    """One side of the comparison; an `nn.Module`."""

    def loss(self, samples: Samples) -> Tensor:
        """What training makes smaller."""

    def captions(self, visual: Tensor) -> list[str]:
        """Visual tokens (B, N, Dv) -> one sentence each."""

    def class_scores(self, visual: Tensor, labels: Sequence[str]) -> Tensor:
        """Visual tokens (1, N, Dv) and A labels -> (A,) scores, the likeliest highest."""


class JepaContender(nn.Module):
    """Predictor and Y-encoder under InfoNCE; the Y-decoder learns on the side, from the texts' embeddings."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer, plan: Plan) -> None:
        super().__init__()
        self.config, self.tokenizer, self.noise = config, tokenizer, plan.noise
        self.predictor, self.y_encoder, self.y_decoder = Predictor(config), YEncoder(config), YDecoder(config)
        self.log_temperature = nn.Parameter(torch.tensor(config.temperature).log())
        self._labels: dict[str, Tensor] = {}

    def loss(self, samples: Samples) -> Tensor:
        """InfoNCE plus the Y-decoder's cross-entropy, whose gradient stops at the embedding."""
        pad = self.config.pad_id
        prediction = self.predictor(samples.visual, *padded(samples.queries, pad))
        ids, mask = padded(samples.answers, pad)
        texts = self.y_encoder(ids, mask)
        aligned = info_nce(prediction, texts, self.log_temperature, samples.keys, samples.keys)
        return aligned + self.wording_loss(texts.detach(), ids, mask)

    def wording_loss(self, embeddings: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Cross-entropy of the Y-decoder that puts embeddings (B, S), with noise added, into the texts (B, L)."""
        spread = torch.rand(len(embeddings), 1) * self.noise / embeddings.shape[1] ** 0.5
        noisy = F.normalize(embeddings.float() + torch.randn(embeddings.shape) * spread, dim=-1)
        targets = decoder_targets(ids, mask, self.config.eos_id)
        return decoder_loss(self.y_decoder(noisy, targets), targets, self.config.pad_id)

    def predict(self, visual: Tensor, level: str) -> Tensor:
        """Embedding (B, S) of the answer to a level's prompt."""
        ids, mask = padded([_ids(self.tokenizer, PROMPTS[level])], self.config.pad_id)
        rows = len(visual)
        out: Tensor = self.predictor(visual, ids.expand(rows, -1), mask.expand(rows, -1))
        return out

    def captions(self, visual: Tensor) -> list[str]:
        """Predict, then decode."""
        return self.words(self.predict(visual, "caption"))

    def words(self, embedding: Tensor) -> list[str]:
        """Embeddings (B, S) -> texts, greedily."""
        rows = self.y_decoder.generate(embedding, eos_id=self.config.eos_id, limit=LONGEST)
        return [self.tokenizer.decode(row).strip() for row in rows]

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Texts -> their embeddings (B, S)."""
        rows: Tensor = self.y_encoder(
            *padded([_ids(self.tokenizer, text) for text in texts], self.config.pad_id)
        )
        return rows

    def class_scores(self, visual: Tensor, labels: Sequence[str]) -> Tensor:
        """Cosines with the labels' embeddings, which are computed once and kept until training goes on."""
        wanted = [label for label in labels if label not in self._labels]
        if wanted:
            self._labels.update(zip(wanted, self.embed(wanted), strict=True))
        known = torch.stack([self._labels[label] for label in labels])
        return known @ self.predict(visual, "classify")[0]

    def train(self, mode: bool = True) -> JepaContender:
        """Forget the labels' embeddings when weights may change."""
        self._labels.clear()
        return super().train(mode)


class VlmContender(nn.Module):
    """The token-space VLM under next-token cross-entropy."""

    def __init__(self, vlm: TokenVLM, config: ModelConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.vlm, self.config, self.tokenizer = vlm, config, tokenizer

    def loss(self, samples: Samples) -> Tensor:
        """Mean cross-entropy per token of the answers; queries and padding are not counted."""
        bos, eos, pad = self.config.bos_id, self.config.eos_id, self.config.pad_id
        pairs = list(zip(samples.queries, samples.answers, strict=True))
        ids, _ = padded([[*query, bos, *answer, eos] for query, answer in pairs], pad)
        targets = ids[:, 1:].clone()
        for row, (query, _) in enumerate(pairs):
            targets[row, : len(query)] = pad  # up to BOS
        return decoder_loss(self.vlm(samples.visual, ids), targets, pad)

    def captions(self, visual: Tensor) -> list[str]:
        """Answer the captioning prompt."""
        return self.answers(visual, PROMPTS["caption"])

    def answers(self, visual: Tensor, query: str) -> list[str]:
        """Visual tokens (B, N, Dv) and a query -> one text each, greedily."""
        rows = self.vlm.generate(visual, self.prompt(query), eos_id=self.config.eos_id, limit=LONGEST)
        return [self.tokenizer.decode(row).strip() for row in rows]

    def class_scores(self, visual: Tensor, labels: Sequence[str]) -> Tensor:
        """Rate the labels as answers to the classification prompt."""
        return self.rated(visual, PROMPTS["classify"], labels)

    def rated(self, visual: Tensor, query: str, texts: Sequence[str]) -> Tensor:
        """Mean log-likelihood per token (A,), so that the highest of A texts has the lowest perplexity."""
        rows = [[*_ids(self.tokenizer, text), self.config.eos_id] for text in texts]
        return self.vlm.score(visual, self.prompt(query), *padded(rows, self.config.pad_id))

    def prompt(self, query: str) -> Tensor:
        """Token ids (1, L): a query and BOS."""
        return torch.tensor([[*_ids(self.tokenizer, query), self.config.bos_id]])


def build(name: str, config: ModelConfig, tokenizer: Tokenizer, plan: Plan) -> JepaContender | VlmContender:
    """A contender with new weights, drawn from torch's current seed.

    Args:
        name: One of CONTENDERS.
        config: Of the checkpoint whose X-encoder both read; gives tokens and vocabulary.
        tokenizer: That checkpoint's; both contenders write its tokens.
        plan: Gives width and depth of what learns.
    """
    stack = stack_of(plan.width, plan.depth)
    small = ModelConfig(
        x_encoder=config.x_encoder, predictor=stack, y_encoder=stack, y_decoder=YDecoderConfig(stack=stack, prefix=4),
        embedding_dim=plan.embedding_dim, vocab_size=config.vocab_size, pad_id=config.pad_id, bos_id=config.bos_id,
        eos_id=config.eos_id, temperature=config.temperature,
    )  # fmt: skip
    if name == CONTENDERS[0]:
        return JepaContender(small, tokenizer, plan)

    def vlm(depth: int) -> TokenVLM:
        shape = stack_of(plan.vlm_width, depth)
        return TokenVLM(shape, visual_width=config.x_encoder.width, vocab_size=config.vocab_size)

    with torch.device("meta"):
        target = plan.ratio * (_size(Predictor(small)) + _size(YEncoder(small)))
        one, two = _size(vlm(1)), _size(vlm(2))  # every layer adds the same again
    depth = min(range(1, 33), key=lambda depth: abs(one + (depth - 1) * (two - one) - target))
    return VlmContender(vlm(depth), small, tokenizer)


def parameters(contender: nn.Module) -> dict[str, int]:
    """Trainable parameters of each part."""
    return {name: _size(part) for name, part in contender.named_children() if _size(part)}


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids
