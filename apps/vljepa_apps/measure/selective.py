"""What selective decoding saves: quality of the words against decodings per minute, per policy, on long streams."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_apps import console
from vljepa_apps.measure.figures import new_figure, save_figure
from vljepa_apps.tables import Table
from vljepa_evaluation.boundaries import fit_boundaries
from vljepa_evaluation.metrics import held_out, ratios
from vljepa_evaluation.tasks import (
    FIRST_STREAM,
    FIRST_TUNING,
    StreamPlan,
    curves,
    find_events,
    policies,
    record,
)
from vljepa_runtime import OfflineSelection, OnlineSelection
from vljepa_runtime.files import replace_file
from vljepa_runtime.selection import BOUNDARIES_FILE, Boundaries, BoundaryNet

if TYPE_CHECKING:
    from vljepa_evaluation.metrics import Curve, Estimate, HeldOut, Ratio
    from vljepa_evaluation.tasks import FoundEvents, Recording
    from vljepa_runtime import Model, Policy

__all__ = ["Savings", "draw", "measure_savings", "tables"]

CURVE_HEADER = ("policy", "setting", "decodings/min", "CIDEr-D", "95 %")
HELD_OUT_HEADER = (
    "policy",
    "setting",
    "decodings/min",
    "fewer than 1 Hz",
    "95 %",
    "CIDEr-D gain",
    "95 %",
    "of the oracle's saving",
    "95 %",
)
RATIO_HEADER = ("policy", "fewer than 1 Hz", "95 %", "than sparsest uniform", "than the oracle", "95 %")
EVENTS_HEADER = ("policy", "missed", "spurious a minute", "told after, median", "90 %")
STRIDES_S = (0.5, 1.0)  # that networks are fitted to
HERTZ = 60.0  # decodings a minute of what is compared with
FOLDS = 4  # of the streams that settings are chosen on: the network of each is fitted to the others


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
        events: How the segments of selection fit the true events, per way to see a change.
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
    events: Mapping[str, FoundEvents]

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
            "events": {name: asdict(found) for name, found in self.events.items()},
        }


def measure_savings(
    model: Model, plan: StreamPlan, *, streams: int, tuning: int, folder: Path, hands: Path | None = None
) -> Savings:
    """Record, decode and score; what tells events apart is fitted to the tuning streams and kept beside the recordings.

    With fewer tuning streams than it can be fitted to, it is what the bundle brings.

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
    known, unseen = recordings[:tuning], recordings[tuning:]
    nets = _fit(known, plan)
    bundled = () if nets or model.boundaries is None else model.boundaries.nets_of(plan.query)
    net = next((each for each in (*nets, *bundled) if each.fits(plan.stride_s)), None)
    measured = _curves("decoding", unseen, model, _same(net))
    chosen_on = (
        _curves("decoding, tuning", known, model, _of_others(known, plan) if nets else _same(net))
        if tuning
        else ()
    )
    if nets:
        data = f"procedural world{', hand signs' if hands else ''}"
        found = Boundaries(nets=tuple(nets), query=plan.query, data=data, streams=tuning)
        replace_file(folder.parent / BOUNDARIES_FILE, found.to_bytes())
    ways: dict[str, Policy] = {"online": OnlineSelection()}
    if net is not None:
        ways["online, network"] = OnlineSelection(boundaries=(net,))
        ways["online, network, at once"] = OnlineSelection(boundaries=(net,), confirm=False)
        ways["offline, network"] = OfflineSelection(boundaries=(net,))
    return Savings(
        bundle=model.bundle.name,
        engine=model.engine_name,
        plan=plan,
        recordings=unseen,
        curves=measured,
        ratios=ratios(measured),
        tuning=chosen_on,
        tuning_streams=tuning,
        held_out=held_out(chosen_on, measured) if tuning else (),
        events={name: find_events([policy] * len(unseen), unseen) for name, policy in ways.items()},
    )


def _fit(known: Sequence[Recording], plan: StreamPlan) -> list[BoundaryNet]:
    """A network for each stride that a whole number of the plan's makes."""
    strides = [s for s in STRIDES_S if abs(s / plan.stride_s - round(s / plan.stride_s)) < 0.01]
    return [fit_boundaries(known, stride_s=stride_s) for stride_s in strides] if len(known) >= FOLDS else []


def _same(net: BoundaryNet | None) -> Callable[[Recording], BoundaryNet] | None:
    return None if net is None else lambda _: net


def _of_others(known: Sequence[Recording], plan: StreamPlan) -> Callable[[Recording], BoundaryNet]:
    """The network for each of these streams, fitted to streams of other folds."""
    nets = [
        fit_boundaries([each for n, each in enumerate(known) if n % FOLDS != fold], stride_s=plan.stride_s)
        for fold in range(FOLDS)
    ]
    fold_of = {recording: number % FOLDS for number, recording in enumerate(known)}
    return lambda recording: nets[fold_of[recording]]


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


def _curves(
    label: str, recordings: Sequence[Recording], model: Model, net: Callable[[Recording], BoundaryNet] | None
) -> tuple[Curve, ...]:
    """Every policy's words for every stream, scored."""
    with console.Progress(label, total=1.0) as progress:
        return curves(recordings, model.decode, swept=policies(net), progress=progress.update)


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
    yield Table("events", [_events_row(*each) for each in found.events.items()], EVENTS_HEADER)
    if found.held_out:
        chosen = [_held_out_row(each) for each in found.held_out]
        yield Table("settings chosen on other streams", chosen, HELD_OUT_HEADER)


def _ratio_row(r: Ratio) -> tuple[str, ...]:
    return (
        r.policy,
        f"{r.ratio.value:.2f}x" if r.ratio else "never as good",
        f"{r.ratio.low:.2f}-{r.ratio.high:.2f}" if r.ratio else "n/a",
        f"{r.against_sparsest:.2f}x" if r.against_sparsest else "n/a",
        *_with_interval(r.against_oracle, "{:.2f}x", "{:.2f}"),
    )


def _events_row(name: str, found: FoundEvents) -> tuple[str, ...]:
    middle, most = np.percentile(found.delays_s, (50, 90)) if found.delays_s else (np.nan, np.nan)
    missed, spurious = found.missed / max(1, found.events), found.spurious / found.minutes
    told = ("at the end",) * 2 if name.startswith("offline") else (f"{middle:.1f} s", f"{most:.1f} s")
    return (name, f"{missed:.1%}", f"{spurious:.2f}", *told)


def _held_out_row(s: HeldOut) -> tuple[str, ...]:
    return (
        s.policy,
        f"{s.setting:g}",
        f"{s.per_minute:.2f}",
        f"{s.fewer.value:.2f}x",
        f"{s.fewer.low:.2f}-{s.fewer.high:.2f}",
        f"{s.gain.value:+.3f}",
        f"{s.gain.low:+.3f} to {s.gain.high:+.3f}",
        *_with_interval(s.of_oracle, "{:.1%}", "{:.1%}"),
    )


def _with_interval(found: Estimate | None, value: str, bound: str) -> tuple[str, str]:
    if found is None:
        return "n/a", "n/a"
    return value.format(found.value), f"{bound.format(found.low)}-{bound.format(found.high)}"


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Draw CIDEr against decodings per minute for every policy, and where uniform decoding at 1 Hz is.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure(1, width=7)
    for curve in curves:
        points = sorted(
            (rate, q.value, q.low, q.high) for rate, q in zip(curve.rates.tolist(), curve.quality) if rate
        )
        rate, value, low, high = np.array(points).reshape(-1, 4).T
        if len(rate) == 1:
            axes.errorbar(
                rate, value, (value - low, high - value), fmt="*k", ms=10, zorder=3, label=curve.policy
            )
            continue
        style = "--" if "pooled" in curve.policy else "-"
        (line,) = axes.plot(rate, value, style, marker="o", ms=3, label=curve.policy)
        axes.fill_between(rate, low, high, alpha=0.12, color=line.get_color(), lw=0)
        if curve.policy == "uniform":
            axes.axhline(np.interp(HERTZ, rate, value), color="0.7", lw=0.8)
    axes.axvline(HERTZ, color="0.7", lw=0.8)
    axes.set(xscale="log", xlabel="decodings per minute", ylabel="CIDEr-D of the nearest output")
    axes.legend(frameon=False)
    axes.grid(alpha=0.2)
    save_figure(figure, path)
