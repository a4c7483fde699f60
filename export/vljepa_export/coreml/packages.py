"""Programs as the files of one `.mlpackage`, the same bytes every time; several shapes become functions that share
weights.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vljepa_export.errors import ExportError
from vljepa_runtime.engines.coreml_tools import coremltools, quiet

__all__ = ["package_files", "write_package"]

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
_NAMESPACE = uuid.UUID("6f1a3c0e-52a7-5b6e-9d0b-1f6f6f1b7a55")  # our own: it only has to stay the same


def package_files(models: Mapping[str, Any], *, default: str) -> dict[str, bytes]:
    """Content per path inside the package.

    Args:
        models: An `MLModel` per function name; a single one must be called `main`.
        default: The function that runs when none is named.

    Raises:
        ExportError: coremltools refuses to put them together, with its words.
    """
    with tempfile.TemporaryDirectory(prefix="vljepa-") as scratch, quiet():
        place = Path(scratch)
        try:
            if len(models) == 1:
                next(iter(models.values())).save(str(place / "all.mlpackage"))
            else:
                _merge(models, default, place)
        except (ValueError, RuntimeError, AssertionError) as error:
            raise ExportError(f"coremltools refused to write the package: {error}") from error
        package = place / "all.mlpackage"
        files = {MODEL: _reproducible((package / MODEL).read_bytes())}
        if (package / WEIGHTS).is_file():
            files[WEIGHTS] = (package / WEIGHTS).read_bytes()
    return {"Manifest.json": _manifest(WEIGHTS in files), **files}


def write_package(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write `package_files` below a folder, which then is the package."""
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def _merge(models: Mapping[str, Any], default: str, place: Path) -> None:
    utilities = coremltools("models.utils")
    description = utilities.MultiFunctionDescriptor()
    for name, model in models.items():
        model.save(str(place / f"{name}.mlpackage"))
        description.add_function(str(place / f"{name}.mlpackage"), "main", name)
    description.default_function_name = default
    utilities.save_multifunction(description, str(place / "all.mlpackage"))


def _reproducible(data: bytes) -> bytes:
    """Without the day of conversion, and with map entries in a fixed order."""
    model = coremltools("proto.Model_pb2").Model.FromString(data)
    for key in [key for key in model.description.metadata.userDefined if key.endswith("conversion_date")]:
        del model.description.metadata.userDefined[key]
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _manifest(weights: bool) -> bytes:
    """coremltools draws the identifiers at random; these depend on the paths alone."""
    items = {"com.apple.CoreML/model.mlmodel": ("model.mlmodel", "CoreML Model Specification")}
    if weights:
        items["com.apple.CoreML/weights"] = ("weights", "CoreML Model Weights")
    identifiers = {path: str(uuid.uuid5(_NAMESPACE, path)) for path in items}
    entries = {
        identifiers[path]: {"author": "com.apple.CoreML", "description": text, "name": name, "path": path}
        for path, (name, text) in items.items()
    }
    root = identifiers["com.apple.CoreML/model.mlmodel"]
    content = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": root}
    return (json.dumps(content, indent=4) + "\n").encode()
