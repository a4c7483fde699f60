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

from vljepa_export.bundle_export import (
    ExportReport,
    GraphReport,
    Progress,
    manifest_of,
    tensor_specs,
)
from vljepa_export.errors import ParityError
from vljepa_export.graph_passes import IR_VERSION, OPSET
from vljepa_export.graphs import NETWORKS, GraphDefinition, graph_definition
from vljepa_export.memory import peak_rss_mb
from vljepa_export.onnx_export import trace_graph
from vljepa_export.parity import GraphParity, measure_file, require_parity, torch_outputs
from vljepa_export.request import GRAPH_NAMES, ExportRequest
from vljepa_export.samples import ParitySamples
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

Arrays = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """A float graph on disk, and what torch gave for the samples; the torch module is gone."""

    definition: GraphDefinition
    path: Path
    feeds: list[Any]
    expected: Sequence[Arrays]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A finished graph in its final place."""

    definition: GraphDefinition
    recipe: Recipe
    parity: GraphParity
    nodes: int
    note: str
    seconds: float
    peak_rss_mb: float


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
    progress: Progress | None = None,
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
        sizes = {path.name: path.stat().st_size for path in final.iterdir()}
        bundle = write_bundle(
            request.target,
            manifest_of(request.folder, opened, made, export.specs(), accuracy or {}),
            {path.name: path for path in final.iterdir()}
            | {path.name: path.read_bytes() for path in opened.tokenizers.values()},
            archive=archive,
            force=force,
            move=True,
        )
    report(len(names) + 1, len(names) + 1, "done")
    return ExportReport(
        path=request.target,
        bytes=sum(spec.size for spec in bundle.manifest.files.values()),
        shared_bytes=sizes.get(_weights("y_decoder"), 0),
        graphs=tuple(_report(item, sizes) for item in made),
        seconds=time.monotonic() - started,
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
        self.definitions: dict[str, GraphDefinition] = {}

    def graphs(self, report: Callable[[int, str], None]) -> Iterator[_Written]:
        """Export all graphs, in their order."""
        done = 0
        for network in dict.fromkeys(NETWORKS[name] for name in self.names):
            graphs = [name for name in self.names if NETWORKS[name] == network]
            report(done, f"{network}: torch")
            traced = self._trace(network, graphs)
            with WeightsFile(self.final / _weights(network)) as weights:
                for item in traced:
                    report(done, f"{item.definition.name}: {self.request.recipes[item.definition.name].name}")
                    yield self._write(item, weights)
                    done += 1
            for path in self.scratch.iterdir():
                path.unlink()

    def specs(self) -> dict[str, GraphSpec]:
        """The contract per finished graph."""
        return {
            name: GraphSpec(
                file=f"{name}.onnx",
                external=(_weights(NETWORKS[name]),),
                inputs=tensor_specs(definition.inputs),
                outputs=tensor_specs(definition.outputs),
            )
            for name, definition in self.definitions.items()
        }

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
                self.definitions[name] = replace(definition, module=nn.Module())
                traced.append(
                    _Traced(
                        definition=self.definitions[name],
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

    def _write(self, item: _Traced, weights: WeightsFile) -> _Written:
        """Measure, quantise, measure again, and write what is good enough."""
        started, name = time.monotonic(), item.definition.name
        wanted, used, note = self.request.recipes[name], recipe(FLOAT), ""
        parity = self._parity(item, item.path, used)
        chosen = item.path
        if wanted.name != used.name:
            candidate = self._quantise(item.path, wanted)
            try:
                parity, used, chosen = self._parity(item, candidate, wanted), wanted, candidate
            except ParityError as error:
                if not self.request.may_fall_back:
                    raise
                note = f"kept in fp32: {error}"
        model = GraphEditor.open(chosen).save(self.final / f"{name}.onnx", weights)
        return _Written(
            definition=item.definition,
            recipe=used,
            parity=parity,
            nodes=len(model.graph.node),
            note=note,
            seconds=item.seconds + time.monotonic() - started,
            peak_rss_mb=peak_rss_mb(),
        )

    def _quantise(self, path: Path, wanted: Recipe) -> Path:
        editor = GraphEditor.open(path)
        wanted.edit(editor)
        candidate = self.scratch / "candidate.onnx"
        with WeightsFile(self.scratch / _weights("candidate")) as weights:
            editor.save(candidate, weights)
        return candidate

    def _parity(self, item: _Traced, path: Path, limits: Recipe) -> GraphParity:
        found = measure_file(path, item.definition, item.feeds, item.expected)
        name = item.definition.name
        require_parity(name, found, worst_cosine=limits.worst_cosine, psnr_db=limits.psnr_db)
        return found


def _weights(name: str) -> str:
    return f"{name}.weights"


def _report(item: _Written, sizes: Mapping[str, int]) -> GraphReport:
    name = item.definition.name
    own = 0 if NETWORKS[name] == "y_decoder" else sizes[_weights(name)]
    return GraphReport(
        name=name,
        precision=item.recipe.label,
        bytes=sizes[f"{name}.onnx"] + own,
        nodes=item.nodes,
        parity=item.parity,
        seconds=item.seconds,
        note=item.note,
        peak_rss_mb=item.peak_rss_mb,
    )
