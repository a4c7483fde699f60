"""What is measured side by side: a bundle and its checkpoint, and a part of the published sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps.measure.peers.table import Peer
from vljepa_apps.measure.side_by_side.run import Subject
from vljepa_runtime.contract import PREDICTOR, X_ENCODER

if TYPE_CHECKING:
    from vljepa_runtime import Model

__all__ = ["ROUNDS", "full_size", "of_bundle"]

ROUNDS = 40
MAX_CELL_S = 20.0
FULL_ROUNDS, FULL_MAX_CELL_S = 12, 240.0  # a window in float32 takes seconds: seven rounds of seven lines
FULL_STREAM_S = 20.0
TYPES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}


def of_bundle(
    model: Model, spec: str, *, engine: str, checkpoint: Path, peers: Sequence[Peer], rounds: int
) -> Subject:
    """A bundle, and peers on the checkpoint that it was exported from.

    Args:
        model: The bundle, loaded.
        spec: Its path or name.
        engine: That it runs on.
        checkpoint: Its networks.
        peers: The other lines; one that would be the same bundle again is left out.
        rounds: Timed runs per cell.
    """
    manifest = model.bundle.manifest
    kinds = {TYPES.get(execution, "fp32") for execution in manifest.execution.values()} or {"fp32"}
    labels = set(manifest.precision.values())
    attention = min(kinds)
    is_int8 = any("int8" in label and "weights" not in label for label in labels)
    named = Peer(
        name="bundle",
        title=f"ours, {manifest.name} ({', '.join(sorted(labels))})",
        module="ours",
        products="int8" if is_int8 else attention,
        attention=attention,
        install="",
        device="cuda" if "cuda" in model.engine_name else "cpu",
        ours=True,
        options={"bundle": spec, "engine": engine},
    )
    others = tuple(peer for peer in peers if not _is_same(peer, manifest.target, labels))
    return Subject(
        title=manifest.name,
        checkpoint=checkpoint,
        peers=(named, *others),
        rounds=rounds,
        max_cell_s=MAX_CELL_S,
    )


def full_size(folder: Path, peers: Sequence[Peer], *, rounds: int) -> Subject:
    """Whole width and an eighth of the depth of the published sizes, with random weights.

    Args:
        folder: The checkpoint is written there.
        peers: The lines.
        rounds: Timed runs per cell, of which no more are made than take minutes.
    """
    from vljepa_apps.measure.peers.full_size import LAYERS, write_full_size

    (eyes, all_eyes), (mind, all_mind) = LAYERS[X_ENCODER], LAYERS[PREDICTOR]
    return Subject(
        title=f"Full size: {eyes} of {all_eyes} layers of ViT-L, {mind} of {all_mind} of the predictor",
        checkpoint=write_full_size(folder),
        peers=tuple(peers),
        graphs=(X_ENCODER, PREDICTOR),
        rounds=min(rounds, FULL_ROUNDS),
        warmup=0,
        max_cell_s=FULL_MAX_CELL_S,
        stream_s=FULL_STREAM_S,
    )


def _is_same(peer: Peer, target: str, labels: set[str]) -> bool:
    """Whether our row would be exported to what the bundle is."""
    if not peer.ours or peer.options["format"] != target or peer.device != "cpu":
        return False
    from vljepa_quant import precisions_of

    return labels == {precisions_of(target)[peer.options["precision"]].label}
