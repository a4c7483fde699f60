"""One or several torch optimisers on one schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

__all__ = ["Optimiser"]


class Optimiser:
    """Steps several torch optimisers together, every group at its share of the schedule's rate.

    Args:
        parts: The `lr` of their groups is a factor of the rate.
        rate: Gives a step's learning rate.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer], rate: Callable[[int], float]) -> None:
        self.parts, self.rate = tuple(parts), rate
        self._factors = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def step(self, step: int) -> None:
        """Update all weights at the rate of this step, and forget their gradients."""
        rate = self.rate(step)
        for part, factors in zip(self.parts, self._factors, strict=True):
            for group, factor in zip(part.param_groups, factors, strict=True):
                group["lr"] = rate * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """States of the parts."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: the states are those of other parts or groups.
        """
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(dict(state))
