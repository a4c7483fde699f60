"""A fine-tuning step's loss: InfoNCE over the rows of all processes, and the Y-decoder's cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vljepa_model.errors import CheckpointError
from vljepa_model.finetuning.batches import ClipBatch, Clips
from vljepa_model.finetuning.recipe import FineTuneRecipe, Only
from vljepa_model.finetuning.visual_cache import VisualCache
from vljepa_model.losses import global_info_nce
from vljepa_model.processes import Processes
from vljepa_model.runs.loop import Losses
from vljepa_model.vl_jepa import VLJEPA

__all__ = ["FineTuneLosses", "FineTuneObjective", "encode_clips", "learning"]


@dataclass(frozen=True, slots=True)
class FineTuneLosses(Losses):
    """The parts of one step's loss over all processes, and what share of predictions ranks its own text first."""

    contrastive: Tensor
    decoder: Tensor
    top1: Tensor


class FineTuneObjective(nn.Module):
    """The model, which parts of it learn, and how a batch becomes a loss."""

    def __init__(
        self, model: VLJEPA, recipe: FineTuneRecipe, processes: Processes, cache: VisualCache | None = None
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.processes, self.cache = model, recipe, processes, cache
        learns = learning(recipe)
        for name, part in model.named_children():
            part.requires_grad_(name in learns)
        model.log_temperature.requires_grad_("predictor" in learns)
        for parameter in model.parameters():
            if parameter.requires_grad:  # weights may be mapped from a file, which must not change
                parameter.data = parameter.data.clone()
        if recipe.gradient_checkpointing:
            checkpoint_blocks(model)

    def forward(self, batch: ClipBatch, step: int) -> FineTuneLosses:
        """Compute the losses of a process's rows at a step (the step decides the noise)."""
        nothing = torch.zeros((), device=batch.text_ids.device)
        contrastive, top1, decoder = nothing, nothing, nothing
        with torch.set_grad_enabled(self.recipe.only is not Only.DECODER):
            texts = self.model.y_encoder(batch.text_ids, batch.text_mask)
        if batch.clips is not None:
            visual = encode_clips(self.model.x_encoder, batch.clips, self.cache)
            prediction = self.model.predictor(visual, batch.query_ids, batch.query_mask)
            contrastive, top1 = global_info_nce(prediction, texts, self.model.log_temperature, batch.keys)
        if self.recipe.only is not Only.ALIGNMENT:
            decoder = self._decode(texts.detach(), batch, step)
        total = contrastive + self.recipe.decoder * decoder
        return FineTuneLosses(total, contrastive.detach(), self._mean(decoder), top1)

    def _decode(self, embedding: Tensor, batch: ClipBatch, step: int) -> Tensor:
        """Cross-entropy per token; the mean over processes is the mean over the tokens of the whole batch."""
        spread, noise = self._noise(len(embedding), embedding.shape[1], batch.first, step)
        noisy = embedding.float() + (noise * spread).to(embedding.device)
        logits = self.model.y_decoder(F.normalize(noisy, dim=-1), batch.word_ids)
        each = F.cross_entropy(logits.float().flatten(0, 1), batch.word_ids.flatten(), reduction="none")
        tokens = self.processes.total(batch.word_mask.sum())
        return (each * batch.word_mask.flatten()).sum() * self.processes.count / tokens

    def _noise(self, rows: int, width: int, first: int, step: int) -> tuple[Tensor, Tensor]:
        """Noise of these rows: drawn for the whole batch, so that it does not depend on who computes them."""
        random = torch.Generator().manual_seed(self.recipe.seed * 10**9 + step)
        spread = torch.rand(self.recipe.rows, 1, generator=random) * self.recipe.noise / width**0.5
        noise = torch.randn(self.recipe.rows, width, generator=random)
        return spread[first : first + rows], noise[first : first + rows]

    def _mean(self, value: Tensor) -> Tensor:
        return self.processes.total(value) / self.processes.count


def learning(recipe: FineTuneRecipe) -> frozenset[str]:
    """Names of the networks that a recipe trains."""
    alignment = {"predictor", "y_encoder"} | ({"x_encoder"} if recipe.train_x_encoder else set())
    parts = {Only.ALL: alignment | {"y_decoder"}, Only.ALIGNMENT: alignment, Only.DECODER: {"y_decoder"}}
    return frozenset(parts[recipe.only])


def encode_clips(encoder: nn.Module, clips: Clips, cache: VisualCache | None) -> Tensor:
    """Visual tokens (B, N, Dv) of clips; new ones of a frozen encoder go into the cache.

    A frozen encoder's tokens are rounded to float16 whether they come from the cache or not, so that a cache alters
    no run.

    Raises:
        CheckpointError: float16 cannot hold the tokens.
    """
    device = clips.patches.device
    if any(parameter.requires_grad for parameter in encoder.parameters()):
        out: Tensor = encoder(clips.patches, clips.positions)
        return out
    rows = list(clips.visual)
    if len(clips.patches):
        with torch.no_grad():
            fresh = encoder(clips.patches, clips.positions).to(torch.float16)
        if not bool(torch.isfinite(fresh).all()):
            raise CheckpointError(
                "the X-encoder gives tokens that float16 cannot hold: are its weights sound?"
            )
        missing = [index for index, row in enumerate(rows) if row is None]
        for index, visual in zip(missing, fresh, strict=True):
            rows[index] = visual
            if cache is not None:
                cache.put(clips.segments[index], visual)
    return torch.stack([row.to(device, torch.float32) for row in rows if row is not None])


def checkpoint_blocks(model: nn.Module) -> None:
    """Let every transformer block keep its input alone, and compute the rest again on the way back."""
    for module in model.modules():
        blocks = getattr(module, "blocks", None)
        if isinstance(blocks, nn.ModuleList):
            for block in blocks:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
