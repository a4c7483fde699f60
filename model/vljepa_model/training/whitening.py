"""A start for the patch embedding: the whitened principal components of the tubelets that will be seen."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from vljepa_model.training.batches import Batch
from vljepa_model.x_encoder import XEncoder

__all__ = ["whiten"]

FLOOR = 1e-2
"""Added to each component's variance, as a share of the mean one, so that noise is not blown up."""
SCALE = 0.5
"""Standard deviation of what the embedding gives; blocks are initialised for about this."""


@torch.no_grad()
def whiten(x_encoder: XEncoder, batches: Iterable[Batch]) -> None:
    """Set the patch embedding so that its outputs are uncorrelated and of equal size on these tubelets.

    Neighbouring pixels are nearly equal, so randomly drawn weights see little but brightness; with whitened ones
    edges are there from the first step.

    Args:
        x_encoder: Its patch embedding is changed in place.
        batches: Where the statistics come from; together more tubelets than pixels in one.
    """
    embedding = x_encoder.patch_embedding
    pixels = torch.cat([batch.patches.flatten(0, 1) for batch in batches])
    values = (pixels.float() - x_encoder.mean.cpu()) / x_encoder.std.cpu()
    mean = values.mean(dim=0)
    variances, vectors = torch.linalg.eigh(torch.cov((values - mean).T))
    width = min(embedding.out_features, len(mean))
    strongest = vectors[:, -width:] / (variances[-width:] + FLOOR * variances[-width:].mean()).sqrt()
    mixed = torch.linalg.qr(torch.randn(embedding.out_features, width))[0] @ strongest.T * SCALE
    embedding.weight.copy_(mixed)
    embedding.bias.copy_(-mixed @ mean)
