"""A checkpoint of gigabytes -> bundle: one network in memory at a time, its weights straight to disk.

Per network: torch gives the outputs to compare with and a float graph on disk, and is let go; then each graph is
measured, converted from its mapped file, measured again, and put in its final place.
"""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from vljepa_data.gates import REFERENCE_FILE, GraphParity, Reference, limits_for
from vljepa_data.gates.reference import Sample
from vljepa_export.bundle_manifest import CALIBRATION_SEED, manifest_of, tokenizer_files
from vljepa_export.errors import ExportError
from vljepa_export.export_report import ExportReport
from vljepa_export.formats import load_target
from vljepa_export.graph_passes import IR_VERSION, OPSET
from vljepa_export.graphs import NETWORKS, GraphDefinition, graph_definition
from vljepa_export.made import Content, Made, all_files, graph_report, shared_bytes, stand_in_note
from vljepa_export.memory import peak_rss_mb
from vljepa_export.onnx_export import trace_graph
from vljepa_export.parity import Runner, compare, onnx_runner, require_float_parity, torch_outputs
from vljepa_export.request import GRAPH_NAMES, ExportRequest, chosen_budgets
from vljepa_export.samples import ParitySamples
from vljepa_export.targets.protocol import Converted, Places, Streams
from vljepa_model.checkpoint import WEIGHTS, CheckpointFolder, open_checkpoint
from vljepa_quant.weights_file import WeightsFile
from vljepa_runtime.bundle import write_bundle
from vljepa_runtime.graphs import check_graphs
from vljepa_runtime.scratch import scratch_folder

__all__ = ["LARGE", "export_streamed", "is_large"]

LARGE = 256 << 20  # bytes of weights; below, everything fits in memory several times
CLIPS = 2  # a full window and a partial one; each costs a minute of torch at full size
# From so many tokens on, ONNX Runtime's fused attention is faster and needs no (N, N) scores in memory: ViT-L blocks
# over 2,048 tokens in int8 1.27 times as fast (two Zen 4 cores). Over 256 tokens it brings nothing.
FUSE_FROM = 1024
# Few windows of few tokens: NNCF holds what every layer gave for all of them.
CALIBRATION_CLIPS, CALIBRATION_TOKENS = 8, 256

Arrays = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """A float graph on disk, and what torch gave for the samples; the torch module is gone."""

    definition: GraphDefinition
    path: Path
    feeds: list[Any]
    expected: Sequence[Arrays]
    calibration: list[Any]
    seconds: float


def is_large(folder: Path) -> bool:
    """Whether a checkpoint is better exported graph by graph."""
    weights = folder / WEIGHTS
    return weights.is_file() and weights.stat().st_size >= LARGE


def export_streamed(
    request: ExportRequest,
    *,
    archive: bool = False,
    force: bool = False,
    accuracy: Mapping[str, float] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    clips: int = CLIPS,
) -> ExportReport:
    """Export graph by graph; arguments and errors are those of `export_bundle`.

    Args:
        request: Checked arguments.
        archive: One stored zip, which engines cannot map, instead of a folder.
        force: Replace what is at the target.
        accuracy: Measured numbers for the manifest.
        progress: Called with steps done, steps in all, and what comes next.
        clips: How many windows and texts parity is measured on.

    Raises:
        ExportError: the format is converted in memory only.
    """
    target = load_target(request.format)
    if not isinstance(target, Streams):
        raise ExportError(f"expected a format that is exported graph by graph, got {request.format.name}")
    started = time.monotonic()
    opened = open_checkpoint(request.folder)
    names = [n for n in GRAPH_NAMES if NETWORKS[n] != "y_decoder" or opened.config.y_decoder is not None]
    report = progress or (lambda done, total, what: None)
    request.target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(request.target) as folder:
        scratch, final = Path(folder, "scratch"), Path(folder, "final")
        final.mkdir()
        export = _Export(opened, request, target, names, scratch, final, clips)
        made = list(export.graphs(lambda done, what: report(done, len(names) + 1, what)))
        report(len(names), len(names) + 1, "hashing")
        graphs, shared = tuple(graph_report(item, made) for item in made), shared_bytes(made)
        certified = False if any(item.misses for item in made) else None
        files: dict[str, Content] = {**all_files(made), **tokenizer_files(opened)}
        bundle = write_bundle(
            request.target,
            replace(
                manifest_of(request, opened, made, accuracy or {}, calibration_clips=CALIBRATION_CLIPS),
                certified=certified,
            ),
            {**files, REFERENCE_FILE: Reference(samples=export.reference).to_bytes()},
            archive=archive,
            force=force,
            move=True,
        )
        check_graphs(bundle)  # the runtime refuses what it would not have written here
    report(len(names) + 1, len(names) + 1, "done")
    return ExportReport(
        path=request.target,
        bytes=sum(spec.size for spec in bundle.manifest.files.values()),
        shared_bytes=shared,
        graphs=graphs,
        seconds=time.monotonic() - started,
        certified=certified,
        peak_rss_mb=peak_rss_mb(),
    )


class _Inputs:
    """Inputs graph by graph: those of later networks are what torch gave for earlier ones."""

    def __init__(self, samples: ParitySamples) -> None:
        self.samples = samples
        self.outputs: dict[str, list[Any]] = {}

    def feeds(self, name: str, module: Any) -> list[Any]:
        """Inputs of one graph."""
        if name == "predictor":
            return self.samples.predictor(self.outputs["x_encoder"])
        if name == "y_decoder_prefill":
            return self.samples.y_decoder_prefill(self.outputs["y_encoder"][0])
        if name == "y_decoder_step":
            return self.samples.y_decoder_step(module, self.outputs["y_encoder"][0])
        return self.samples.x_encoder() if name == "x_encoder" else self.samples.y_encoder()


class _Export:
    """The walk over the networks; holds nothing of a network after its graphs are written."""

    def __init__(
        self,
        opened: CheckpointFolder,
        request: ExportRequest,
        target: Streams,
        names: Sequence[str],
        scratch: Path,
        final: Path,
        clips: int,
    ) -> None:
        self.opened, self.request, self.target, self.names = opened, request, target, names
        self.scratch, self.final = scratch, final
        self.token_budgets = chosen_budgets(request, opened.preprocess.tokens)
        self.inputs = _Inputs(self._samples(clips=clips, sizes=self.token_budgets))
        self.calibration: _Inputs | None = None
        if request.is_calibrated:
            self.calibration = _Inputs(
                self._samples(
                    clips=CALIBRATION_CLIPS,
                    seed=CALIBRATION_SEED,
                    sizes=(min(CALIBRATION_TOKENS, opened.preprocess.tokens),),
                )
            )
        self.reference: dict[str, tuple[Sample, ...]] = {}

    def graphs(self, report: Callable[[int, str], None]) -> Iterator[Made]:
        """Export all graphs, in their order."""
        done = 0
        for network in dict.fromkeys(NETWORKS[name] for name in self.names):
            graphs = [name for name in self.names if NETWORKS[name] == network]
            report(done, f"{network}: torch")
            self.scratch.mkdir()
            made = {}
            for item in self._trace(network, graphs):
                name = item.definition.name
                report(done, f"{name}: {self.request.precisions[name]}")
                made[name] = self._write(item)
                done += 1
            converted = {name: item.converted for name, item in made.items()}
            if isinstance(self.target, Places):
                placed = self.target.place(converted, network, self.final)
            else:
                placed = {name: _moved(each, self.final) for name, each in converted.items()}
            yield from (replace(item, converted=placed[name]) for name, item in made.items())
            shutil.rmtree(self.scratch)

    def _samples(self, **options: Any) -> ParitySamples:
        return ParitySamples(self.opened.config, self.opened.preprocess, self.opened.tokenizers, **options)

    def _trace(self, network: str, graphs: Sequence[str]) -> list[_Traced]:
        """Take one network into memory, ask it everything, write its float graphs, and let it go."""
        module = getattr(self.opened, network)()
        traced = []
        with WeightsFile(self.scratch / f"{network}.weights") as weights:
            for name in graphs:
                started = time.monotonic()
                definition = graph_definition(name, module, self.opened.config)
                feeds = self.inputs.feeds(name, module)
                expected = [torch_outputs(definition, item) for item in feeds]
                self.inputs.outputs[name] = [arrays[0] for arrays in expected]
                calibration = self.calibration.feeds(name, module) if self.calibration else []
                if self.calibration and name in ("x_encoder", "y_encoder"):
                    self.calibration.outputs[name] = [
                        torch_outputs(definition, item)[0] for item in calibration
                    ]
                path = self.scratch / f"{name}.onnx"
                fused = (
                    self.request.format.name == "onnx"
                    and name == "x_encoder"
                    and self.opened.preprocess.tokens >= FUSE_FROM
                )
                editor = trace_graph(definition, fused_attention=fused)
                editor.save(path, weights, opset=OPSET, ir_version=IR_VERSION)
                self.reference[name] = tuple(
                    Sample(feeds=each, outputs=tuple(outputs)) for each, outputs in zip(feeds, expected)
                )
                traced.append(
                    _Traced(
                        definition=replace(definition, module=nn.Module()),
                        path=path,
                        feeds=feeds,
                        expected=expected,
                        calibration=calibration,
                        seconds=time.monotonic() - started,
                    )
                )
                del definition, editor
        del module
        gc.collect()
        return traced

    def _write(self, item: _Traced) -> Made:
        """Measure, convert, measure again, and keep what was asked for or may take its place."""
        started, name = time.monotonic(), item.definition.name
        floats = self._measure(item, onnx_runner(item.path))
        require_float_parity(name, floats)
        precision, tried = self.request.precisions[name], list[str]()
        while True:
            converted, parity = self._convert(item, precision, floats)
            misses = limits_for(precision).misses(parity) if parity else ()
            milder = self.request.format.milder_than(precision) if self.request.may_fall_back else None
            if not misses or milder is None:
                break
            tried.append(f"as {precision} {'; '.join(misses)}")
            precision = milder
        return Made(
            definition=item.definition,
            precision=precision,
            converted=converted,
            parity=parity,
            misses=misses,
            tried=tuple(tried),
            seconds=item.seconds + time.monotonic() - started,
            peak_rss_mb=peak_rss_mb(),
        )

    def _convert(
        self, item: _Traced, precision: str, floats: GraphParity
    ) -> tuple[Converted, GraphParity | None]:
        """One graph in one precision, measured where something here runs it, and no longer loaded."""
        folder = self.scratch / item.definition.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        made = self.target.convert_file(
            item.definition,
            item.path,
            precision,
            samples=item.calibration,
            token_budgets=self.token_budgets,
            folder=folder,
        )
        parity = None
        if item.path in made.stored.values():
            parity = floats
        elif made.run is not None:
            parity = self._measure(item, made.run)
        if made.stand_in is not None:
            note = stand_in_note(self._measure(item, made.stand_in))
            made = replace(made, notes=(*made.notes, note))
        return replace(made, run=None, stand_in=None), parity

    def _measure(self, item: _Traced, run: Runner) -> GraphParity:
        return compare(item.definition, item.feeds, run, item.expected)


def _moved(converted: Converted, folder: Path) -> Converted:
    stored = {name: Path(shutil.move(path, folder / name)) for name, path in converted.stored.items()}
    return replace(converted, stored=stored)
