"""Errors of the model package.

VljepaError
├── CheckpointError     a checkpoint is missing, damaged, of another format, or of another model
└── ConfigError         a model configuration cannot be built (also a ValueError)
"""

from __future__ import annotations

from vljepa_runtime.errors import VljepaError

__all__ = ["CheckpointError", "ConfigError"]


class CheckpointError(VljepaError):
    """A checkpoint folder is missing, damaged, of an unknown format, or does not fit its model."""


class ConfigError(VljepaError, ValueError):
    """A model configuration has an unknown key or numbers that do not fit together."""
