"""AdamW with a rate per network: what suits pretrained weights."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW

from vljepa_model.finetuning.recipe import FineTuneRecipe
from vljepa_model.runs.optimiser import Optimiser
from vljepa_model.vl_jepa import VLJEPA

__all__ = ["optimiser_for"]


def optimiser_for(model: VLJEPA, recipe: FineTuneRecipe) -> Optimiser:
    """AdamW over whatever of the model learns; only matrices decay."""
    factors = {"y_encoder": recipe.y_encoder_lr, "x_encoder": recipe.x_encoder_lr}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factors.get(name.split(".")[0], 1.0), decay), []).append(parameter)
    adam = AdamW(
        [
            {"params": parameters, "weight_decay": decay, "lr": factor}
            for (factor, decay), parameters in groups.items()
        ],
        lr=1.0, betas=(0.9, 0.98),
    )  # fmt: skip
    return Optimiser((adam,), recipe.learning_rate)
