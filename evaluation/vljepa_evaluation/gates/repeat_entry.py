"""How a reference's file holds what the exported graphs gave: which array is what, and the texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy.typing as npt

from vljepa_evaluation.gates.environment import Environment
from vljepa_evaluation.gates.repeat import Answer, Probe, Repeat, Spread
from vljepa_evaluation.gates.sketches import SKETCHED
from vljepa_runtime.contract import TOKEN
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import AtMost
from vljepa_runtime.files.values import Name

__all__ = ["RepeatEntry"]

MAX_PROBES, MAX_CALLS = 64, 256  # per graph, and of one of them, each of which is run
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """Names of the arrays of one probe."""

    feeds: Mapping[Name, Name]
    rows: Name
    digests: Annotated[tuple[Name, ...], AtMost(MAX_CALLS)]

    def read(self, arrays: Mapping[str, Array]) -> Probe:
        rows = arrays[self.rows]
        if rows.ndim != 2 or rows.shape[1] != 1 + SKETCHED:
            raise InputError(f"expected sketches (R, {1 + SKETCHED}), got the shape {rows.shape}")
        feeds = {key: arrays[name] for key, name in self.feeds.items()}
        calls = feeds[TOKEN].shape[-1] if TOKEN in feeds else 1
        if len(self.digests) != calls:
            raise InputError(f"expected a digest for each of {calls} calls, got {len(self.digests)}")
        if not feeds or any(array.ndim < 2 or not array.size for array in feeds.values()):
            raise InputError("expected inputs with rows in a probe, got one without")
        return Probe(feeds=feeds, answer=Answer(digests=self.digests, rows=rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatEntry:
    """The texts of a `Repeat`, and the names of its arrays."""

    environment: Environment
    probes: Mapping[Name, Annotated[tuple[_Probe, ...], AtMost(MAX_PROBES)]]
    spreads: Mapping[Name, Spread]

    def __post_init__(self) -> None:
        if set(self.probes) != set(self.spreads):
            raise InputError("expected a spread for each graph that was asked")

    @classmethod
    def of(cls, recorded: Repeat, add: Callable[[Array], str]) -> RepeatEntry:
        """Store the arrays by `add`, which names them."""
        probes = {
            name: tuple(
                _Probe(
                    feeds={key: add(array) for key, array in probe.feeds.items()},
                    rows=add(probe.answer.rows),
                    digests=probe.answer.digests,
                )
                for probe in group
            )
            for name, group in recorded.probes.items()
        }
        return cls(environment=recorded.environment, probes=probes, spreads=recorded.spreads)

    def read(self, arrays: Mapping[str, Array]) -> Repeat:
        """The record, with the arrays of the file."""
        probes = {name: tuple(probe.read(arrays) for probe in group) for name, group in self.probes.items()}
        return Repeat(environment=self.environment, probes=probes, spreads=self.spreads)
