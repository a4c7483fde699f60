"""A training step's loss: InfoNCE, dense truth of the world, and the Y-decoder's cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_data.world import DENSE_CLASSES, IGNORE
from vljepa_model.losses import decoder_loss, global_info_nce
from vljepa_model.padding import decoder_targets
from vljepa_model.runs.loop import Losses
from vljepa_model.training.batches import Batch
from vljepa_model.training.recipe import Recipe
from vljepa_model.vl_jepa import VLJEPA

__all__ = ["DenseHeads", "Objective", "WorldLosses", "embed_texts"]


DENSE_WEIGHTS = {"shape": 2.0, "colour": 1.0, "texture": 0.5, "size": 0.5, "action": 1.0, "direction": 0.5}
"""Shape is what takes longest to learn."""


@dataclass(frozen=True, slots=True)
class WorldLosses(Losses):
    """The parts of one step's loss and what share of predictions ranks its own target first."""

    contrastive: Tensor
    dense: Tensor
    decoder: Tensor
    top1: Tensor


class DenseHeads(nn.Module):
    """A linear classifier per attribute on the X-encoder's tokens; thrown away after training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classes = tuple(DENSE_CLASSES.values())
        self.linear = nn.Linear(width, sum(self.classes))

    def forward(self, visual: Tensor, truth: Tensor) -> Tensor:
        """Weighted mean of the attributes' cross-entropies.

        Args:
            visual: (B, N, Dv).
            truth: (B, N, 6), see `vljepa_data.world.truth`.
        """
        parts = self.linear(visual.float()).float().split(self.classes, dim=-1)
        scenery = torch.ones(self.classes[0], device=visual.device)
        scenery[0] = 0.15  # most tubelets are scenery
        losses = []
        for index, part in enumerate(parts):
            label = truth[..., index].reshape(-1)
            weight = scenery if index == 0 else None
            summed = F.cross_entropy(
                part.flatten(0, 1), label, weight=weight, ignore_index=IGNORE, reduction="sum"
            )
            known = (label != IGNORE) if weight is None else weight[label]
            losses.append(summed / known.sum().clamp(min=1))
        weights = torch.tensor([DENSE_WEIGHTS[name] for name in DENSE_CLASSES], device=visual.device)
        return (torch.stack(losses) * weights).sum() / weights.sum()


def embed_texts(y_encoder: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """Embed a batch's texts, each distinct one once, the short ones apart so that they are not padded to the longest.

    Args:
        y_encoder: (B, L) ids and mask in, (B, S) out.
        ids: (B, L) integers, padded at the end.
        mask: (B, L).

    Returns:
        (B, S).
    """
    rows, where = torch.unique(torch.cat((mask, ids * mask), dim=1), dim=0, return_inverse=True)
    masks, rows = rows.chunk(2, dim=1)  # ascending masks: shortest first
    cut = len(rows) * 2 // 3
    parts = [slice(0, cut), slice(cut, len(rows))] if cut else [slice(0, len(rows))]
    longest = [int(masks[part].sum(dim=1).max()) for part in parts]
    embedded = [
        y_encoder(rows[part, :end], masks[part, :end]) for part, end in zip(parts, longest, strict=True)
    ]
    return torch.cat(embedded)[where]


class Objective(nn.Module):
    """The model, its dense heads, and how a batch becomes a loss."""

    def __init__(self, model: VLJEPA, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.dense_heads = DenseHeads(model.config.x_encoder.width)

    def forward(self, batch: Batch, step: int) -> WorldLosses:
        """Compute the losses of a batch at a step (the step decides the stage)."""
        model, recipe = self.model, self.recipe
        visual = model.x_encoder(batch.patches, batch.positions)
        if step < recipe.stage_zero:
            dense, none = self.dense_heads(visual, batch.truth), torch.zeros((), device=visual.device)
            return WorldLosses(dense, none, dense.detach(), none, none)
        each = visual.repeat_interleave(recipe.lessons, dim=0)
        prediction = model.predictor(each, batch.query_ids, batch.query_mask)
        texts = embed_texts(model.y_encoder, batch.text_ids, batch.text_mask)
        contrastive, top1 = global_info_nce(prediction, texts, model.log_temperature, batch.keys)
        dense = self.dense_heads(visual, batch.truth)
        firsts = texts[: len(prediction) : recipe.lessons].detach()
        decoder = self._decode(firsts, batch.word_ids, batch.word_mask)
        weight = recipe.dense * (1.0 if step < recipe.stage_one else 0.5)
        total = contrastive + weight * dense + recipe.decoder * decoder
        return WorldLosses(total, contrastive.detach(), dense.detach(), decoder.detach(), top1)

    def _decode(self, embedding: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        config = self.model.config
        spread = torch.rand(len(embedding), 1, device=embedding.device) * self.recipe.noise
        noise = torch.randn_like(embedding.float()) * spread / embedding.shape[1] ** 0.5
        noisy = F.normalize(embedding.float() + noise, dim=-1)
        targets = decoder_targets(ids, mask, config.eos_id)
        return decoder_loss(self.model.y_decoder(noisy, targets), targets, config.pad_id)
