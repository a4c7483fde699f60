"""Who measures cells of a comparison: processes of this machine, one after the other, or workers of a cluster.

What is timed is not for this: times of different machines say nothing about each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vljepa_apps.cluster.ray_cluster import Cluster
from vljepa_apps.cluster.units import Results, Unit, key_of
from vljepa_apps.measure.compare.kept import code_version
from vljepa_apps.measure.worker import in_a_process

__all__ = ["CellWorker", "Elsewhere", "Measuring", "Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one process is asked for.

    Attributes:
        asked: As `in_a_process` takes it, without a `source`.
        depends: All that the answer depends on beside it.
    """

    asked: Mapping[str, Any]
    depends: Any

    @property
    def key(self) -> str:
        """Names the answer."""
        return key_of(code=code_version(), asked=dict(self.asked), depends=self.depends)


class Measuring(Protocol):
    """Gives the lines of orders."""

    def expect(self, orders: Sequence[Order]) -> None:
        """Say what will be asked for, in this order; something else may be asked for, too."""

    def lines(self, order: Order) -> Iterator[dict[str, Any]]:
        """See `in_a_process`."""


class CellWorker:
    """Measures on a cluster what `in_a_process` measures here."""

    def __call__(self, payload: Mapping[str, Any]) -> bytes:
        """All lines of an order."""
        return json.dumps(list(in_a_process(dict(payload)))).encode()


class Elsewhere:
    """What is expected is measured by a cluster, each order once; what is asked for without, by this machine.

    Args:
        cluster: Connected until the last order was asked for.
        folder: Where results are kept until they are asked for, also over a kill of this process.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._results = cluster, Results(folder)
        self._expected: set[str] = set()

    def expect(self, orders: Sequence[Order]) -> None:
        """See `Measuring`."""
        self._expected = {order.key for order in orders}
        units = [Unit(key=order.key, payload=order.asked) for order in orders]
        self._results.begin(self._cluster, CellWorker, units)

    def lines(self, order: Order) -> Iterator[dict[str, Any]]:
        """See `Measuring`."""
        key = order.key
        if key not in self._expected:
            yield from in_a_process(dict(order.asked))
            return
        self._expected.discard(key)
        yield from json.loads(self._results.wait(key))
        self._results.drop(key)
