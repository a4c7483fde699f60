"""Errors of the embedding log."""

from __future__ import annotations

from vljepa_runtime.errors import VljepaError

__all__ = ["LogError"]


class LogError(VljepaError):
    """A log cannot be opened or written, is another model's, or has its writer already."""
