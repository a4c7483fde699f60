"""What a run does, in numbers: frozen dataclasses, to JSON and back, and the rate that two share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vljepa_model.errors import ConfigError
from vljepa_runtime.files import plain, read_record

__all__ = ["RunSettings", "plateau_rate"]

S = TypeVar("S", bound="RunSettings")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """A subclass's fields are numbers, enums, and tuples of numbers."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: tuples become lists, enums their values."""
        found: dict[str, Any] = plain(self)
        return found

    @classmethod
    def from_dict(cls: type[S], values: Mapping[str, Any]) -> S:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: a key is unknown, or a value does not fit.
        """
        return read_record(cls, values, cls.__name__, error=ConfigError)


def plateau_rate(step: int, *, steps: int, warmup: int, decay: float, joined: int = 0) -> float:
    """A step's learning rate as a share of the peak: linear warm-up, plateau, linear fall to zero.

    Args:
        step: Number of the step, from 0.
        steps: Length of the run.
        warmup: Steps in which the rate rises.
        decay: Share of the run, at its end, over which the rate falls.
        joined: A step at which further networks join: from it on there is a second warm-up.
    """
    start = steps * (1 - decay)
    falling = (steps - step) / max(steps - start, 1) if step > start else 1.0
    since = step - joined if step >= joined else step
    return min((since + 1) / warmup, falling) if warmup else falling
