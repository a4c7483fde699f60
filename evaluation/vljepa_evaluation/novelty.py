"""Fits what says that a window shows nothing known: Gaussians over pooled visual tokens, and a threshold."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from vljepa_data.world import HandBank, Split, make_clip, make_stream
from vljepa_evaluation.tasks.hands import hand_clips
from vljepa_evaluation.tasks.streams import windows_of
from vljepa_runtime import Clip, Model, Preprocess
from vljepa_runtime.bundle import NoveltySpec
from vljepa_runtime.errors import InputError
from vljepa_runtime.novelty import NOVELTY_FILE, Novelty
from vljepa_runtime.states import pool_tokens

__all__ = [
    "FIRST_KNOWN",
    "LEAST_WINDOWS",
    "FittedNovelty",
    "KnownWindows",
    "fit_novelty",
    "known_world",
    "pooled_windows",
]

FIRST_KNOWN = 60_000
"""Seeds of the clips and streams that are known begin here; no task or gate is judged on them."""
RANK = 48  # directions of each recording; 32 and 96 keep and refuse the same within 1 % (docs/unknown.md)
PER_DIRECTION = 4  # windows at least for each, or their variance is noise
LEAST_WINDOWS = 32  # of a recording
FOLDS = 4
KEPT = 0.99  # share of windows, each held out of the fit, within the threshold
LEAST_VARIANCE = 1e-9  # where all windows are the same
LEAST_THRESHOLD = 1.0  # which is what known windows have on average
STREAM_S = 20.0
SHAPES = ((96, 8.0), (240, 8.0), (160, 5.0))  # side and rate of the streams, in turn
Array = npt.NDArray[np.floating]
Shown = npt.NDArray[np.uint8] | Clip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownWindows:
    """One kind of what a model knows.

    Attributes:
        rows: (W, D) visual tokens of its windows, see `pool_tokens`.
        takes: (W,) numbers: windows of one file or stream have the same one, and are left out of a fit together.
    """

    rows: Array
    takes: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def folds(self) -> npt.NDArray[np.integer]:
        """(W,) the fold of each: whole takes, or parts of them where one has most of the windows."""
        _, takes, sizes = np.unique(self.takes, return_inverse=True, return_counts=True)
        loads, fold_of = np.zeros(FOLDS, int), np.zeros(len(sizes), int)
        for take in np.argsort(-sizes, kind="stable"):
            fold_of[take] = loads.argmin()
            loads[fold_of[take]] += sizes[take]
        if 2 * loads.max() > len(takes):
            return np.arange(len(takes)) * FOLDS // len(takes)
        return np.asarray(fold_of[takes])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedNovelty:
    """What a bundle gets.

    Attributes:
        novelty: The distances.
        spec: What its manifest says of them.
    """

    novelty: Novelty
    spec: NoveltySpec


def fit_novelty(known: Mapping[str, KnownWindows]) -> FittedNovelty:
    """Fit a Gaussian to each kind of what is known, and the threshold to what windows left out of the fit are away.

    Args:
        known: By what it shows.

    Raises:
        InputError: there is none, or one has fewer than LEAST_WINDOWS windows.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.novelty import KnownWindows, fit_novelty
        >>> rows = np.random.default_rng(0).normal(1, 0.1, (400, 16))
        >>> fitted = fit_novelty({"a door": KnownWindows(rows=rows, takes=np.arange(400) // 20)})
        >>> fitted.spec.data, fitted.spec.windows, fitted.spec.kept >= 0.99
        ('a door', 400, True)
        >>> (fitted.novelty.distances(np.array([np.ones(16), np.zeros(16)])) > fitted.spec.threshold).tolist()
        [False, True]
    """
    small = [f"{len(each)} of {name}" for name, each in known.items() if len(each) < LEAST_WINDOWS]
    if small or not known:
        raise InputError(
            f"expected at least {LEAST_WINDOWS} windows of each kind, got {', '.join(small) or 'none'}: add clips"
        )
    kinds = list(known.values())
    held_out = np.concatenate([_held_out(kinds, fold) for fold in range(FOLDS)])
    threshold = max(LEAST_THRESHOLD, float(np.quantile(held_out, KEPT, method="higher")))
    spec = NoveltySpec(
        file=NOVELTY_FILE,
        threshold=threshold,
        windows=len(held_out),
        data=", ".join(known),
        kept=round(float((held_out <= threshold).mean()), 4),
    )
    return FittedNovelty(novelty=_fitted([each.rows for each in kinds]), spec=spec)


def known_world(
    pre: Preprocess, *, windows: int, hands: HandBank | None = None
) -> Iterator[tuple[str, Iterator[tuple[int, Shown]]]]:
    """What a model of the procedural world knows, by name: takes and windows, half short clips, half of streams.

    Args:
        pre: Cuts the windows.
        windows: How many at least.
        hands: Photographs of hand signs, a second kind.
    """
    yield "procedural world", chain(_clips(pre, windows // 2), _of_streams(pre, windows - windows // 2))
    if hands:
        yield "hand signs", ((seed, clip.frames) for seed, clip in hand_clips(hands, FIRST_KNOWN))


def pooled_windows(model: Model, windows: Iterable[tuple[Hashable, Shown]]) -> KnownWindows:
    """Windows with what they were taken from, each encoded alone as a session does."""
    numbers: dict[Hashable, int] = {}
    takes: list[int] = []
    rows: list[Array] = []
    for take, window in windows:
        takes.append(numbers.setdefault(take, len(numbers)))
        rows.append(pool_tokens(model.encode(window)))
    return KnownWindows(rows=np.stack(rows) if rows else np.zeros((0, 1)), takes=np.array(takes, np.int64))


def _clips(pre: Preprocess, count: int) -> Iterator[tuple[int, Shown]]:
    for seed in range(FIRST_KNOWN, FIRST_KNOWN + count):
        yield seed, make_clip(seed, Split.TEST, size=pre.size, frames=pre.frames).frames


def _of_streams(pre: Preprocess, count: int) -> Iterator[tuple[int, Shown]]:
    """Windows of streams, of several sizes and rates so that fitting and held pictures have a part."""
    number = 0
    while count > 0:
        size, fps = SHAPES[number % len(SHAPES)]
        stream = make_stream(FIRST_KNOWN + number, Split.TEST, minutes=STREAM_S / 60, size=size, fps=fps)
        for window in windows_of(stream, pre, 1.0):
            yield -number, window.clip
            count -= 1
        number += 1


def _fitted(kinds: Sequence[Array]) -> Novelty:
    rank = max(1, min(RANK, kinds[0].shape[1] - 1, *(len(rows) // PER_DIRECTION for rows in kinds)))
    parts = [_gaussian(np.asarray(rows, np.float64), rank) for rows in kinds]
    mean, directions, variances, rest = (np.stack(each) for each in zip(*parts))
    fitted = Novelty(mean=mean, directions=directions, variances=variances, rest=rest)
    return Novelty.from_bytes(fitted.to_bytes())  # as it will be read: the threshold is that of these numbers


def _gaussian(rows: Array, rank: int) -> tuple[Array, Array, Array, Array]:
    """Mean, directions, variances along them, and the mean variance of the other directions."""
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(rows - mean, rowvar=False))
    values, vectors = np.maximum(values[::-1], LEAST_VARIANCE), vectors[:, ::-1]
    return mean, vectors[:, :rank].T, values[:rank], values[rank:].mean()


def _held_out(kinds: Sequence[KnownWindows], fold: int) -> Array:
    """Distances of a part of all windows to what is fitted to the others."""
    parts = [each.folds == fold for each in kinds]
    fitted = _fitted([each.rows[~part] for each, part in zip(kinds, parts)])
    return np.concatenate([fitted.distances(each.rows[part]) for each, part in zip(kinds, parts)])
