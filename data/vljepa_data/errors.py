"""Errors of the data package.

VljepaError
└── AnnotationError     an annotation file, or a video that it names, is not what was expected (also a ValueError)
"""

from __future__ import annotations

from vljepa_runtime.errors import VljepaError

__all__ = ["AnnotationError"]


class AnnotationError(VljepaError, ValueError):
    """An annotation file cannot be used; the message names the file and, where there is one, the line."""
