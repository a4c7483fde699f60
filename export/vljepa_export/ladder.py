"""A traced graph in the precision asked for, measured; outside its gates it takes the next milder one."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache

from vljepa_evaluation.gates import GraphParity, misses
from vljepa_export.made import Made
from vljepa_export.parity import compare, onnx_runner, require_float_parity
from vljepa_export.request import ExportRequest
from vljepa_export.targets.protocol import Target
from vljepa_export.walk import Walked
from vljepa_quant import Precision
from vljepa_runtime.peak_memory import peak_rss_mb

__all__ = ["Ladder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Converts graph by graph.

    Attributes:
        request: Precisions, and whether a milder one may take their place.
        target: The converter.
        budgets: Token counts to build for.
        keep: Whether a graph stays loaded once it was measured, for gates that run it again.
    """

    request: ExportRequest
    target: Target
    budgets: tuple[int, ...]
    keep: bool

    def make(self, item: Walked) -> Made:
        """A graph in the first precision that keeps its gates; the last one tried where none does.

        Raises:
            ParityError: the traced graph does not compute what torch computes.
        """
        started = time.monotonic()
        floats = compare(item.graph.contract, item.samples, onnx_runner(item.graph.path))
        require_float_parity(item.name, floats)
        made = self._convert(item, self.request.precisions[item.name], floats)
        made = replace(made, seconds=item.seconds + time.monotonic() - started)
        while made.misses and (milder := self.milder(made, made.misses)):
            made = milder
        return made

    def milder(self, made: Made, misses: tuple[str, ...]) -> Made | None:
        """A graph in the next milder precision, with what it missed; None where there is none or none is wanted."""
        name = made.precision.milder
        if name is None or not self.request.may_fall_back:
            return None
        started = time.monotonic()
        milder = self._convert(made.walked, self.request.format.precision(name), made.floats)
        return replace(
            milder,
            tried=(*made.tried, f"as {made.precision.name} {'; '.join(misses)}"),
            seconds=made.seconds + time.monotonic() - started,
        )

    def _convert(self, item: Walked, precision: Precision, floats: GraphParity) -> Made:
        """One graph in one precision, measured."""
        folder = item.graph.path.parent / f"{item.name}-{precision.name}"
        folder.mkdir()
        converted = self.target.convert(
            item.graph, precision, samples=item.calibration, budgets=self.budgets, folder=folder
        )
        if self.keep:
            converted = replace(converted, open=cache(converted.open))
        measured = floats  # of the traced graph itself
        if item.graph.path not in converted.files.values():
            measured = compare(item.graph.contract, item.samples, converted.open())
        return Made(
            walked=item,
            precision=precision,
            converted=converted,
            measured=measured,
            floats=floats,
            misses=misses(precision.limits.graph_gates(measured)) if converted.runs_here else (),
            peak_rss_mb=peak_rss_mb() or 0.0,
        )
