"""Muon for the matrices inside the blocks, AdamW for everything else.

Both follow the same schedule; Muon's updates are scaled to the size of AdamW's, so one rate serves both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vljepa_model.training.objective import Objective
from vljepa_model.training.recipe import Recipe

__all__ = ["Optimisers"]


class Optimisers:
    """Both optimisers behind one step, one schedule and one state."""

    def __init__(self, objective: Objective, recipe: Recipe) -> None:
        self.recipe = recipe
        matrices: dict[float, list[nn.Parameter]] = {}
        others: dict[float, list[nn.Parameter]] = {}
        for name, parameter in objective.named_parameters():
            if not parameter.requires_grad:
                continue
            factor = recipe.y_encoder_lr if ".y_encoder." in f".{name}" else 1.0
            inner = parameter.ndim == 2 and ".blocks." in name
            (matrices if inner else others).setdefault(factor, []).append(parameter)
        muon = [{"params": group, "lr": factor} for factor, group in matrices.items()]
        adam = [{"params": group, "lr": factor} for factor, group in others.items()]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(muon, lr=1.0, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(adam, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.factors = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def step(self, step: int) -> float:
        """Update all weights with the rate of this step; returns that rate."""
        rate = self.recipe.lr * self.recipe.rate(step)
        for part, factors in zip(self.parts, self.factors, strict=True):
            for group, factor in zip(part.param_groups, factors, strict=True):
                group["lr"] = rate * factor
            part.step()
            part.zero_grad(set_to_none=True)
        return rate

    def state_dict(self) -> list[dict[str, Any]]:
        """States of both parts."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Restore what `state_dict` gave."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
