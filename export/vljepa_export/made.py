"""One finished graph on its way into a bundle, and what the bundle's report and verdict say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_data.gates import GraphParity
from vljepa_export.export_report import GraphReport
from vljepa_export.targets.protocol import Converted

if TYPE_CHECKING:
    from vljepa_export.graphs import GraphDefinition

__all__ = ["Content", "Made", "all_files", "graph_report", "shared_bytes", "stand_in_note"]

Content = bytes | Path  # a path where it is too large for memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One finished graph.

    Attributes:
        definition: What it is.
        precision: Its precision, as `--precision` names it.
        converted: What the target made of it.
        parity: Against torch; None when nothing here can run it.
        misses: Gates that it does not keep.
        seconds: Time spent on it.
        tried: Precisions before this one, each with the gates that it missed.
        peak_rss_mb: Most memory this process ever held until the graph was done, in MB.
    """

    definition: GraphDefinition
    precision: str
    converted: Converted
    parity: GraphParity | None
    misses: tuple[str, ...] = ()
    seconds: float = 0.0
    tried: tuple[str, ...] = ()
    peak_rss_mb: float = 0.0

    @property
    def files(self) -> dict[str, Content]:
        """Content per file name."""
        return {**self.converted.files, **self.converted.stored}

    @property
    def name(self) -> str:
        """Its name in the contract."""
        return self.definition.name

    @property
    def notes(self) -> str:
        """All that a user should know of it."""
        why = f"kept in {self.precision}: {', '.join(self.tried)}" if self.tried else ""
        unrun = () if self.parity else ("built, not run: nothing on the exporting machine can run it",)
        return "; ".join(filter(None, (why, *self.converted.notes, *unrun)))


def stand_in_note(parity: GraphParity) -> str:
    """What is known of a graph that nothing here can run: how far the graph it was built from is from torch."""
    cosines = f"mean {parity.mean_cosine:.6f}, worst {parity.worst_cosine:.6f}, {parity.psnr_db:.1f} dB"
    return f"the typed graph it was built from, in ONNX Runtime against torch: cosine {cosines}"


def all_files(made: Sequence[Made]) -> dict[str, Content]:
    """Content per file name, of all graphs together."""
    return {name: content for item in made for name, content in item.files.items()}


def shared_bytes(made: Sequence[Made]) -> int:
    """Size of the files that several graphs hold."""
    files = all_files(made)
    return sum(_size(files[name]) for name in _shared(made))


def graph_report(item: Made, made: Sequence[Made]) -> GraphReport:
    """What the export says of one graph of all that were made."""
    shared = _shared(made)
    own = (_size(content) for name, content in item.files.items() if name not in shared)
    return GraphReport(
        name=item.name,
        precision=item.converted.label,
        bytes=sum(own),
        nodes=item.converted.nodes,
        parity=item.parity,
        seconds=item.seconds,
        note=item.notes,
        misses=item.misses,
        peak_rss_mb=item.peak_rss_mb,
    )


def _shared(made: Sequence[Made]) -> set[str]:
    every = [name for item in made for name in item.files]
    return {name for name in every if every.count(name) > 1}


def _size(content: Content) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)
