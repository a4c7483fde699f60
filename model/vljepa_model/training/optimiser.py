"""Muon for the matrices inside the blocks, AdamW for everything else.

Both follow the same schedule; Muon's updates are scaled to the size of AdamW's, so one rate serves both.
"""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW, Muon

from vljepa_model.runs.optimiser import Optimiser
from vljepa_model.training.objective import Objective
from vljepa_model.training.recipe import Recipe

__all__ = ["optimiser_for"]


def optimiser_for(objective: Objective, recipe: Recipe) -> Optimiser:
    """Both over whatever of the objective learns."""
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
    return Optimiser(
        (
            Muon(muon, lr=1.0, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"),
            AdamW(adam, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0),
        ),
        recipe.learning_rate,
    )
