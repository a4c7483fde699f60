"""Which tubelets to encode when not all are wanted: those with structure or motion come first.

V-JEPA 2's encoder was trained on partial token sets; the shipped model was trained on random subsets
and on subsets three quarters of which this module's saliency chose.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError

__all__ = ["saliency", "salient_tokens"]


def saliency(patches: npt.NDArray[np.uint8], *, tubelets_in_time: int = 1) -> npt.NDArray[np.float32]:
    """Score tubelets by spatial contrast plus change over time.

    Args:
        patches: (N, P) uint8 of one full window, ordered (t, h, w); for change over time, P must be even.
        tubelets_in_time: Tubelets along time; above 1, change against the window's mean at that place counts.

    Returns:
        (N,) float32, larger is more informative.
    """
    # One contiguous row per tubelet and colour: ten times faster than reducing over strided pixels.
    values = np.ascontiguousarray(
        patches.reshape(len(patches), -1, 3)[:, ::2].transpose(0, 2, 1), dtype=np.float32
    )
    mean = values.mean(axis=2)
    squares = np.einsum("ncp,ncp->nc", values, values) / values.shape[2]
    contrast = np.sqrt(np.maximum(squares - mean * mean, 0)).mean(axis=1)
    if tubelets_in_time < 2:
        return np.asarray(contrast, np.float32)
    places = mean.reshape(tubelets_in_time, -1, 3)
    drift = np.abs(places - places.mean(axis=0)).mean(axis=2).reshape(-1)
    halves = patches.reshape(len(patches), 2, -1)[:, :, ::3].astype(np.int16)
    motion = np.abs(halves[:, 0] - halves[:, 1]).mean(axis=1)
    return np.asarray(contrast + 2 * drift + 2 * motion, np.float32)


def salient_tokens(
    patches: npt.NDArray[np.uint8], keep: int, *, tubelets_in_time: int = 1
) -> npt.NDArray[np.int64]:
    """Indices of the `keep` most salient tubelets, in token order.

    Args:
        patches: (N, P) uint8 of one full window.
        keep: How many tokens stay, 1..N.
        tubelets_in_time: See `saliency`.

    Returns:
        (keep,) int64, ascending.

    Raises:
        InputError: `keep` is outside 1..N.
    """
    if not 1 <= keep <= len(patches):
        raise InputError(f"keep must be in 1..{len(patches)} tokens, got {keep}")
    score = saliency(patches, tubelets_in_time=tubelets_in_time)
    return np.sort(np.argpartition(-score, keep - 1)[:keep]).astype(np.int64)
