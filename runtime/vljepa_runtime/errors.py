"""Every error the runtime raises on purpose.

VljepaError
├── BundleError                   a bundle is missing, damaged, hostile or from another version
├── EngineError                   an engine cannot do what was asked of it
│   ├── LibraryMissingError       the library of an engine is not installed or does not load
│   ├── DeviceMissingError        no such device or execution provider here, or it did not start
│   ├── WrongTargetError          the bundle is made for other engines
│   ├── GraphRefusedError         the engine does not load a graph, or would run it otherwise than asked
│   └── RunError                  a loaded graph failed, gave no finite numbers, or did not return
├── SourceError                   a video source cannot be opened or stopped giving frames
│   └── UnreachableError          a camera or server does not answer now; trying again may help
├── OutputError                   a file, a pipe or stdout could not be written to its end
│   └── OutputPausedError         a disk is full now; what is given is kept for a while and written when there is room
├── InputError                    a caller's array, text or option is not what was asked for (also a ValueError)
└── MissingExtraError             an optional dependency is not installed (also an ImportError)
    └── MissingEngineExtraError   the same for the library of an engine (also a LibraryMissingError)
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BundleError",
    "DeviceMissingError",
    "EngineError",
    "GraphRefusedError",
    "InputError",
    "LibraryMissingError",
    "MissingEngineExtraError",
    "MissingExtraError",
    "OutputError",
    "OutputPausedError",
    "RunError",
    "SourceError",
    "UnreachableError",
    "VljepaError",
    "WrongTargetError",
]


class VljepaError(Exception):
    """Base of every error that this toolkit raises on purpose."""


class BundleError(VljepaError):
    """A bundle is missing, damaged, hostile or of a format this reader does not know."""


class EngineError(VljepaError):
    """An engine cannot do what was asked of it; catch this to try another engine, whatever the reason."""


class LibraryMissingError(EngineError):
    """An engine's library is not installed or does not load: install what is named, or take another engine."""


class DeviceMissingError(EngineError):
    """A device or provider is not here or did not start: check its driver, or take another device."""


class WrongTargetError(EngineError):
    """A bundle is made for other engines: take one of those, or export for this one."""


class GraphRefusedError(EngineError):
    """An engine does not load a graph as it is: build or export it again, or take another engine."""


class RunError(EngineError):
    """A loaded graph failed, gave no finite numbers or did not return: this result is lost, the model may go on."""


class SourceError(VljepaError):
    """A video source cannot be opened, decoded or reached."""


class UnreachableError(SourceError):
    """A camera or server does not answer, and did not refuse either: try again later."""


class OutputError(VljepaError):
    """An output that could be opened could not be written to its end; what it holds until then stays."""


class OutputPausedError(OutputError):
    """An output cannot be written now, as each call says until it can; it keeps what it is given and goes on."""


class InputError(VljepaError, ValueError):
    """An argument is not what the function asked for."""


class MissingExtraError(VljepaError, ImportError):
    """An optional dependency is missing; the message names the pip command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: run  {self.install_command(extra)}")

    @staticmethod
    def install_command(extra: str) -> str:
        """The pip command that brings an extra, where this package came from an index and where it is a checkout."""
        root = Path(__file__).parents[2]
        if not (root / "pyproject.toml").is_file():
            return f"pip install 'vljepa-edge[{extra}]'"
        return f"pip install -e '{'.' if root.samefile('.') else root}[{extra}]'"


class MissingEngineExtraError(MissingExtraError, LibraryMissingError):
    """The library of an engine is missing: install it with the pip command in the message, or take another engine."""
