"""What an export writes into `bundle.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_evaluation.gates import GraphParity
from vljepa_export.effort import CALIBRATION_SEED
from vljepa_export.footage import ORDER_SEED, OwnClips
from vljepa_export.targets.protocol import TracedGraph, graph_spec
from vljepa_runtime.bundle import Calibration, Manifest, Origin, Parity
from vljepa_runtime.selection import BOUNDARIES_FILE

if TYPE_CHECKING:
    from vljepa_export.made import Made
    from vljepa_export.request import ExportRequest
    from vljepa_model.checkpoint import CheckpointFolder

__all__ = ["boundary_files", "float_manifest", "manifest_of", "summarised", "tokenizer_files"]

TOOLS = ("vljepa-edge", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")


def float_manifest(
    request: ExportRequest, opened: CheckpointFolder, graphs: Sequence[TracedGraph]
) -> Manifest:
    """The manifest of the plain float graphs."""
    specs = {
        each.contract.name: graph_spec(
            each.contract, each.path.name, external=tuple(path.name for path in each.beside)
        )
        for each in graphs
    }
    return Manifest(
        name=str(opened.metadata.get("name", request.folder.resolve().name)),
        license=str(opened.metadata.get("license", "")),
        # When the weights were made, not when this ran: the same checkpoint gives the same bundle.
        created=str(opened.metadata.get("created", "")),
        knows_only=str(opened.metadata.get("knows_only", "")),
        precision=dict.fromkeys(specs, "fp32"),
        graphs=specs,
        preprocess=opened.preprocess,
        tokenizers={role: path.name for role, path in opened.tokenizers.items()},
        embedding_dim=opened.config.embedding_dim,
        prompts={key: str(value) for key, value in opened.prompts.items()},
    )


def manifest_of(
    request: ExportRequest,
    opened: CheckpointFolder,
    made: Sequence[Made],
    accuracy: Mapping[str, float],
    *,
    calibration_clips: int,
    own: OwnClips | None = None,
) -> Manifest:
    """The manifest of a bundle, before its gates were measured end to end."""
    execution = {item.name: item.converted.precision.execution for item in made}
    tools = (*TOOLS, *request.format.tools)
    return replace(
        float_manifest(request, opened, [item.walked.graph for item in made]),
        source=Origin(
            checkpoint_sha256=_sha256(request.folder / "model.safetensors"),
            importer=str(opened.metadata.get("importer", "vljepa")),
        ),
        target=request.format.name,
        precision={item.name: item.converted.precision.label for item in made},
        execution={} if set(execution.values()) == {"f32"} else execution,
        graphs={item.name: item.converted.spec for item in made},
        calibration=_calibration(request, made, calibration_clips, own),
        parity={item.name: summarised(item.parity) for item in made if item.parity is not None},
        parity_data=f"{len(own.parity)} own clips ({own.name})" if own else "",
        constants={
            item.name: item.constants.compared for item in made if item.constants and item.constants.kept
        },
        boundaries=BOUNDARIES_FILE if opened.boundaries else None,
        notes={item.name: item.notes for item in made if item.notes},
        accuracy=dict(accuracy),
        toolchain={name: found for name in tools if (found := _version(name))},
    )


def _calibration(
    request: ExportRequest, made: Sequence[Made], clips: int, own: OwnClips | None
) -> Calibration | None:
    """What fixed the ranges; of one's own clips only if a graph is left that uses them."""
    if not request.is_calibrated:
        return None
    if own is None:
        return Calibration(data="procedural world, test split", samples=clips, seed=CALIBRATION_SEED)
    if not any(item.converted.precision.calibrated for item in made):
        return None
    return Calibration(data=f"own clips ({own.name})", samples=len(own.calibration), seed=ORDER_SEED)


def boundary_files(opened: CheckpointFolder) -> dict[str, bytes]:
    """What tells events apart, by its name in the bundle."""
    return {BOUNDARIES_FILE: known.to_bytes()} if (known := opened.boundaries) else {}


def tokenizer_files(opened: CheckpointFolder) -> dict[str, bytes]:
    """Content of the tokenizers by their names in the bundle; roles may share one."""
    return {path.name: path.read_bytes() for path in opened.tokenizers.values()}


def summarised(parity: GraphParity) -> Parity:
    """What a manifest keeps of a graph's parity."""
    # Rounded: the last digits differ between CPUs and say nothing.
    return Parity(
        cosine=round(parity.worst_cosine, 6),
        max_abs=float(f"{parity.max_abs:.3g}"),
        psnr_db=round(parity.psnr_db, 1),
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
