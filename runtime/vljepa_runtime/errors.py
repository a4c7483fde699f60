"""Every error the runtime raises on purpose.

VljepaError
├── BundleError         a bundle is missing, damaged, hostile or from another version
├── EngineError         an engine or execution provider is missing, fell back, or refused a graph
├── SourceError         a video source cannot be opened or stopped giving frames
├── InputError          a caller's array, text or option is not what was asked for (also a ValueError)
└── MissingExtraError   an optional dependency is not installed (also an ImportError)
"""

from __future__ import annotations

__all__ = ["BundleError", "EngineError", "InputError", "MissingExtraError", "SourceError", "VljepaError"]


class VljepaError(Exception):
    """Base of every error that this toolkit raises on purpose."""


class BundleError(VljepaError):
    """A bundle is missing, damaged, hostile or of a format this reader does not know."""


class EngineError(VljepaError):
    """An engine or execution provider is missing, fell back silently, or refused a graph."""


class SourceError(VljepaError):
    """A video source cannot be opened, decoded or reached."""


class InputError(VljepaError, ValueError):
    """An argument is not what the function asked for."""


class MissingExtraError(VljepaError, ImportError):
    """An optional dependency is missing; the message names the pip command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: run  pip install 'vljepa-edge[{extra}]'")
