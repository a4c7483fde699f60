"""What an export says of itself: sizes, parity and gates, per graph and end to end. Knows no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vljepa_evaluation.gates import Agreement, ConstantsProof, GraphParity
from vljepa_runtime.bundle import Calibration, Certified

__all__ = ["ExportReport", "GraphReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphReport:
    """What was made of one graph.

    Attributes:
        name: Its name in the contract.
        precision: Label of what was made, as in the manifest.
        bytes: Size of its files; those shared between graphs are counted in `ExportReport.shared_bytes`.
        nodes: Operators in the graph.
        parity: Against the torch model; None when nothing on this machine can run it.
        seconds: Time spent on it.
        note: Why it is not in the precision asked for, what was built and not run; empty when all is plain.
        misses: Gates that it does not keep and constants that are not what was meant, in words.
        peak_rss_mb: Most memory this process ever held until the graph was done, in MB.
        constants: Everything that is fixed in its files, beside the float graph.
    """

    name: str
    precision: str
    bytes: int
    nodes: int
    parity: GraphParity | None
    seconds: float
    note: str = ""
    misses: tuple[str, ...] = ()
    peak_rss_mb: float = 0.0
    constants: ConstantsProof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What `export_bundle` wrote.

    Attributes:
        path: The bundle.
        bytes: Size of all its files.
        shared_bytes: Size of the files that several graphs share.
        graphs: One report per graph.
        seconds: Time of the whole export.
        agreement: With the float model, end to end; None when it was not measured.
        misses: Gates missed end to end, in words.
        near: Gates that came near their limit, in words.
        certified: As in the manifest: whether every gate was kept.
        peak_rss_mb: Most memory this process ever held, in MB.
        parity_data: As in the manifest: what the graphs' parity was measured on; empty for the procedural world.
        calibration: As in the manifest: what fixed the ranges of activations; None when nothing did.
    """

    path: Path
    bytes: int
    shared_bytes: int
    graphs: tuple[GraphReport, ...]
    seconds: float
    agreement: Agreement | None = None
    misses: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    certified: Certified = Certified.NOT_JUDGED
    peak_rss_mb: float = 0.0
    parity_data: str = ""
    calibration: Calibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "path": str(self.path), "certified": self.certified.to_json()}
