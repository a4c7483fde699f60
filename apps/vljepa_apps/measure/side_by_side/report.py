"""What a measurement side by side found, as data. Measures nothing and lays out nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.latency import Latency, times_faster
from vljepa_apps.measure.peers.worker import WINDOW
from vljepa_runtime.contract import PREDICTOR, X_ENCODER

if TYPE_CHECKING:
    from vljepa_apps.measure.peers.ceilings import Ceiling
    from vljepa_apps.measure.peers.table import Peer
    from vljepa_apps.measure.peers.workload import Operations
    from vljepa_evaluation.metrics import Estimate
    from vljepa_runtime import SessionStats

__all__ = ["FORMAT", "REFERENCE", "Line", "SideBySide", "Workplace"]

FORMAT = 1
REFERENCE = "torch-fp32"
"""What the others are so many times as fast as."""
OF_A_WINDOW = (X_ENCODER, PREDICTOR)


@dataclass(slots=True, kw_only=True)
class Line:
    """What was measured of one peer; filled as the measuring goes on.

    Attributes:
        peer: Which.
        detail: What ran: library, version, type.
        latency: Of each graph and of a window.
        cold_start_s: From the start of a process to its first embedding, the median of a few where that is short.
        peak_rss_mb: Most memory that its process held, a few windows embedded.
        cosine: The worst, over a few windows, of its embedding with that of float32.
        joules: Of a window; None where no sensor says.
        stream: A session over a whole stream; of the fastest of ours, where the checkpoint was to have one.
        missing: Why it could not be measured; empty where it was.
    """

    peer: Peer
    detail: str = ""
    latency: dict[str, Latency] = field(default_factory=dict)
    cold_start_s: float | None = None
    peak_rss_mb: float | None = None
    cosine: float | None = None
    joules: float | None = None
    stream: SessionStats | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """All peers on one checkpoint.

    Attributes:
        title: Of the checkpoint.
        operations: Of each graph; a window is X-encoder and predictor.
        tokens: Of a window.
        lines: One a peer.
    """

    title: str
    operations: Mapping[str, Operations]
    tokens: int
    lines: tuple[Line, ...]

    def faster(self, line: Line, cell: str = WINDOW) -> Estimate | None:
        """How many times as fast as `REFERENCE`, where both were timed."""
        base = next((each for each in self.lines if each.peer.name == REFERENCE), None)
        if base is None or base is line or cell not in base.latency or cell not in line.latency:
            return None
        return times_faster(base.latency[cell], line.latency[cell])

    def fastest(self, *, ours: bool) -> Line | None:
        """The line with the fastest window, of ours or of the others."""
        timed = [
            line
            for line in self.lines
            if line.peer.ours == ours and WINDOW in line.latency and line.latency[WINDOW].p50_ms
        ]
        return min(timed, key=lambda line: line.latency[WINDOW].p50_ms, default=None)

    def gops(self, line: Line, cell: str = WINDOW) -> float | None:
        """10^9 operations a second."""
        latency, graphs = line.latency.get(cell), self._graphs(cell)
        if latency is None or latency.error or not graphs:
            return None
        return 1e-6 * sum(self.operations[graph].all for graph in graphs) / latency.p50_ms

    def share(
        self, line: Line, ceilings: Mapping[tuple[str, str], Ceiling], cell: str = WINDOW
    ) -> float | None:
        """Of the speed that this machine's products reach in the types that the peer multiplies in."""
        latency, graphs, peer = line.latency.get(cell), self._graphs(cell), line.peer
        most = [ceilings.get((peer.device, kind)) for kind in (peer.products, peer.attention)]
        if latency is None or latency.error or not graphs or None in most:
            return None
        products, attention = (each.gops for each in most if each is not None)
        least_ms = sum(
            1e-6 * (self.operations[graph].products / products + self.operations[graph].attention / attention)
            for graph in graphs
        )
        return least_ms / latency.p50_ms

    def _graphs(self, cell: str) -> tuple[str, ...]:
        graphs = OF_A_WINDOW if cell == WINDOW else (cell,)
        return graphs if all(graph in self.operations for graph in graphs) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """Everything that was measured side by side.

    Attributes:
        machine: Processor, cores, system, versions, commit, date.
        command: What measures it again.
        ceilings: Of products, by type and library.
        places: One a checkpoint.
        able: What the machine has of what lines may need; the others were left out.
        seconds: How long all of it took.
    """

    machine: Mapping[str, str]
    command: str
    ceilings: tuple[Ceiling, ...]
    places: tuple[Workplace, ...]
    able: frozenset[str]
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether one of our own lines could not be measured: that a peer is missing is no failure."""
        lines = (line for place in self.places for line in place.lines)
        return any(
            line.peer.name == "bundle" and (line.missing or any(each.error for each in line.latency.values()))
            for line in lines
        )

    @property
    def best(self) -> dict[tuple[str, str], Ceiling]:
        """The library that reaches most, by device and type; nothing narrower needs more time than float32."""
        found: dict[tuple[str, str], Ceiling] = {}
        for ceiling in self.ceilings:
            key = ceiling.device, ceiling.kind
            if key not in found or found[key].gops < ceiling.gops:
                found[key] = ceiling
        for (device, kind), ceiling in found.items():
            found[device, kind] = max(
                ceiling, found.get((device, "fp32"), ceiling), key=lambda each: each.gops
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "format": FORMAT,
            "machine": dict(self.machine),
            "command": self.command,
            "seconds": self.seconds,
            "ceilings": [asdict(ceiling) for ceiling in self.ceilings],
            "checkpoints": [self._place(place) for place in self.places],
        }

    def _place(self, place: Workplace) -> dict[str, Any]:
        best = self.best

        def plain(line: Line) -> dict[str, Any]:
            faster = place.faster(line)
            return {
                **{name: getattr(line.peer, name) for name in ("name", "title", "device", "ours")},
                **{name: value for name, value in asdict(line).items() if name != "peer"},
                "times_faster": faster.to_dict() if faster else None,
                "gops": {cell: place.gops(line, cell) for cell in line.latency},
                "share_of_ceiling": {cell: place.share(line, best, cell) for cell in line.latency},
            }

        return {
            "title": place.title,
            "tokens": place.tokens,
            "operations": {name: asdict(counted) for name, counted in place.operations.items()},
            "peers": [plain(line) for line in place.lines],
        }
