"""Layers that see only their neighbourhood: which they are, how far they see, and their rotary base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vljepa_model.errors import CheckpointError
from vljepa_model.families.published_config import PublishedConfig

__all__ = ["FULL", "SLIDING", "window_fields"]

FULL, SLIDING = "full_attention", "sliding_attention"


def window_fields(
    published: PublishedConfig, usual: Sequence[str], *, last: int, window: int, theta: float
) -> dict[str, Any]:
    """`window`, `local_blocks` and `local_rope_theta` of a `TextStackConfig`.

    Args:
        published: The config, whose `layer_types` say which layers slide.
        usual: The family's kinds of all layers, where it does not.
        last: How many layers are taken.
        window: A position sees those less than this far away.
        theta: Base of the rotary frequencies in such layers.

    Raises:
        CheckpointError: the kinds are unknown, or not as many as there are layers.
    """
    layers = published.get("num_hidden_layers", int)
    kinds = published.get("layer_types", list, list(usual))
    if len(kinds) != layers or not set(kinds) <= {FULL, SLIDING}:
        raise CheckpointError(
            f"{published.where}: expected {layers} layer_types, {FULL} or {SLIDING}, got {kinds}"
        )
    local = tuple(i for i, kind in enumerate(kinds[layers - last :]) if kind == SLIDING)
    return {"window": window, "local_blocks": local, "local_rope_theta": theta} if local else {}
