"""Whether a bundle still tells what it knows from what it does not: recorded at its export, judged where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.gates.behaviour import STRIDE_S
from vljepa_evaluation.gates.footage import Footage, footage_windows
from vljepa_evaluation.gates.verdict import Judgement
from vljepa_runtime.errors import InputError
from vljepa_runtime.files.values import Name, Positive
from vljepa_runtime.model import Model
from vljepa_runtime.states import pool_tokens

__all__ = ["NoveltyEntry", "NoveltyRecord", "draw_probes", "judge_novelty", "record_novelty"]

DRIFT = 0.05  # of the distances over the threshold, their median; OpenVINO and other CPUs move it by less than 0.02
SHARE = 0.1  # of windows or probes that may be told otherwise
PROBES, SIDE, CELLS = 8, 48, (1, 2, 4, 8, 12, 16, 24, 48)
FIRST_SEED = 8_000
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoveltyRecord:
    """Distances over the threshold: above 1 is unknown.

    Attributes:
        probes: Pictures of nothing that any model knows.
        known: (W,) of the windows of the recorded footage.
        outside: (P,) of the probes, each shown as a still.
    """

    probes: Footage
    known: Array
    outside: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class NoveltyEntry:
    """Names of a record's arrays in a reference's file."""

    pixels: Name
    times_s: Name
    shape: tuple[Positive, ...]
    known: Name
    outside: Name

    @classmethod
    def of(cls, record: NoveltyRecord, add: Callable[[Array], str]) -> NoveltyEntry:
        """Store the arrays by `add`, which names them."""
        return cls(
            pixels=add(record.probes.packed()),
            times_s=add(record.probes.times_s),
            shape=record.probes.frames.shape,
            known=add(record.known),
            outside=add(record.outside),
        )

    def read(self, arrays: Mapping[str, Array]) -> NoveltyRecord:
        """What was stored.

        Raises:
            InputError: the arrays are something else.
            KeyError: one of them is missing.
        """
        probes = Footage.unpacked(arrays[self.pixels], self.shape, arrays[self.times_s])
        known, outside = arrays[self.known], arrays[self.outside]
        if known.ndim != 1 or outside.shape != (len(probes.frames),) or not len(known):
            raise InputError(
                f"expected a distance per window and probe, got {known.shape} and {outside.shape}"
            )
        return NoveltyRecord(probes=probes, known=known, outside=outside)


def draw_probes() -> Footage:
    """Blocks of random colours, from single pixels to halves of the picture.

    Examples:
        >>> from vljepa_evaluation.gates import draw_probes
        >>> draw_probes().frames.shape
        (8, 48, 48, 3)
    """
    frames = []
    for index, cells in enumerate(CELLS):
        rng = np.random.default_rng([FIRST_SEED, index])
        small = rng.integers(0, 32, (cells, cells, 3), dtype=np.uint8)
        frames.append(np.kron(small, np.ones((SIDE // cells, SIDE // cells, 1), np.uint8)))
    five_bits = np.stack(frames).astype(np.uint8)
    return Footage(
        frames=np.asarray(five_bits << 3 | five_bits >> 2, np.uint8),
        times_s=np.arange(PROBES + 1, dtype=np.float64),
    )


def record_novelty(model: Model, footage: Sequence[Footage], probes: Footage) -> NoveltyRecord:
    """What a bundle itself gives, on an engine.

    Args:
        model: Of a bundle with a calibration.
        footage: What it knows.
        probes: What it does not.

    Examples:
        >>> from vljepa_evaluation.gates import draw_footage, draw_probes, record_novelty
        >>> from vljepa_runtime import load
        >>> record = record_novelty(load("tiny"), draw_footage()[:1], draw_probes())
        >>> record
        NoveltyRecord(probes=Footage(...), known=array(...), outside=array(...))
        >>> bool((record.outside > 1).all())
        True
    """
    frames, pre = model.preprocess.frames, model.preprocess
    windows = [each.clip for part in footage for each in footage_windows(part, pre, STRIDE_S)]
    stills = [np.repeat(frame[None], frames, axis=0) for frame in probes.frames]
    return NoveltyRecord(
        probes=probes,
        known=_ratios(model, [model.encode(clip) for clip in windows]),
        outside=_ratios(model, [model.encode(still) for still in stills]),
    )


def judge_novelty(model: Model, record: NoveltyRecord | None, footage: Sequence[Footage] | None) -> Judgement:
    """Whether known footage is still kept and the probes are still refused, at the distances that were recorded.

    Examples:
        >>> from vljepa_evaluation.gates import Reference, judge_novelty
        >>> from vljepa_runtime import load
        >>> model = load("tiny")
        >>> reference = Reference.of(model.bundle)
        >>> judge_novelty(model, reference.novelty, reference.usage.footage).misses
        ()
    """
    if model.novelty is None:
        return Judgement(name="novelty", absent="the bundle has no calibration of what it knows")
    if record is None or footage is None:
        return Judgement(name="novelty", absent="nothing was recorded to judge its calibration with")
    here = record_novelty(model, footage, record.probes)
    if len(here.known) != len(record.known):
        windows = f"expected {len(record.known)} windows of the recorded footage, got {len(here.known)}"
        return Judgement(name="novelty", misses=(windows,))
    pairs = {"known footage": (here.known, record.known), "probes": (here.outside, record.outside)}
    missed = [miss for what, (now, then) in pairs.items() for miss in _misses(what, now, then)]
    return Judgement(name="novelty", misses=tuple(missed))


def _misses(what: str, now: Array, then: Array) -> list[str]:
    found = []
    drift = float(np.median(np.abs(np.log(now / then))))
    if not drift <= DRIFT:
        found.append(f"expected distances of {what} within {DRIFT:.0%} of the recorded ones, got {drift:.0%}")
    share = float(((now > 1) != (then > 1)).mean())
    if not share <= SHARE:
        found.append(
            f"expected at most {SHARE:.0%} of {what} to be told otherwise than at the export, got {share:.0%}"
        )
    return found


def _ratios(model: Model, visual: Sequence[Array]) -> Array:
    novelty, spec = model.novelty, model.bundle.manifest.novelty
    if novelty is None or spec is None:
        raise InputError(f"{model.bundle.name} has no calibration of what it knows: export it again")
    pooled = np.stack([pool_tokens(tokens) for tokens in visual])
    return np.asarray(np.maximum(novelty.distances(pooled) / spec.threshold, 1e-6), np.float32)
