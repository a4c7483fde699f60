"""All graphs of a checkpoint in one format, held to their gates, as a draft of the bundle on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from vljepa_evaluation.gates import GateResults, Reference, Scenes, judge_constants, near_limits
from vljepa_export.bundle_manifest import boundary_files, manifest_of, tokenizer_files
from vljepa_export.constants.proving import prove_converted
from vljepa_export.constants.tokenizers import prove_tokenizers, tokenizers_of
from vljepa_export.effort import Effort
from vljepa_export.errors import ExportError
from vljepa_export.export_report import ExportReport
from vljepa_export.footage import OwnClips
from vljepa_export.gates import (
    certified,
    check_draft,
    missed_gates,
    record,
    repeated,
    summary,
    worst_parities,
)
from vljepa_export.ladder import Ladder
from vljepa_export.made import Made, all_files, graph_reports, shared_bytes
from vljepa_export.request import ExportRequest
from vljepa_export.targets.protocol import Places
from vljepa_export.walk import walk
from vljepa_model.checkpoint import CheckpointFolder
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, Manifest, write_bundle
from vljepa_runtime.contract import NETWORKS
from vljepa_runtime.peak_memory import peak_rss_mb

__all__ = ["BundleMaker", "Draft", "report_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A bundle before it is written to its place.

    Attributes:
        bundle: In a scratch folder; it lacks the reference, and its manifest what the gates say.
        made: Its graphs.
        reference: What the float model gave.
        results: What the gates gave; None when nothing here runs a graph, or the size forbids it.
    """

    bundle: Bundle
    made: tuple[Made, ...]
    reference: Reference
    results: GateResults | None

    def manifest(self, scenes: Scenes | None) -> Manifest:
        """With what the gates say; without `scenes` they say too little to certify anything."""
        return replace(
            self.bundle.manifest,
            certified=certified(self.made, self.results, scenes),
            gates=summary(self.results),
            parity=worst_parities(self.bundle.manifest, self.results),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleMaker:
    """What the steps of one export share.

    Attributes:
        request: What was asked for.
        opened: The checkpoint.
        effort: How much is measured.
        ladder: Converts graph by graph.
        accuracy: Measured numbers for the manifest.
        scratch: On the disk of the bundle to be.
        own: Clips of one's own that graphs are measured and calibrated on; None for the procedural world's.
    """

    request: ExportRequest
    opened: CheckpointFolder
    effort: Effort
    ladder: Ladder
    accuracy: Mapping[str, float]
    scratch: Path
    own: OwnClips | None = None

    def graphs(self, report: Callable[[int, str], None]) -> tuple[Made, ...]:
        """All graphs, in the order of the contract; `report` is told how many are done and what comes next."""
        made: list[Made] = []

        def tell(what: str) -> None:
            report(len(made), what)

        for network in walk(self.opened, self.request, self.effort, self.scratch, tell, own=self.own):
            first = len(made)
            for item in network:
                tell(f"{item.name}: {self.request.precisions[item.name].name}")
                made.append(self.ladder.make(item))
            made[first:] = self._placed(made[first:])
            if not self.effort.end_to_end:
                _remove_all_but(made, network[0].graph.path.parent)
        return tuple(made)

    def draft(self, made: tuple[Made, ...], scenes: Scenes | None) -> Draft:
        """The graphs as a bundle, those milder that miss a gate of their own on what the reference shows."""
        bundle = self._bundle(made)
        if not self.effort.end_to_end:
            reference = Reference(samples={item.name: item.walked.recorded for item in made})
            reference = repeated(bundle, made, reference, self.effort)
            return Draft(bundle=bundle, made=made, reference=reference, results=None)
        reference = record(self.request, self.opened, made, self.scratch, like=bundle.manifest, scenes=scenes)
        while (results := check_draft(bundle, made, reference)) and (milder := self._milder(made, results)):
            bundle.close()
            made, bundle = milder, self._bundle(milder)
        reference = repeated(bundle, made, reference, self.effort)
        return Draft(bundle=bundle, made=made, reference=reference, results=results)

    def _bundle(self, made: tuple[Made, ...]) -> Bundle:
        bundle = write_bundle(
            self.scratch / "draft.vljepa",
            manifest_of(
                self.request,
                self.opened,
                made,
                self.accuracy,
                calibration_clips=self.effort.calibration_clips,
                own=self.own,
            ),
            {**all_files(made), **tokenizer_files(self.opened), **boundary_files(self.opened)},
            archive=False,
            force=True,
            move=not self.effort.end_to_end,  # the gates may ask for the files again
        )
        meant = {role: path.read_bytes() for role, path in self.opened.tokenizers.items()}
        proofs = prove_tokenizers(meant, tokenizers_of(bundle))
        if faults := judge_constants(proofs).misses:
            raise ExportError(f"the bundle has other tokenizers than the checkpoint: {'; '.join(faults)}")
        return bundle

    def _milder(self, made: tuple[Made, ...], results: GateResults) -> tuple[Made, ...] | None:
        """All graphs, those milder that missed a gate of their own; None when nothing changes."""
        missed = results.misses_by_graph
        milder = {
            item.name: self.ladder.milder(item, missed[item.name]) for item in made if item.name in missed
        }
        if not any(milder.values()):
            return None
        swapped = (milder.get(item.name) or item for item in made)
        groups = groupby(swapped, key=lambda item: NETWORKS[item.name])
        return tuple(item for _, group in groups for item in self._placed(group))

    def _placed(self, group: Iterable[Made]) -> list[Made]:
        """The graphs of one network, what they share stored once where the target does so; compared as they lie."""
        made, target = list(group), self.ladder.target
        if not isinstance(target, Places):
            return [self._compared(item) for item in made]
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        network = NETWORKS[made[0].name]
        converted = {item.name: item.converted for item in made}
        placed = target.place(converted, network, folder, mapped=self.effort.mapped)
        return [self._compared(replace(item, converted=placed[item.name])) for item in made]

    def _compared(self, item: Made) -> Made:
        """A graph with how its files stand beside the traced graph, which may be removed afterwards."""
        proof = prove_converted(item.walked.graph, item.converted, target=self.request.format.name)
        return replace(item, constants=proof)


def report_of(draft: Draft, bundle: Bundle, *, seconds: float) -> ExportReport:
    """What an export says of a draft and the bundle that it became."""
    sizes = {name: spec.size for name, spec in bundle.manifest.files.items()}
    return ExportReport(
        path=bundle.location,
        bytes=sum(sizes.values()),
        shared_bytes=shared_bytes(draft.made, sizes),
        graphs=graph_reports(draft.made, sizes),
        seconds=seconds,
        agreement=draft.results.agreement if draft.results else None,
        misses=missed_gates(draft.results),
        near=near_limits(bundle.manifest, limits_for),
        certified=bundle.manifest.certified,
        peak_rss_mb=peak_rss_mb() or 0.0,
        parity_data=bundle.manifest.parity_data,
        calibration=bundle.manifest.calibration,
    )


def _remove_all_but(made: Iterable[Made], folder: Path) -> None:
    """Let float graphs and precisions that were not taken go, which have gigabytes."""
    kept = set(all_files(made).values())
    for path in folder.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
