"""Checkpoint folder -> bundle: every graph exported, quantised, checked against torch, then written at once."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import onnx

from vljepa_export.errors import ParityError
from vljepa_export.memory import peak_rss_mb
from vljepa_export.parity import GraphParity, measure_parity, require_parity
from vljepa_export.request import GRAPH_NAMES, prepare
from vljepa_export.weights import share_weights
from vljepa_quant import Recipe, recipe
from vljepa_runtime.bundle import write_bundle
from vljepa_runtime.manifest import GraphSpec, Manifest, Origin, Parity, TensorSpec

if TYPE_CHECKING:
    from vljepa_export.graphs import GraphDefinition
    from vljepa_model.checkpoint import Checkpoint, CheckpointFolder

__all__ = ["ExportReport", "GraphReport", "export_bundle"]

DECODER = ("y_decoder_prefill", "y_decoder_step")
DECODER_WEIGHTS = "y_decoder.weights"
TOOLS = ("vljepa-edge", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphReport:
    """What was made of one graph.

    Attributes:
        name: Its name in the contract.
        precision: Label of the recipe that was used, as in the manifest.
        bytes: Size of its file; weights shared between graphs are counted in `ExportReport.shared_bytes`.
        nodes: Operators in the graph.
        parity: Against the torch model.
        seconds: Time spent on it.
        note: Why it is not in the precision asked for; empty when it is.
        peak_rss_mb: Most memory this process ever held until the graph was done, in MB.
    """

    name: str
    precision: str
    bytes: int
    nodes: int
    parity: GraphParity
    seconds: float
    note: str = ""
    peak_rss_mb: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What `export_bundle` wrote.

    Attributes:
        path: The bundle.
        bytes: Size of all its files.
        shared_bytes: Size of the weights that two graphs share.
        graphs: One report per graph.
        seconds: Time of the whole export.
        peak_rss_mb: Most memory this process ever held, in MB.
    """

    path: Path
    bytes: int
    shared_bytes: int
    graphs: tuple[GraphReport, ...]
    seconds: float
    peak_rss_mb: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "path": str(self.path)}


class MadeGraph(Protocol):
    """What the manifest needs to know of a finished graph."""

    @property
    def definition(self) -> GraphDefinition:
        """Its contract."""

    @property
    def recipe(self) -> Recipe:
        """Its precision."""

    @property
    def parity(self) -> GraphParity:
        """How near it is to torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One finished graph on its way into the bundle."""

    definition: GraphDefinition
    model: onnx.ModelProto
    recipe: Recipe
    parity: GraphParity
    seconds: float
    note: str


def export_bundle(
    checkpoint_folder: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",
    precision: str | Mapping[str, str] = "int8",
    archive: bool | None = None,
    force: bool = False,
    accuracy: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Turn a checkpoint into a bundle that is checked for parity.

    The same checkpoint and tools give the same graphs, byte for byte.

    Args:
        checkpoint_folder: As `save_checkpoint` wrote it, or the name of a shipped checkpoint (`tiny`).
        out: Where the bundle goes, by custom `NAME.vljepa`.
        format: `onnx`.
        precision: A recipe name for all graphs (one that misses its parity falls back to fp32, and the report says
            so), or a recipe per graph (the rest is fp32, and a miss is an error).
        archive: One stored zip, or with False a folder; None takes a folder for a checkpoint of `LARGE` bytes or more,
            which is also exported graph by graph, see `streamed_export`.
        force: Replace what is at `out`.
        accuracy: Measured numbers to write into the manifest.
        progress: Called with steps done, steps in all, and what comes next.

    Returns:
        Sizes, parity and time per graph.

    Raises:
        ExportError: an argument is wrong, or an operator cannot be exported.
        QuantError: there is no such precision.
        CheckpointError: the checkpoint cannot be read.
        GraphContractError: a graph has other inputs or outputs than its contract.
        ParityError: a graph does not compute what torch computes.
    """
    request = prepare(checkpoint_folder, out, format=format, precision=precision, force=force)
    # torch only now: a mistake in the arguments is told at once
    from vljepa_export.graphs import graph_definitions
    from vljepa_export.samples import parity_samples
    from vljepa_export.streamed_export import export_streamed, is_large
    from vljepa_model.checkpoint import load_checkpoint

    if is_large(request.folder):
        return export_streamed(
            request, archive=bool(archive), force=force, accuracy=accuracy, progress=progress
        )
    started = time.monotonic()
    report = progress or (lambda done, total, what: None)
    total = len(GRAPH_NAMES) + 2
    report(0, total, "reading the checkpoint")
    checkpoint = load_checkpoint(request.folder)
    samples = parity_samples(checkpoint)
    made = []
    for index, (name, definition) in enumerate(graph_definitions(checkpoint.model).items()):
        report(index + 1, total, name)
        made.append(
            _make(definition, request.recipes[name], samples[name], may_fall_back=request.may_fall_back)
        )
        gc.collect()
    report(total - 1, total, "writing")
    files, graphs = _files(made)
    manifest = manifest_of(request.folder, checkpoint, made, graphs, accuracy or {})
    bundle = write_bundle(
        request.target,
        manifest,
        {**files, **{path.name: path for path in checkpoint.tokenizers.values()}},
        archive=archive is not False,
        force=force,
    )
    report(total, total, "done")
    return ExportReport(
        path=request.target,
        bytes=sum(spec.size for spec in bundle.manifest.files.values()),
        shared_bytes=len(files.get(DECODER_WEIGHTS, b"")),
        graphs=tuple(_report(item, len(files[graphs[item.definition.name].file])) for item in made),
        seconds=time.monotonic() - started,
        peak_rss_mb=peak_rss_mb(),
    )


def _make(definition: GraphDefinition, wanted: Recipe, samples: list[Any], *, may_fall_back: bool) -> _Made:
    from vljepa_export.onnx_export import export_graph

    started = time.monotonic()
    floats = recipe("fp32")
    model = export_graph(definition)
    parity = measure_parity(model, definition, samples)
    require_parity(definition.name, parity, worst_cosine=floats.worst_cosine, psnr_db=floats.psnr_db)
    used, note = floats, ""
    if wanted.name != floats.name:
        smaller = wanted.apply(model)
        found = measure_parity(smaller, definition, samples)
        try:
            require_parity(definition.name, found, worst_cosine=wanted.worst_cosine, psnr_db=wanted.psnr_db)
            model, parity, used = smaller, found, wanted
        except ParityError as error:
            if not may_fall_back:
                raise
            note = f"kept in fp32: {error}"
    return _Made(
        definition=definition,
        model=model,
        recipe=used,
        parity=parity,
        seconds=time.monotonic() - started,
        note=note,
    )


def _files(made: list[_Made]) -> tuple[dict[str, bytes], dict[str, GraphSpec]]:
    """Content per file name, and the contract per graph."""
    models = {item.definition.name: item.model for item in made}
    decoder = {name: models[name] for name in DECODER if name in models}
    content, weights = share_weights(decoder, file=DECODER_WEIGHTS)
    content |= share_weights({name: model for name, model in models.items() if name not in DECODER}, file="")[
        0
    ]
    files = {f"{name}.onnx": data for name, data in content.items()}
    if weights:
        files[DECODER_WEIGHTS] = weights
    graphs = {
        item.definition.name: GraphSpec(
            file=f"{item.definition.name}.onnx",
            external=(DECODER_WEIGHTS,) if weights and item.definition.name in DECODER else (),
            inputs=tensor_specs(item.definition.inputs),
            outputs=tensor_specs(item.definition.outputs),
        )
        for item in made
    }
    return files, graphs


def tensor_specs(axes: tuple[Any, ...]) -> tuple[TensorSpec, ...]:
    """A graph's contract as the manifest has it."""
    return tuple(TensorSpec(name=item.name, dtype=item.dtype, shape=item.shape) for item in axes)


def manifest_of(
    folder: Path,
    checkpoint: Checkpoint | CheckpointFolder,
    made: Sequence[MadeGraph],
    graphs: Mapping[str, GraphSpec],
    accuracy: Mapping[str, float],
) -> Manifest:
    """What the bundle says about itself."""
    metadata = checkpoint.metadata
    return Manifest(
        name=str(metadata.get("name", folder.resolve().name)),
        license=str(metadata.get("license", "")),
        # When the weights were made, not when this ran: the same checkpoint gives the same bundle.
        created=str(metadata.get("created", "")),
        source=Origin(
            checkpoint_sha256=_sha256(folder / "model.safetensors"),
            importer=str(metadata.get("importer", "vljepa")),
        ),
        precision={item.definition.name: item.recipe.label for item in made},
        graphs=graphs,
        preprocess=checkpoint.preprocess,
        tokenizers={role: path.name for role, path in checkpoint.tokenizers.items()},
        embedding_dim=checkpoint.config.embedding_dim,
        prompts={key: str(value) for key, value in checkpoint.prompts.items()},
        parity={item.definition.name: _summary(item.parity) for item in made},
        accuracy=dict(accuracy),
        toolchain={name: found for name in TOOLS if (found := _version(name))},
    )


def _summary(parity: GraphParity) -> Parity:
    # Rounded: the last digits differ between CPUs and say nothing.
    return Parity(
        cosine=round(parity.worst_cosine, 6),
        max_abs=float(f"{parity.max_abs:.3g}"),
        psnr_db=round(parity.psnr_db, 1),
    )


def _report(item: _Made, size: int) -> GraphReport:
    return GraphReport(
        name=item.definition.name,
        precision=item.recipe.label,
        bytes=size,
        nodes=len(item.model.graph.node),
        parity=item.parity,
        seconds=item.seconds,
        note=item.note,
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
