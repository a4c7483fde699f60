"""A graph's files as paths on disk, for engines that read no bytes. Knows no engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.manifest import GraphSpec

__all__ = ["paths_of", "unpack", "unpacked"]


def paths_of(bundle: Bundle, spec: GraphSpec) -> list[Path] | None:
    """Where a graph's file and the files beside it lie, hashed; None inside a zip."""
    found = [bundle.path(name) for name in (spec.file, *spec.external)]
    return None if None in found else [path for path in found if path is not None]


@contextmanager
def unpacked(bundle: Bundle, spec: GraphSpec) -> Iterator[Path]:
    """The graph's file on disk, its weights beside it, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="vljepa-") as scratch:
        yield unpack(bundle, spec, Path(scratch))


def unpack(bundle: Bundle, spec: GraphSpec, folder: Path) -> Path:
    """Write a graph's file and the files beside it into a folder; where the former now is."""
    for name in (spec.file, *spec.external):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bundle.read(name))
    return folder / spec.file
