"""AdamW with a rate per network: what suits pretrained weights."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW

from vljepa_model.finetuning.recipe import FineTuneRecipe
from vljepa_model.vl_jepa import VLJEPA

__all__ = ["optimiser_for", "set_rate"]


def optimiser_for(model: VLJEPA, recipe: FineTuneRecipe) -> AdamW:
    """AdamW over whatever of the model learns; only matrices decay."""
    factors = {"y_encoder": recipe.y_encoder_lr, "x_encoder": recipe.x_encoder_lr}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factors.get(name.split(".")[0], 1.0), decay), []).append(parameter)
    return AdamW(
        [
            {"params": parameters, "weight_decay": decay, "factor": factor}
            for (factor, decay), parameters in groups.items()
        ],
        lr=recipe.lr, betas=(0.9, 0.98),
    )  # fmt: skip


def set_rate(optimiser: AdamW, recipe: FineTuneRecipe, step: int) -> float:
    """Give every group its rate at a step; returns the rate before factors."""
    rate = recipe.lr * recipe.rate(step)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    return rate
