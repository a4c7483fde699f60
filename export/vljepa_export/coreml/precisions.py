"""Precisions of Core ML programs by name; adding one is one entry.

What each may cost is decided in `vljepa_evaluation.gates`, for every format alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vljepa_export.coreml.compression import FLOAT_WEIGHTS, Weights
from vljepa_export.errors import ExportError
from vljepa_runtime.suggestions import did_you_mean

__all__ = ["PRECISIONS", "TARGETS", "Precision", "find_precision", "target_version"]

# Deployment targets by the names that people use -> iOS version; a macOS release reads what its iOS twin reads.
TARGETS = {"iOS16": 16, "iOS17": 17, "iOS18": 18, "macOS13": 16, "macOS14": 17, "macOS15": 18}


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """One precision.

    Attributes:
        name: As given to `--precision`.
        label: As written in a bundle's manifest.
        summary: One line for people.
        floating: `fp16` or `fp32`.
        weights: How constant matrices are stored.
        activations: Whether what goes into products with constants is quantised to int8.
    """

    name: str
    label: str
    summary: str
    floating: str
    weights: Weights = FLOAT_WEIGHTS
    activations: bool = False

    @property
    def earliest(self) -> int:
        """The first iOS version that runs it."""
        return max(self.weights.earliest, 17 if self.activations else 16)


PRECISIONS: Mapping[str, Precision] = {
    item.name: item
    for item in (
        Precision(
            name="fp32", label="fp32", summary="as trained; no Neural Engine",
            floating="fp32",
        ),
        Precision(
            name="fp16", label="fp16", summary="float16, float32 where ranges need it",
            floating="fp16",
        ),
        Precision(
            name="int8", label="int8-weights", summary="int8 weights per output channel, float16 activations",
            floating="fp16", weights=Weights(bits=8),
        ),
        Precision(
            name="int8-block32", label="int8-weights-block32", summary="int8 weights per 32 inputs, float16 rest",
            floating="fp16", weights=Weights(bits=8, block=32),
        ),
        Precision(
            name="palette6", label="palette6", summary="64 weight values per 16 output channels, float16 activations",
            floating="fp16", weights=Weights(bits=6, group=16),
        ),
        Precision(
            name="palette4", label="palette4", summary="16 weight values per 8 output channels, float16 activations",
            floating="fp16", weights=Weights(bits=4, group=8),
        ),
        Precision(
            name="w8a8", label="w8a8", summary="int8 weights per output channel, int8 activations of calibrated ranges",
            floating="fp16", weights=Weights(bits=8), activations=True,
        ),
    )
}  # fmt: skip


def find_precision(name: str) -> Precision:
    """Find a precision.

    Raises:
        ExportError: there is none of this name.
    """
    if name in PRECISIONS:
        return PRECISIONS[name]
    raise ExportError(
        f"Core ML has no precision {name!r}{did_you_mean(name, PRECISIONS, lead=': ')}; "
        f"choose from {', '.join(PRECISIONS)}"
    )


def target_version(name: str, wanted: Precision) -> int:
    """The iOS version of a deployment target that can run a precision.

    Raises:
        ExportError: there is no such target, or it is too old.
    """
    if name not in TARGETS:
        raise ExportError(f"expected a Core ML target of {', '.join(TARGETS)}, got {name!r}")
    if TARGETS[name] < wanted.earliest:
        raise ExportError(
            f"precision {wanted.name} needs iOS{wanted.earliest} or macOS{wanted.earliest - 3}, got {name}: "
            "choose a later target or another precision"
        )
    return TARGETS[name]
