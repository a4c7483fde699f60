"""One finished graph on its way into a bundle, and what the bundle's report and manifest say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_evaluation.gates import ConstantsProof, GraphParity
from vljepa_export.export_report import GraphReport
from vljepa_export.targets.protocol import Converted
from vljepa_quant import Precision

if TYPE_CHECKING:
    from vljepa_export.walk import Walked

__all__ = ["Made", "all_files", "graph_reports", "shared_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One finished graph.

    Attributes:
        walked: What it was made from.
        precision: What was asked for.
        converted: What the target made of it.
        measured: What `converted.open` loads, against torch.
        floats: The traced graph against torch.
        misses: Gates that it does not keep.
        seconds: Time spent on it.
        tried: Precisions before this one, each with the gates that it missed.
        peak_rss_mb: Most memory this process ever held until the graph was done, in MB.
        constants: Its files beside the traced graph; None before they lie where they are written from.
    """

    walked: Walked
    precision: Precision
    converted: Converted
    measured: GraphParity
    floats: GraphParity
    misses: tuple[str, ...] = ()
    seconds: float = 0.0
    tried: tuple[str, ...] = ()
    peak_rss_mb: float = 0.0
    constants: ConstantsProof | None = None

    @property
    def name(self) -> str:
        """Its name in the contract."""
        return self.walked.name

    @property
    def parity(self) -> GraphParity | None:
        """Of its files against torch; None when nothing here can run them."""
        return self.measured if self.converted.runs_here else None

    @property
    def faults(self) -> tuple[str, ...]:
        """What it is wrong in, in words: gates that it does not keep, constants that are not what was meant."""
        return (*self.misses, *(self.constants.faults if self.constants else ()))

    @property
    def notes(self) -> str:
        """All that a user should know of it."""
        why = (f"kept in {self.precision.name}: {', '.join(self.tried)}",) if self.tried else ()
        unrun = () if self.converted.runs_here else (_source_note(self.measured), UNRUN)
        return "; ".join((*why, *self.converted.notes, *unrun))


UNRUN = "built, not run: nothing on the exporting machine can run it"


def _source_note(parity: GraphParity) -> str:
    """What is known of a graph that nothing here can run: how far the graph it was built from is from torch."""
    cosines = f"mean {parity.mean_cosine:.6f}, worst {parity.worst_cosine:.6f}, {parity.psnr_db:.1f} dB"
    return f"the typed graph it was built from, in ONNX Runtime against torch: cosine {cosines}"


def all_files(made: Iterable[Made]) -> dict[str, Path]:
    """Place per file name, of all graphs together."""
    return {name: path for item in made for name, path in item.converted.files.items()}


def shared_bytes(made: Sequence[Made], sizes: Mapping[str, int]) -> int:
    """Size of the files that several graphs hold; `sizes` gives that of every file."""
    return sum(sizes[name] for name in _shared(made))


def graph_reports(made: Sequence[Made], sizes: Mapping[str, int]) -> tuple[GraphReport, ...]:
    """What the export says of each graph."""
    shared = _shared(made)
    return tuple(
        GraphReport(
            name=item.name,
            precision=item.converted.precision.label,
            bytes=sum(sizes[name] for name in item.converted.files if name not in shared),
            nodes=item.converted.nodes,
            parity=item.parity,
            seconds=item.seconds,
            note=item.notes,
            misses=item.faults,
            constants=item.constants,
            peak_rss_mb=item.peak_rss_mb,
        )
        for item in made
    )


def _shared(made: Sequence[Made]) -> set[str]:
    counts = Counter(name for item in made for name in item.converted.files)
    return {name for name, count in counts.items() if count > 1}
