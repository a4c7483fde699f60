"""What the size of a checkpoint decides: on how much a graph is measured, and whether the gates run end to end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vljepa_export.formats import Format

__all__ = ["CALIBRATION_SEED", "GRAPH_BY_GRAPH", "LARGE", "WHOLE", "Effort", "effort_for", "is_large"]

CALIBRATION_SEED = 10_000  # other clips than those that parity is measured on
LARGE = 256 << 20  # bytes of weights; below, everything fits in memory several times


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What an export can afford.

    Attributes:
        clips: Windows and texts that a graph is compared with torch on.
        calibration_clips: Those that activations are calibrated on.
        calibration_tokens: Most tokens of a window to calibrate on; 0 for all that are built for.
        end_to_end: Whether the whole bundle and the float model are shown the gates' scenes.
        mapped: Whether all weights lie beside the graphs, where engines can map them, or only those that graphs share.
        repeated: Samples of a graph, the last ones, that the bundle records its own outputs for.
        words: Words of the vocabulary that it records them for.
        fuse_from: Tokens from which a format that can takes fused attention in X-encoder and predictor; 0 for never.
    """

    clips: int
    calibration_clips: int
    calibration_tokens: int
    end_to_end: bool
    mapped: bool
    repeated: int
    words: int
    fuse_from: int


WHOLE = Effort(
    clips=8,
    calibration_clips=32,
    calibration_tokens=0,
    end_to_end=True,
    mapped=False,
    repeated=8,
    words=1024,
    fuse_from=0,
)
# At full size a clip costs a minute of torch, so there is a full window and a partial one. NNCF holds what every layer
# gave for all windows that it calibrates on. ONNX Runtime's fused attention needs no (N, N) scores in memory and makes
# ViT-L blocks over 2,048 tokens in int8 1.27 times as fast (two Zen 4 cores), those of the predictor 2.0 times (a core
# with AMX). Over 256 tokens it brings nothing.
GRAPH_BY_GRAPH = Effort(
    clips=2,
    calibration_clips=8,
    calibration_tokens=256,
    end_to_end=False,
    mapped=True,
    repeated=1,
    words=256,
    fuse_from=1024,
)


def is_large(folder: Path) -> bool:
    """Whether a checkpoint has gigabytes rather than megabytes."""
    weights = folder / "model.safetensors"
    return weights.is_file() and weights.stat().st_size >= LARGE


def effort_for(folder: Path, row: Format) -> Effort:
    """What the export of a checkpoint to a format can afford."""
    return GRAPH_BY_GRAPH if row.streamed and is_large(folder) else WHOLE
