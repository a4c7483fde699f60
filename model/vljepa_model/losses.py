"""The losses: InfoNCE between predictions and targets, of one process and of all, and the Y-decoder's cross-entropy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_model.processes import gather_rows

__all__ = ["decoder_loss", "global_info_nce", "info_nce"]

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


def global_info_nce(
    prediction: Tensor, target: Tensor, log_temperature: Tensor, keys: Tensor
) -> tuple[Tensor, Tensor]:
    """InfoNCE over the rows of all processes, as one process with the whole batch would compute it.

    Every process computes the loss of the whole batch, and `gather_rows` adds up what all of them find for a row. With
    gradients averaged over the processes afterwards, each weight gets the very gradient of that loss. Gathering
    without a way back would leave out what a text learns from being a negative of other processes' videos.

    Args:
        prediction: (B, S) of length one; every process has as many.
        target: (B + K, S) of length one; see `info_nce`.
        log_temperature: scalar.
        keys: (B + K,) int64, what each target means; a prediction means what its own target does.

    Returns:
        The loss, and what share of all predictions ranks a target first that means what its own does.
    """
    own = len(prediction)
    predictions = gather_rows(prediction)
    count = len(predictions) // own

    def gathered(rows: Tensor) -> Tensor:
        """All own targets in the order of the predictions, then all further ones."""
        parts = gather_rows(rows).reshape(count, *rows.shape)
        return torch.cat((parts[:, :own].flatten(0, 1), parts[:, own:].flatten(0, 1)))

    targets, meanings = gathered(target), gathered(keys)
    wanted = meanings[: len(predictions)]
    loss = info_nce(predictions, targets, log_temperature, wanted, meanings)
    with torch.no_grad():
        best = (predictions.float() @ targets.float().T).argmax(dim=1)
    return loss, (meanings[best] == wanted).float().mean()


def decoder_loss(logits: Tensor, ids: Tensor, pad_id: int) -> Tensor:
    """Mean cross-entropy per token, padding left out.

    Args:
        logits: (B, L, V).
        ids: (B, L) integers.
        pad_id: the token that is not counted.
    """
    return F.cross_entropy(logits.float().flatten(0, 1), ids.long().flatten(), ignore_index=pad_id)
