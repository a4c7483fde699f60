"""The systems that Core ML programs are built for, and the first of them that runs a precision."""

from __future__ import annotations

from vljepa_export.errors import ExportError
from vljepa_quant import Precision

__all__ = ["TARGETS", "target_version"]

# Deployment targets by the names that people use -> iOS version; a macOS release reads what its iOS twin reads.
TARGETS = {"iOS16": 16, "iOS17": 17, "iOS18": 18, "macOS13": 16, "macOS14": 17, "macOS15": 18}


def target_version(name: str, precision: Precision) -> int:
    """The iOS version of a deployment target that can run a precision.

    Raises:
        ExportError: there is no such target, or it is too old.
    """
    if name not in TARGETS:
        raise ExportError(f"expected a Core ML target of {', '.join(TARGETS)}, got {name!r}")
    if TARGETS[name] < (earliest := _earliest(precision)):
        raise ExportError(
            f"precision {precision.name} needs iOS{earliest} or macOS{earliest - 3}, got {name}: "
            "choose a later target or another precision"
        )
    return TARGETS[name]


def _earliest(precision: Precision) -> int:
    """Blocks and groups came with iOS 18, int8 activations with 17, the rest with 16."""
    if precision.weights.block or precision.weights.group:
        return 18
    return 17 if precision.calibrated else 16
