"""Rotary settings of a text model's config: transformers 5 writes `rope_parameters`, earlier ones other keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vljepa_model.config import RopeScaling
from vljepa_model.errors import CheckpointError
from vljepa_model.families.published_config import PublishedConfig

__all__ = ["rope_fields"]


def rope_fields(
    published: PublishedConfig,
    rules: Mapping[str, Any],
    *,
    theta: float,
    head_dim: int = 0,
    turned: float = 1.0,
) -> dict[str, Any]:
    """`rope_theta`, `rope_scaling`, `rope_stretch` and `rotary_dim` of a `TextStackConfig`.

    Args:
        published: The config, where earlier keys are looked up.
        rules: Its `rope_parameters`, or the part of them for full attention.
        theta: The family's base, where the config names none.
        head_dim: Of which a part may turn.
        turned: The family's part, where the config names none.

    Raises:
        CheckpointError: the rule is none of default, linear and llama3, or is incomplete.
    """
    rules = {**published.get("rope_scaling", dict, {}), **rules}
    base = rules.get("rope_theta", published.get("rope_theta", float, theta))
    part = rules.get("partial_rotary_factor", published.get("partial_rotary_factor", float, turned))
    kind = rules.get("rope_type", rules.get("type", "default"))
    try:
        out: dict[str, Any] = {"rope_theta": float(base)}
        if (dims := int(head_dim * float(part))) != head_dim:
            out["rotary_dim"] = dims
        if kind == "llama3":
            out["rope_scaling"] = RopeScaling(
                factor=float(rules["factor"]),
                low_freq_factor=float(rules["low_freq_factor"]),
                high_freq_factor=float(rules["high_freq_factor"]),
                original_positions=int(rules["original_max_position_embeddings"]),
            )
        elif kind == "linear":
            out["rope_stretch"] = float(rules["factor"])
        elif kind != "default":
            raise CheckpointError(
                f"{published.where}: expected rope type default, linear or llama3, got {kind!r}"
            )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{published.where}: the {kind} rope settings lack {error}") from error
    return out
