"""Policies by name, as `--select` takes them."""

from __future__ import annotations

from collections.abc import Callable

from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.online import OnlineSelection
from vljepa_runtime.selection.protocol import Policy
from vljepa_runtime.selection.uniform import EveryWindow, Uniform
from vljepa_runtime.selection.ward import OfflineWard
from vljepa_runtime.suggestions import did_you_mean

__all__ = ["FORMS", "parse_policy"]

FORMS = "online | online:DECODINGS_PER_MINUTE | uniform:SECONDS | every | ward:SEGMENTS"
NAMES = ("online", "uniform", "every", "ward")


def parse_policy(spec: str) -> Policy:
    """Read a policy from text.

    Args:
        spec: `online`, `online:6` (at most about 6 decodings per minute), `uniform:2`, `every` or `ward:12`.

    Raises:
        InputError: no such policy, or its number is missing, wrong or not wanted.
    """
    if not isinstance(spec, str):
        raise InputError(f"expected a selection policy as text ({FORMS}), got {spec!r}")
    name, _, value = spec.strip().lower().partition(":")
    if name not in NAMES:
        hint = did_you_mean(name, NAMES, lead=", ")
        raise InputError(f"unknown selection policy {spec!r}{hint} Expected {FORMS}")
    if name == "every":
        if value:
            raise InputError(f"'every' takes no number, got {spec!r}: expected {FORMS}")
        return EveryWindow()
    if name == "online":
        return OnlineSelection(per_minute=_number(spec, value, float)) if value else OnlineSelection()
    if name == "uniform":
        return Uniform(_number(spec, value, float))
    return OfflineWard(int(_number(spec, value, int)))


def _number(spec: str, value: str, kind: Callable[[str], float]) -> float:
    try:
        return kind(value)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"expected {wanted} after ':', got {spec!r}: expected {FORMS}") from None
