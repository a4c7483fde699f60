"""Graphs that Optimum made of a folder, kept in the user's cache: a model is exported once."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console
from vljepa_apps.measure.baselines.environment import cache_folder

if TYPE_CHECKING:
    from vljepa_apps.measure.baselines.folder import Folder

__all__ = ["exported"]

MADE_BY = ("optimum", "optimum-onnx", "torch", "transformers")
FORMAT = 1


def exported(folder: Folder, *, cache: Path | None = None) -> Path:
    """The folder of a model's graphs, exported now where that was not done yet.

    Args:
        folder: A model.
        cache: Where graphs are kept; `~/.cache/vljepa/baselines` by default.

    Raises:
        InputError: it cannot be exported.
    """
    kept = (cache or cache_folder("baselines")) / _key(folder)
    if kept.is_dir():
        return kept
    from vljepa_apps.measure.baselines.optimum_export import export_model

    console.note(f"  exporting {folder.path} with Optimum, once")
    kept.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".making-"))
    try:
        export_model(folder, making)
        if not kept.is_dir():  # another process may have been faster
            making.rename(kept)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return kept


def _key(folder: Folder) -> str:
    made_by = {name: version(name) for name in MADE_BY}
    text = json.dumps([FORMAT, str(folder.path.resolve()), _files(folder.path), made_by], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of a folder's files: another model at the same place is another."""
    files = [(path, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return {path.name: (about.st_size, about.st_mtime_ns) for path, about in files}
