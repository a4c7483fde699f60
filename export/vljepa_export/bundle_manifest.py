"""What an export writes into `bundle.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_data.gates import GraphParity
from vljepa_export.targets.protocol import graph_spec
from vljepa_runtime.manifest import Calibration, Manifest, Origin, Parity

if TYPE_CHECKING:
    from vljepa_export.graphs import GraphDefinition
    from vljepa_export.made import Made
    from vljepa_export.request import ExportRequest
    from vljepa_model.checkpoint import Checkpoint, CheckpointFolder

    Opened = Checkpoint | CheckpointFolder

__all__ = ["CALIBRATION_CLIPS", "CALIBRATION_SEED", "float_manifest", "manifest_of", "tokenizer_files"]

CALIBRATION_CLIPS = 32
CALIBRATION_SEED = 10_000  # other clips than those that parity is measured on
TOOLS = ("vljepa-edge", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")


def float_manifest(
    request: ExportRequest, checkpoint: Opened, definitions: Sequence[GraphDefinition]
) -> Manifest:
    """The manifest of the plain float graphs, each in `NAME.onnx`."""
    graphs = {each.name: graph_spec(each, f"{each.name}.onnx") for each in definitions}
    metadata = checkpoint.metadata
    return Manifest(
        name=str(metadata.get("name", request.folder.resolve().name)),
        license=str(metadata.get("license", "")),
        # When the weights were made, not when this ran: the same checkpoint gives the same bundle.
        created=str(metadata.get("created", "")),
        precision=dict.fromkeys(graphs, "fp32"),
        graphs=graphs,
        preprocess=checkpoint.preprocess,
        tokenizers={role: path.name for role, path in checkpoint.tokenizers.items()},
        embedding_dim=checkpoint.config.embedding_dim,
        prompts={key: str(value) for key, value in checkpoint.prompts.items()},
    )


def manifest_of(
    request: ExportRequest,
    checkpoint: Opened,
    made: Sequence[Made],
    accuracy: Mapping[str, float],
    *,
    calibration_clips: int = CALIBRATION_CLIPS,
) -> Manifest:
    """The manifest of a bundle, before its gates were measured end to end."""
    calibration = Calibration(
        data="procedural world, test split", samples=calibration_clips, seed=CALIBRATION_SEED
    )
    execution = {item.name: item.converted.execution for item in made}
    tools = (*TOOLS, *request.format.tools)
    return replace(
        float_manifest(request, checkpoint, [item.definition for item in made]),
        source=Origin(
            checkpoint_sha256=_sha256(request.folder / "model.safetensors"),
            importer=str(checkpoint.metadata.get("importer", "vljepa")),
        ),
        target=request.format.name,
        precision={item.name: item.converted.label for item in made},
        execution={} if set(execution.values()) == {"f32"} else execution,
        graphs={item.name: item.converted.spec for item in made},
        calibration=calibration if request.is_calibrated else None,
        parity={item.name: _summary(item.parity) for item in made if item.parity is not None},
        notes={item.name: item.notes for item in made if item.notes},
        accuracy=dict(accuracy),
        toolchain={name: found for name in tools if (found := _version(name))},
    )


def tokenizer_files(checkpoint: Opened) -> dict[str, bytes]:
    """Content of the tokenizers by their names in the bundle; roles may share one."""
    return {path.name: path.read_bytes() for path in checkpoint.tokenizers.values()}


def _summary(parity: GraphParity) -> Parity:
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
