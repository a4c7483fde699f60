"""VL-JEPA in torch: configuration, the four networks, their losses and checkpoints."""

from __future__ import annotations

from vljepa_model.config import ModelConfig
from vljepa_model.errors import CheckpointError, ConfigError
from vljepa_model.vl_jepa import VLJEPA

__all__ = ["VLJEPA", "CheckpointError", "ConfigError", "ModelConfig"]
