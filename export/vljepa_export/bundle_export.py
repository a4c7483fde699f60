"""Checkpoint folder -> bundle: request, walk over the networks, ladder of precisions, gates, and one write.

One network is in memory at a time, whatever the size; how much is measured depends on the size (`effort.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from vljepa_data.annotations import AnnotationFile
from vljepa_evaluation.gates import REFERENCE_FILE, Scenes
from vljepa_export.effort import Effort, effort_for, is_large
from vljepa_export.export_report import ExportReport
from vljepa_export.footage import OwnClips, choose
from vljepa_export.formats import load_target
from vljepa_export.request import ExportRequest, chosen_budgets, prepare
from vljepa_runtime.bundle import write_bundle
from vljepa_runtime.files import scratch_folder
from vljepa_runtime.graphs import check_graphs

__all__ = ["export_bundle"]

Progress = Callable[[int, int, str], None]


def export_bundle(
    checkpoint_folder: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",
    precision: str | Mapping[str, str] | None = None,
    token_budgets: tuple[int, ...] = (),
    archive: bool | None = None,
    force: bool = False,
    accuracy: Mapping[str, float] | None = None,
    calibrate: AnnotationFile | None = None,
    scenes: Scenes | None = Scenes(),  # noqa: B008  (frozen)
    progress: Progress | None = None,
) -> ExportReport:
    """Turn a checkpoint into a bundle that is held to its gates.

    A bundle outside its gates is written all the same, with `certified: false` in its manifest and its misses in the
    report. The same checkpoint and tools give the same graphs, byte for byte, where the format's tools do.

    Args:
        checkpoint_folder: As `save_checkpoint` wrote it, or the name of a shipped checkpoint (`tiny`).
        out: Where the bundle goes, by custom `NAME.vljepa`.
        format: A row of `FORMATS`, by name or alias.
        precision: One for all graphs (one that misses its gates takes the format's next milder one, and the report says
            so), or one per graph (the rest is fp32, and a miss stays a miss). None takes the format's default.
        token_budgets: Token counts to build for, where the format fixes shapes; empty for all and for half of them.
        archive: One stored zip, or with False a folder. None takes a folder for a checkpoint of `effort.LARGE` bytes
            or more.
        force: Replace what is at `out`.
        accuracy: Measured numbers to write into the manifest.
        calibrate: Clips of one's own, on which graphs are compared with torch and, where the precision needs it, the
            ranges of activations are fixed; None takes the procedural world's. The bundle holds none of
            their pictures.
        scenes: What the bundle and the float model are shown end to end; None leaves that out and certifies nothing,
            and so does a checkpoint of gigabytes, see `Effort`.
        progress: Called with steps done, steps in all, and what comes next.

    Returns:
        Sizes, parity and time per graph, and how far the bundle does what the float model does.

    Raises:
        ExportError: an argument is wrong, or the format's tools refuse a graph.
        MissingExtraError: a library that the format needs is not installed.
        CheckpointError: the checkpoint cannot be read.
        AnnotationError: the file of one's own clips cannot be read.
        SourceError: one of their videos cannot be read.
        GraphContractError: a graph has other inputs or outputs than its contract.
        ParityError: a float graph does not compute what torch computes.

    Examples:
        Tracing every graph takes a quarter of a minute; `tests/export/test_bundle_export.py` runs this.

        >>> from vljepa_export import export_bundle
        >>> export_bundle("tiny", "tiny.vljepa", scenes=None)  # doctest: +SKIP
        ExportReport(path=PosixPath('tiny.vljepa'), bytes=..., graphs=(GraphReport(name='x_encoder',
            precision='int8-dynamic', parity=GraphParity(mean_cosine=0.99...), ...), ...), ...)
    """
    request = prepare(
        checkpoint_folder,
        out,
        format=format,
        precision=precision,
        token_budgets=token_budgets,
        calibrate=calibrate,
        force=force,
    )
    target = load_target(request.format)
    # torch only now: a mistake in the arguments is told at once
    from vljepa_export.bundle_maker import BundleMaker, report_of
    from vljepa_export.graphs import graphs_of
    from vljepa_export.ladder import Ladder
    from vljepa_export.novelty import calibrate_novelty, with_novelty
    from vljepa_model.checkpoint import open_checkpoint

    started = time.monotonic()
    opened = open_checkpoint(request.folder)
    budgets = chosen_budgets(request, opened.preprocess.tokens)
    graphs = len(graphs_of(opened.config))

    def report(done: int, what: str) -> None:
        if progress is not None:
            progress(done, graphs + 2, what)

    request.target.parent.mkdir(parents=True, exist_ok=True)
    effort = effort_for(request.folder, request.format)
    own = _own_clips(request, effort)
    with scratch_folder(request.target) as scratch:
        maker = BundleMaker(
            request=request,
            opened=opened,
            effort=effort,
            ladder=Ladder(request=request, target=target, budgets=budgets, keep=effort.end_to_end),
            accuracy=accuracy or {},
            scratch=scratch,
            own=own,
        )
        made = maker.graphs(report)
        report(graphs, "gates")
        draft = maker.draft(made, scenes)
        with draft.bundle:
            check_graphs(draft.bundle)  # the runtime refuses what it would not have written here
            fitted = calibrate_novelty(draft, scenes, request.calibrate)
            manifest, reference = draft.manifest(scenes), draft.reference
            if fitted:
                manifest, reference = with_novelty(draft, manifest, fitted)
        report(graphs + 1, "writing")
        files = {name: draft.bundle.location / name for name in draft.bundle.manifest.files}
        added = {fitted.spec.file: fitted.novelty.to_bytes()} if fitted else {}
        bundle = write_bundle(
            request.target,
            manifest,
            {**files, **added, REFERENCE_FILE: reference.sealed(manifest).to_bytes()},
            archive=not is_large(request.folder) if archive is None else archive,
            force=force,
            move=True,
        )
    report(graphs + 2, "done")
    return report_of(draft, bundle, seconds=time.monotonic() - started)


def _own_clips(request: ExportRequest, effort: Effort) -> OwnClips | None:
    if request.calibrate is None:
        return None
    return choose(
        request.calibrate,
        parity=effort.clips,
        calibration=effort.calibration_clips if request.is_calibrated else 0,
    )
