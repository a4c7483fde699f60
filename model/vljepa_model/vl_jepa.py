"""VL-JEPA: the four networks side by side. How they are called and trained is decided elsewhere."""

from __future__ import annotations

import math

import torch
from torch import nn

from vljepa_model.config import ModelConfig
from vljepa_model.predictor import Predictor
from vljepa_model.x_encoder import XEncoder
from vljepa_model.y_decoder import YDecoder
from vljepa_model.y_encoder import YEncoder

__all__ = ["VLJEPA"]


class VLJEPA(nn.Module):
    """X-encoder, predictor, Y-encoder and Y-decoder with the learned temperature of their loss.

    A model whose configuration has no Y-decoder has no attribute `y_decoder`.
    """

    y_decoder: YDecoder

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.x_encoder = XEncoder(config.x_encoder)
        self.predictor = Predictor(config)
        self.y_encoder = YEncoder(config)
        if config.y_decoder is not None:
            self.y_decoder = YDecoder(config)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))
