"""The two losses: InfoNCE between predictions and targets, and cross-entropy for the Y-decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["decoder_loss", "info_nce"]

# No learned temperature below 1/100: sharper ones make early training diverge (the bound that CLIP uses).
MIN_LOG_TEMPERATURE = -4.6052


def info_nce(
    prediction: Tensor, target: Tensor, log_temperature: Tensor, prediction_keys: Tensor, target_keys: Tensor
) -> Tensor:
    """Contrast predictions with all targets and targets with all predictions (arXiv 2512.10942, section 2).

    Pairs that mean the same (equal keys) are not negatives of each other. Targets beyond the first B have no
    video; they are negatives for the predictions only.

    Args:
        prediction: (B, S) of length one.
        target: (B + K, S) of length one; target[i] belongs to prediction[i].
        log_temperature: scalar; scores are cosines divided by its exponential.
        prediction_keys: (B,) int64, what each prediction means.
        target_keys: (B + K,) int64, what each target means.

    Returns:
        Scalar: the mean of the two directions.
    """
    count = prediction.shape[0]
    with torch.autocast(prediction.device.type, enabled=False):
        scale = torch.exp(-log_temperature.float().clamp(min=MIN_LOG_TEMPERATURE))
        scores = prediction.float() @ target.float().T * scale
    own = torch.arange(count, device=scores.device)
    same = prediction_keys[:, None] == target_keys[None, :]
    same = same & (own[:, None] != torch.arange(target.shape[0], device=scores.device)[None, :])
    scores = scores.masked_fill(same, float("-inf"))
    return 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores[:, :count].T, own))


def decoder_loss(logits: Tensor, ids: Tensor, pad_id: int) -> Tensor:
    """Mean cross-entropy per token, padding left out.

    Args:
        logits: (B, L, V).
        ids: (B, L) integers.
        pad_id: the token that is not counted.
    """
    return F.cross_entropy(logits.float().flatten(0, 1), ids.long().flatten(), ignore_index=pad_id)
