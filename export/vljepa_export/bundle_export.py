"""Checkpoint folder -> bundle: every graph exported, converted, held to its gates, then written at once."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_data.gates import (
    REFERENCE_FILE,
    GraphParity,
    Reference,
    Scenes,
    Verdict,
    check,
    limits_for,
    record_reference,
)
from vljepa_export.bundle_manifest import (
    CALIBRATION_CLIPS,
    CALIBRATION_SEED,
    float_manifest,
    manifest_of,
    tokenizer_files,
)
from vljepa_export.converted_engine import ConvertedEngine
from vljepa_export.errors import ExportError
from vljepa_export.export_report import ExportReport
from vljepa_export.formats import FORMATS, load_target
from vljepa_export.graph_passes import PROTOBUF_LIMIT
from vljepa_export.made import Made, graph_report, shared_bytes, stand_in_note
from vljepa_export.memory import peak_rss_mb
from vljepa_export.parity import compare, fitting_samples, measure_parity, require_float_parity
from vljepa_export.request import ExportRequest, chosen_budgets, prepare
from vljepa_export.targets.protocol import Finishes, Target
from vljepa_quant.graph_editor import save_bytes
from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.graphs import check_graphs

if TYPE_CHECKING:
    import onnx

    from vljepa_export.graphs import GraphDefinition
    from vljepa_model.checkpoint import Checkpoint

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
        archive: One stored zip, or with False a folder. None takes a folder for a checkpoint of
            `streamed_export.LARGE` bytes or more, which is also exported graph by graph where the format can be.
        force: Replace what is at `out`.
        accuracy: Measured numbers to write into the manifest.
        scenes: What the bundle and the float model are shown end to end; None leaves that out and certifies nothing,
            and so does an export graph by graph, which never has a whole model.
        progress: Called with steps done, steps in all, and what comes next.

    Returns:
        Sizes, parity and time per graph, and how far the bundle does what the float model does.

    Raises:
        ExportError: an argument is wrong, or the format's tools refuse a graph.
        MissingExtraError: a library that the format needs is not installed.
        CheckpointError: the checkpoint cannot be read.
        GraphContractError: a graph has other inputs or outputs than its contract.
        ParityError: a float graph does not compute what torch computes.
    """
    request = prepare(
        checkpoint_folder, out, format=format, precision=precision, token_budgets=token_budgets, force=force
    )
    target = load_target(request.format)
    # torch only now: a mistake in the arguments is told at once
    from vljepa_export.streamed_export import export_streamed, is_large
    from vljepa_model.checkpoint import load_checkpoint

    large = is_large(request.folder)
    if large and request.format.streamed:
        return export_streamed(
            request, archive=bool(archive), force=force, accuracy=accuracy, progress=progress
        )
    started = time.monotonic()
    total = len(request.precisions) + 3
    report = progress or (lambda done, total, what: None)
    report(0, total, "reading the checkpoint")
    checkpoint = load_checkpoint(request.folder)
    with tempfile.TemporaryDirectory(prefix="vljepa-") as scratch:
        maker = _Maker(request, target, checkpoint, Path(scratch))
        made = maker.graphs(lambda index, what: report(index + 1, total, what))
        report(total - 2, total, "gates, end to end")
        manifest = manifest_of(request, checkpoint, made, accuracy or {})
        reference = record_reference(
            maker.float_bundle(made), open_engine("onnxruntime:cpu"), like=manifest, scenes=scenes
        )
        while True:
            files = {name: data for item in made for name, data in item.converted.files.items()}
            files |= tokenizer_files(checkpoint)
            verdict = _judge(Bundle.in_memory(manifest, files), made, reference)
            if verdict is None or (milder := maker.milder(verdict)) is None:
                break
            made, manifest = milder, manifest_of(request, checkpoint, milder, accuracy or {})
    check_graphs(Bundle.in_memory(manifest, files))  # the runtime refuses what it would not have written here
    report(total - 1, total, "writing")
    bundle = write_bundle(
        request.target,
        replace(manifest, certified=_certified(made, verdict, scenes), gates=_gates(verdict)),
        {**files, REFERENCE_FILE: reference.to_bytes()},
        archive=not large if archive is None else archive,
        force=force,
    )
    report(total, total, "done")
    return ExportReport(
        path=request.target,
        bytes=sum(spec.size for spec in bundle.manifest.files.values()),
        shared_bytes=shared_bytes(made),
        graphs=tuple(graph_report(item, made) for item in made),
        seconds=time.monotonic() - started,
        agreement=verdict.agreement if verdict else None,
        misses=_misses(verdict),
        certified=bundle.manifest.certified,
        peak_rss_mb=peak_rss_mb(),
    )


class _Maker:
    """Exports and converts one graph after the other; keeps the float graphs on disk for the gates."""

    def __init__(self, request: ExportRequest, target: Target, checkpoint: Checkpoint, scratch: Path) -> None:
        from vljepa_export.samples import parity_samples

        self.request, self.target, self.checkpoint, self.scratch = request, target, checkpoint, scratch
        self.token_budgets = chosen_budgets(request, checkpoint.preprocess.tokens)
        self.samples = parity_samples(checkpoint, sizes=self.token_budgets)
        self.calibration = (
            parity_samples(
                checkpoint, clips=CALIBRATION_CLIPS, seed=CALIBRATION_SEED, sizes=self.token_budgets
            )
            if request.is_calibrated
            else self.samples
        )
        self._made: dict[str, Made] = {}

    def graphs(self, report: Callable[[int, str], None]) -> tuple[Made, ...]:
        """All graphs, in the order of the contract."""
        from vljepa_export.graphs import graph_definitions

        for index, (name, definition) in enumerate(graph_definitions(self.checkpoint.model).items()):
            report(index, name)
            self._made[name] = self._make(definition, self.request.precisions[name])
            gc.collect()
        return self._finished()

    def milder(self, verdict: Verdict) -> tuple[Made, ...] | None:
        """All graphs, those milder that missed a gate on the reference's inputs; None when nothing changes."""
        missed = {graph.name: graph.misses for graph in verdict.graphs if graph.misses}
        milder = {name: self._milder(self._made[name], misses) for name, misses in missed.items()}
        changed = {name: made for name, made in milder.items() if made is not None}
        self._made |= changed
        return self._finished() if changed else None

    def _finished(self) -> tuple[Made, ...]:
        if not isinstance(self.target, Finishes):
            return tuple(self._made.values())
        finished = self.target.finish({name: item.converted for name, item in self._made.items()})
        return tuple(replace(item, converted=finished[name]) for name, item in self._made.items())

    def float_bundle(self, made: Sequence[Made]) -> Bundle:
        """The float graphs as a bundle: what the gates compare with."""
        files: dict[str, bytes | Path] = {f"{item.name}.onnx": self.scratch / item.name for item in made}
        files |= tokenizer_files(self.checkpoint)
        manifest = float_manifest(self.request, self.checkpoint, [item.definition for item in made])
        return write_bundle(self.scratch / "float.vljepa", manifest, files, archive=False)

    def _make(self, definition: GraphDefinition, precision: str) -> Made:
        from vljepa_export.onnx_export import export_graph

        started = time.monotonic()
        _require_size(definition, self.request.format.name)
        model = export_graph(definition)
        require_float_parity(
            definition.name, measure_parity(model, definition, self.samples[definition.name])
        )
        (self.scratch / definition.name).write_bytes(save_bytes(model))
        made = self._convert(definition, model, precision)
        while made.misses and (milder := self._milder(made, made.misses)):
            made = milder
        return replace(made, seconds=time.monotonic() - started, peak_rss_mb=peak_rss_mb())

    def _milder(self, made: Made, misses: tuple[str, ...]) -> Made | None:
        """A graph in the next milder precision, with what it missed; None where there is none or none is wanted."""
        import onnx

        precision = self.request.format.milder_than(made.precision)
        if precision is None or not self.request.may_fall_back:
            return None
        started = time.monotonic()
        model = onnx.load_from_string((self.scratch / made.name).read_bytes())
        return replace(
            self._convert(made.definition, model, precision),
            tried=(*made.tried, f"as {made.precision} {'; '.join(misses)}"),
            seconds=made.seconds + time.monotonic() - started,
            peak_rss_mb=peak_rss_mb(),
        )

    def _convert(self, definition: GraphDefinition, model: onnx.ModelProto, precision: str) -> Made:
        converted = self.target.convert(
            definition,
            model,
            precision,
            samples=self.calibration[definition.name],
            token_budgets=self.token_budgets,
        )
        parity: GraphParity | None = None
        missed: tuple[str, ...] = ()
        if converted.run is not None:
            fitting = fitting_samples(definition.name, converted.spec, self.samples[definition.name])
            parity = compare(definition, fitting, converted.run)
            missed = limits_for(precision).misses(parity)
        if converted.stand_in is not None:
            parity_note = stand_in_note(
                compare(definition, self.samples[definition.name], converted.stand_in)
            )
            converted = replace(converted, notes=(*converted.notes, parity_note), stand_in=None)
        converted = replace(converted, label=converted.label or precision)
        return Made(
            definition=definition, precision=precision, converted=converted, parity=parity, misses=missed
        )


def _require_size(definition: GraphDefinition, format: str) -> None:
    """Raise when the float graph cannot be one block of protobuf, which converters in memory start from."""
    size = sum(parameter.numel() * 4 for parameter in definition.module.parameters())
    if size >= PROTOBUF_LIMIT:
        raise ExportError(
            f"{definition.name} has {size / 1e9:.1f} GB of float weights; expected less than 2 GB for {format}: export "
            f"with --format {' or '.join(row.name for row in FORMATS.values() if row.streamed)}, "
            "which keep weights beside the graph"
        )


def _judge(draft: Bundle, made: Sequence[Made], reference: Reference) -> Verdict | None:
    """How far the bundle does what the float graphs did, where something here can run it."""
    if any(item.converted.run is None for item in made):
        return None
    engine = ConvertedEngine(f"{draft.manifest.target} files", {item.name: item.converted for item in made})
    return check(draft, engine, reference)


def _certified(made: Sequence[Made], verdict: Verdict | None, scenes: Scenes | None) -> bool | None:
    if any(item.misses for item in made) or (verdict is not None and not verdict.passed):
        return False
    return None if verdict is None or scenes is None else True


def _gates(verdict: Verdict | None) -> dict[str, float]:
    if verdict is None or verdict.agreement is None:
        return {}
    # Rounded: the last digits differ between CPUs and say nothing.
    return {name: round(value, 6) for name, value in verdict.agreement.to_dict().items()}


def _misses(verdict: Verdict | None) -> tuple[str, ...]:
    if verdict is None:
        return ()
    graphs = (f"{graph.name}: {miss}" for graph in verdict.graphs for miss in graph.misses)
    return (*verdict.misses, *graphs)
