"""Copies of a bundle with files replaced and the manifest's sizes and hashes put right, so that they open.

Written with the standard library alone: what the product's own writer would refuse is the point.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parents[1] / "runtime" / "vljepa_runtime" / "bundles" / "tiny.vljepa"
Change = Callable[[dict[str, Any]], object]


def read_bundle(source: Path = SHIPPED) -> dict[str, bytes]:
    """Content per member of a zipped bundle, `bundle.json` first."""
    with zipfile.ZipFile(source) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_hostile(
    to: Path,
    files: Mapping[str, bytes] | None = None,
    *,
    change: Change = lambda manifest: None,
    manifest: bytes | None = None,
    source: Path = SHIPPED,
    archive: bool = True,
) -> Path:
    """Write a copy of a bundle.

    Args:
        to: Where.
        files: Content that replaces, or is listed beside, what the bundle holds.
        change: Edits the parsed manifest after sizes and hashes are put right.
        manifest: Taken as `bundle.json` as it is; `files` and `change` do not touch it.
        source: The bundle that is copied.
        archive: A stored zip; with False a folder.
    """
    content = {**read_bundle(source), **(files or {})}
    if manifest is None:
        values = json.loads(content["bundle.json"])
        values["files"] |= {name: _spec(data) for name, data in (files or {}).items()}
        change(values)
        manifest = json.dumps(values).encode()
    content["bundle.json"] = manifest
    (_write_zip if archive else _write_folder)(to, content)
    return to


def _spec(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _write_zip(to: Path, content: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(to, "w") as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)


def _write_folder(to: Path, content: Mapping[str, bytes]) -> None:
    for name, data in content.items():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(data)
