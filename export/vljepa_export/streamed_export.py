"""A checkpoint of gigabytes -> bundle: one network in memory at a time, its weights straight to disk.

Per network: torch gives the outputs to compare with and a float graph on disk, and is let go; then each graph is
measured, quantised from its mapped file, measured again, and written to its final place.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from vljepa_data.gates import REFERENCE_FILE, GraphParity, Reference, limits_for
from vljepa_data.gates.reference import Sample
from vljepa_export.bundle_manifest import manifest_of, tokenizer_files
from vljepa_export.export_report import ExportReport
from vljepa_export.graph_passes import IR_VERSION, OPSET
from vljepa_export.graphs import NETWORKS, GraphDefinition, graph_definition
from vljepa_export.made import Content, Made, all_files, graph_report, shared_bytes
from vljepa_export.memory import peak_rss_mb
from vljepa_export.onnx_export import trace_graph
from vljepa_export.parity import compare, onnx_runner, require_float_parity, torch_outputs
from vljepa_export.request import GRAPH_NAMES, ExportRequest
from vljepa_export.samples import ParitySamples
from vljepa_export.targets.protocol import Converted, tensor_specs
from vljepa_model.checkpoint import WEIGHTS, CheckpointFolder, open_checkpoint
from vljepa_quant import Recipe, recipe
from vljepa_quant.graph_editor import GraphEditor
from vljepa_quant.weights_file import WeightsFile
from vljepa_runtime.bundle import write_bundle
from vljepa_runtime.manifest import GraphSpec

__all__ = ["LARGE", "export_streamed", "is_large"]

LARGE = 256 << 20  # bytes of weights; below, everything fits in memory several times
CLIPS = 2  # a full window and a partial one; each costs a minute of torch at full size
# From so many tokens on, ONNX Runtime's fused attention is faster and needs no (N, N) scores in memory: ViT-L blocks
# over 2,048 tokens in int8 1.27 times as fast (two Zen 4 cores). Over 256 tokens it brings nothing.
FUSE_FROM = 1024
FLOAT = "fp32"
REFERENCE_SAMPLES = 2  # per graph, in the bundle

Arrays = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """A float graph on disk, and what torch gave for the samples; the torch module is gone."""

    definition: GraphDefinition
    path: Path
    feeds: list[Any]
    expected: Sequence[Arrays]
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
    """
    started = time.monotonic()
    opened = open_checkpoint(request.folder)
    names = [n for n in GRAPH_NAMES if NETWORKS[n] != "y_decoder" or opened.config.y_decoder is not None]
    report = progress or (lambda done, total, what: None)
    request.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=request.target.parent, prefix=f".{request.target.name}.") as folder:
        scratch, final = Path(folder, "scratch"), Path(folder, "final")
        scratch.mkdir()
        final.mkdir()
        export = _Export(opened, request, names, scratch, final, clips)
        made = list(export.graphs(lambda done, what: report(done, len(names) + 1, what)))
        report(len(names), len(names) + 1, "hashing")
        graphs, shared = tuple(graph_report(item, made) for item in made), shared_bytes(made)
        certified = False if any(item.misses for item in made) else None
        files: dict[str, Content] = {**all_files(made), **tokenizer_files(opened)}
        bundle = write_bundle(
            request.target,
            replace(manifest_of(request, opened, made, accuracy or {}), certified=certified),
            {**files, REFERENCE_FILE: Reference(samples=export.reference).to_bytes()},
            archive=archive,
            force=force,
            move=True,
        )
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


class _Export:
    """The walk over the networks; holds nothing of a network after its graphs are written."""

    def __init__(
        self,
        opened: CheckpointFolder,
        request: ExportRequest,
        names: Sequence[str],
        scratch: Path,
        final: Path,
        clips: int,
    ) -> None:
        self.opened, self.request, self.names = opened, request, names
        self.scratch, self.final = scratch, final
        self.samples = ParitySamples(opened.config, opened.preprocess, opened.tokenizers, clips=clips)
        self.outputs: dict[str, list[Any]] = {}
        self.reference: dict[str, tuple[Sample, ...]] = {}

    def graphs(self, report: Callable[[int, str], None]) -> Iterator[Made]:
        """Export all graphs, in their order."""
        done = 0
        for network in dict.fromkeys(NETWORKS[name] for name in self.names):
            graphs = [name for name in self.names if NETWORKS[name] == network]
            report(done, f"{network}: torch")
            traced = self._trace(network, graphs)
            with WeightsFile(self.final / _weights(network)) as weights:
                for item in traced:
                    report(done, f"{item.definition.name}: {self.request.precisions[item.definition.name]}")
                    yield self._write(item, weights)
                    done += 1
            for path in self.scratch.iterdir():
                path.unlink()

    def _trace(self, network: str, graphs: Sequence[str]) -> list[_Traced]:
        """Take one network into memory, ask it everything, write its float graphs, and let it go."""
        module = getattr(self.opened, network)()
        traced = []
        with WeightsFile(self.scratch / _weights(f"{network}.{FLOAT}")) as weights:
            for name in graphs:
                started = time.monotonic()
                definition = graph_definition(name, module, self.opened.config)
                feeds = self._feeds(name, module)
                expected = [torch_outputs(definition, item) for item in feeds]
                self.outputs[name] = [arrays[0] for arrays in expected]
                path = self.scratch / f"{name}.{FLOAT}.onnx"
                fused = name == "x_encoder" and self.opened.preprocess.tokens >= FUSE_FROM
                editor = trace_graph(definition, fused_attention=fused)
                editor.save(path, weights, opset=OPSET, ir_version=IR_VERSION)
                pairs = list(zip(feeds, expected))[:REFERENCE_SAMPLES]
                self.reference[name] = tuple(Sample(feeds=a, outputs=tuple(b)) for a, b in pairs)
                traced.append(
                    _Traced(
                        definition=replace(definition, module=nn.Module()),
                        path=path,
                        feeds=feeds,
                        expected=expected,
                        seconds=time.monotonic() - started,
                    )
                )
                del definition, editor
        del module
        gc.collect()
        return traced

    def _feeds(self, name: str, module: Any) -> list[Any]:
        """Inputs of one graph; some are what torch gave for an earlier one."""
        if name == "predictor":
            return self.samples.predictor(self.outputs["x_encoder"])
        if name == "y_decoder_prefill":
            return self.samples.y_decoder_prefill(self.outputs["y_encoder"][0])
        if name == "y_decoder_step":
            return self.samples.y_decoder_step(module, self.outputs["y_encoder"][0])
        return self.samples.x_encoder() if name == "x_encoder" else self.samples.y_encoder()

    def _write(self, item: _Traced, weights: WeightsFile) -> Made:
        """Measure, quantise, measure again, and write what was asked for or may take its place."""
        started, name = time.monotonic(), item.definition.name
        used, path = recipe(FLOAT), item.path
        parity, misses = self._measure(item, path), tuple[str, ...]()
        require_float_parity(name, parity)
        precision: str | None = self.request.precisions[name]
        tried = []
        while precision is not None and precision != FLOAT:
            candidate = self._quantise(item.path, recipe(precision))
            found = self._measure(item, candidate)
            missed = limits_for(precision).misses(found)
            if not missed or not self.request.may_fall_back:
                used, path, parity, misses = recipe(precision), candidate, found, missed
                break
            tried.append(f"as {precision} {'; '.join(missed)}")
            precision = self.request.format.milder_than(precision)
        file = self.final / f"{name}.onnx"
        model = GraphEditor.open(path).save(file, weights)
        return Made(
            definition=item.definition,
            precision=used.name,
            converted=self._converted(item.definition, used, file, nodes=len(model.graph.node)),
            parity=parity,
            misses=misses,
            tried=tuple(tried),
            seconds=item.seconds + time.monotonic() - started,
            peak_rss_mb=peak_rss_mb(),
            stored={file.name: file, weights.path.name: weights.path},
        )

    def _converted(self, definition: GraphDefinition, used: Recipe, file: Path, *, nodes: int) -> Converted:
        spec = GraphSpec(
            file=file.name,
            external=(_weights(NETWORKS[definition.name]),),
            inputs=tensor_specs(definition.inputs),
            outputs=tensor_specs(definition.outputs),
        )
        return Converted(
            spec=spec, files={}, run=lambda feeds: onnx_runner(file)(feeds), label=used.label, nodes=nodes
        )

    def _quantise(self, path: Path, wanted: Recipe) -> Path:
        editor = GraphEditor.open(path)
        wanted.edit(editor)
        candidate = self.scratch / "candidate.onnx"
        with WeightsFile(self.scratch / _weights("candidate")) as weights:
            editor.save(candidate, weights)
        return candidate

    def _measure(self, item: _Traced, path: Path) -> GraphParity:
        return compare(item.definition, item.feeds, onnx_runner(path), item.expected)


def _weights(name: str) -> str:
    return f"{name}.weights"
