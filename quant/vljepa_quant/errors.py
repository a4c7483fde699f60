"""Errors of the quant package.

VljepaError
└── QuantError      a graph cannot be quantised as its precision says
"""

from __future__ import annotations

from vljepa_runtime.errors import VljepaError

__all__ = ["QuantError"]


class QuantError(VljepaError):
    """A graph cannot be quantised as its precision says."""
