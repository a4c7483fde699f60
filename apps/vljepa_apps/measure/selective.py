"""What selective decoding saves: quality of the words against decodings per minute, per policy, on long streams."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_apps import console
from vljepa_apps.measure.figures import new_figure, save_figure
from vljepa_apps.tables import Table
from vljepa_evaluation.metrics import held_out, ratios
from vljepa_evaluation.tasks import FIRST_STREAM, FIRST_TUNING, StreamPlan, curves, record

if TYPE_CHECKING:
    from vljepa_evaluation.metrics import Curve, HeldOut, Ratio
    from vljepa_evaluation.tasks import Recording
    from vljepa_runtime import Model

__all__ = ["Savings", "draw", "measure_savings", "tables"]

CURVE_HEADER = ("policy", "setting", "decodings/min", "CIDEr-D", "95 %")
HELD_OUT_HEADER = ("policy", "setting", "decodings/min", "fewer than 1 Hz", "95 %", "CIDEr-D gain", "95 %")
RATIO_HEADER = ("policy", "fewer than 1 Hz", "95 %", "than sparsest uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What was measured.

    Attributes:
        bundle: Its name.
        engine: What ran.
        plan: Length of a stream and seconds between its windows.
        recordings: One per stream.
        curves: Quality against decodings on them, one per policy.
        ratios: Decodings saved at equal quality, one per policy.
        tuning: Curves on the streams that settings were chosen on; none without such streams.
        tuning_streams: How many those were.
        held_out: What the settings chosen there save on `recordings`.
    """

    bundle: str
    engine: str
    plan: StreamPlan
    recordings: Sequence[Recording]
    curves: Sequence[Curve]
    ratios: Sequence[Ratio]
    tuning: Sequence[Curve]
    tuning_streams: int
    held_out: Sequence[HeldOut]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `curve.json`."""
        return {
            "bundle": self.bundle,
            "engine": self.engine,
            "streams": len(self.recordings),
            "minutes": self.plan.minutes,
            "stride_s": self.plan.stride_s,
            "annotations": sum(len(recording.references) for recording in self.recordings),
            "windows": sum(len(recording.embeddings) for recording in self.recordings),
            "curves": [curve.to_dict() for curve in self.curves],
            "ratios": [ratio.to_dict() for ratio in self.ratios],
            "tuning_streams": self.tuning_streams,
            "held_out": [each.to_dict() for each in self.held_out],
            "tuning_curves": [curve.to_dict() for curve in self.tuning],
        }


def measure_savings(
    model: Model, plan: StreamPlan, *, streams: int, tuning: int, folder: Path, hands: Path | None = None
) -> Savings:
    """Record, decode and score.

    Args:
        model: With a Y-decoder.
        plan: Length of a stream and seconds between its windows.
        streams: How many are measured.
        tuning: How many more a setting per policy is chosen on.
        folder: Keeps the recordings; those that it has are not made again.
        hands: Photographs of hand signs, for occasional hands in the streams.
    """
    seeds = [*range(FIRST_TUNING, FIRST_TUNING + tuning), *range(FIRST_STREAM, FIRST_STREAM + streams)]
    recordings = _record(model, plan, seeds, folder, hands)
    measured = _curves("decoding", recordings[tuning:], model)
    compared = ratios(measured)
    chosen_on = _curves("decoding, tuning", recordings[:tuning], model) if tuning else ()
    return Savings(
        bundle=model.bundle.name,
        engine=model.engine_name,
        plan=plan,
        recordings=recordings[tuning:],
        curves=measured,
        ratios=compared,
        tuning=chosen_on,
        tuning_streams=tuning,
        held_out=held_out(chosen_on, measured) if tuning else (),
    )


def _record(
    model: Model, plan: StreamPlan, seeds: Sequence[int], folder: Path, hands: Path | None
) -> list[Recording]:
    """Every stream's embeddings, those already in the folder read from there."""
    from vljepa_data.world import HandBank

    key = fingerprint(model)
    bank = HandBank.load(hands, "val") if hands else None
    recordings = []
    with console.Progress("embedding", total=len(seeds)) as progress:
        for number, seed in enumerate(seeds, start=1):
            recordings.append(
                record(model, seed, plan, model.preprocess, hands=bank, cache=folder, model_key=key)
            )
            progress.advance(detail=f"stream {number}")
    return recordings


def _curves(label: str, recordings: Sequence[Recording], model: Model) -> tuple[Curve, ...]:
    """Every policy's words for every stream, scored."""
    with console.Progress(label, total=1.0) as progress:
        return curves(recordings, model.decode, progress=progress.update)


def fingerprint(model: Model) -> str:
    """Names the bundle's weights and the engine, so that recordings of two models are never mixed."""
    manifest = model.bundle.manifest
    parts = [model.engine_name, *(f"{name} {spec.sha256}" for name, spec in sorted(manifest.files.items()))]
    return f"{manifest.name}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def tables(found: Savings) -> Iterator[Table]:
    """What was measured, for people."""
    points = [
        (curve.policy, f"{setting:g}", f"{rate:.2f}", f"{q.value:.3f}", f"{q.low:.3f}-{q.high:.3f}")
        for curve in found.curves
        for setting, rate, q in zip(curve.settings, curve.rates.tolist(), curve.quality)
    ]
    yield Table("curve", points, CURVE_HEADER)
    yield Table("fewer decodings at equal CIDEr", [_ratio_row(r) for r in found.ratios], RATIO_HEADER)
    if found.held_out:
        chosen = [_held_out_row(each) for each in found.held_out]
        yield Table("settings chosen on other streams", chosen, HELD_OUT_HEADER)


def _ratio_row(r: Ratio) -> tuple[str, ...]:
    return (
        r.policy,
        f"{r.ratio.value:.2f}x" if r.ratio else "never as good",
        f"{r.ratio.low:.2f}-{r.ratio.high:.2f}" if r.ratio else "n/a",
        f"{r.against_sparsest:.2f}x" if r.against_sparsest else "n/a",
    )


def _held_out_row(s: HeldOut) -> tuple[str, ...]:
    return (
        s.policy,
        f"{s.setting:g}",
        f"{s.per_minute:.2f}",
        f"{s.fewer.value:.2f}x",
        f"{s.fewer.low:.2f}-{s.fewer.high:.2f}",
        f"{s.gain.value:+.3f}",
        f"{s.gain.low:+.3f} to {s.gain.high:+.3f}",
    )


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Draw CIDEr against decodings per minute for every policy.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure(1, width=7)
    for curve in curves:
        points = sorted(
            (rate, q.value, q.low, q.high) for rate, q in zip(curve.rates.tolist(), curve.quality) if rate
        )
        rate, value, low, high = np.array(points).reshape(-1, 4).T
        style = "--" if "pooled" in curve.policy else "-"
        (line,) = axes.plot(rate, value, style, marker="o", ms=3, label=curve.policy)
        axes.fill_between(rate, low, high, alpha=0.12, color=line.get_color(), lw=0)
    axes.axvline(60, color="0.7", lw=0.8)
    axes.set(xscale="log", xlabel="decodings per minute", ylabel="CIDEr-D of the nearest output")
    axes.legend(frameon=False)
    axes.grid(alpha=0.2)
    save_figure(figure, path)
