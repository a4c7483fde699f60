"""The worst that was ever measured of a bundle, here and where it was exported, and what came near a limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TypeVar

from vljepa_evaluation.gates.agreement import Agreement
from vljepa_evaluation.gates.limits import Gates, Limits
from vljepa_evaluation.gates.parity import GraphParity
from vljepa_evaluation.gates.usage_agreement import UsageAgreement
from vljepa_runtime.bundle import Manifest, Parity

__all__ = ["end_to_end_gates", "near_limits", "near_misses", "worst_agreement", "worst_parity"]

NEAR = 0.8
"""Share of what a limit allows: who uses more of it comes near."""
Agreed = TypeVar("Agreed", Agreement, UsageAgreement)


def near_misses(gates: Gates) -> tuple[str, ...]:
    """The gates within 20 % of their limit, or beyond it, in words.

    Examples:
        >>> from vljepa_evaluation.gates import near_misses
        >>> near_misses({"worst cosine": (0.86, 0.85), "label agreement": (0.9, 0.85), "PSNR in dB": (36.0, 35.0)})
        ('worst cosine 0.86, limit 0.85', 'PSNR in dB 36, limit 35')
    """
    return tuple(
        f"{name} {value:.6g}, limit {floor:g}"
        for name, (value, floor) in gates.items()
        if not _used(value, floor) <= NEAR
    )


def near_limits(manifest: Manifest, limits: Callable[[str], Limits]) -> tuple[str, ...]:
    """What came near a limit where a bundle was exported, in words.

    Args:
        manifest: What it says of parity and gates.
        limits: What a precision, as the manifest names it, may cost.

    Examples:
        >>> from vljepa_evaluation.gates import EIGHT_BIT, near_limits
        >>> from vljepa_runtime import Bundle
        >>> near_limits(Bundle.open("tiny").manifest, lambda precision: EIGHT_BIT)
        ()
    """
    allowed = {name: limits(manifest.precision.get(name, "fp32")) for name in manifest.graphs}
    near = [
        f"{name}: {words}"
        for name, parity in manifest.parity.items()
        if name in allowed
        for words in near_misses(
            {
                "worst cosine": (parity.cosine, allowed[name].worst_cosine),
                "PSNR in dB": (parity.psnr_db, allowed[name].psnr_db),
            }
        )
    ]
    agreement, usage = _told(Agreement, manifest.gates), _told(UsageAgreement, manifest.gates)
    gates = end_to_end_gates(Limits.loosest(allowed.values()), agreement, usage) if allowed else {}
    return (*near, *near_misses(gates))


def end_to_end_gates(limits: Limits, agreement: Agreement | None, usage: UsageAgreement | None) -> Gates:
    """All gates end to end of what was measured."""
    gates = dict(limits.bundle_gates(agreement)) if agreement else {}
    return {**gates, **limits.picture_gates(usage), **limits.usage_gates(usage)} if usage else gates


def worst_parity(parity: GraphParity, told: Parity | None) -> GraphParity:
    """A graph's parity with what the manifest says of it, where that is worse."""
    if told is None:
        return parity
    return replace(
        parity,
        worst_cosine=min(parity.worst_cosine, told.cosine),
        max_abs=max(parity.max_abs, told.max_abs),
        psnr_db=min(parity.psnr_db, told.psnr_db),
    )


def worst_agreement(found: Agreed, told: Mapping[str, float]) -> Agreed:
    """What was found end to end with what the manifest says of it, where that is worse."""
    worse = {name: min(value, told.get(name, value)) for name, value in found.to_dict().items()}
    return replace(found, **worse)


def _used(value: float, floor: float) -> float:
    """The share of what a limit allows that is used up; decibels are levels of an error."""
    if floor > 1.0:
        return float(10.0 ** ((floor - value) / 20))
    return (1.0 - value) / (1.0 - floor) if floor < 1.0 else float(value < floor)


def _told(kind: type[Agreed], gates: Mapping[str, float]) -> Agreed | None:
    """What a manifest tells; None where it does not tell what must be known."""
    known = {item.name: gates[item.name] for item in fields(kind) if item.name in gates}
    try:
        return kind(**known)
    except TypeError:
        return None
