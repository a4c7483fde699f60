"""Errors of the export package.

VljepaError
└── ExportError              an export cannot be finished
    ├── GraphContractError   an exported graph has other names, types or shapes than its contract
    ├── ParityError          an exported graph does not compute what torch computes
    └── InterpreterError     a Core ML package cannot be read, or holds an operation that is not known here
"""

from __future__ import annotations

from vljepa_runtime.errors import VljepaError

__all__ = ["ExportError", "GraphContractError", "InterpreterError", "ParityError"]


class ExportError(VljepaError):
    """An export cannot be started or finished."""


class GraphContractError(ExportError):
    """An exported graph has other input or output names, types or shapes than the contract."""


class ParityError(ExportError):
    """An exported graph gives other values than the torch model it came from."""


class InterpreterError(ExportError):
    """A Core ML package is damaged, or holds an operation that the reference interpreter does not know."""
