"""A graph's files as paths on disk, for libraries that read no bytes. Knows no engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vljepa_runtime.bundle import Bundle, GraphSpec
from vljepa_runtime.bundle.reader import MAPPED_BYTES

__all__ = ["unpack", "unpacked"]

_DESCRIPTORS = Path("/proc/self/fd")


@contextmanager
def unpacked(bundle: Bundle, spec: GraphSpec) -> Iterator[Path]:
    """The graph's file on disk, its weights beside it, for as long as the block lasts.

    Large files are not copied where the system has names for open files: it leads to what the bundle holds.

    Raises:
        BundleError: a file is not what was listed, or was written to meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="vljepa-") as scratch:
        yield unpack(bundle, spec, Path(scratch), link=True)
    bundle.check_unchanged((spec.file, *spec.external))


def unpack(bundle: Bundle, spec: GraphSpec, folder: Path, *, link: bool = False) -> Path:
    """Write a graph's file and the files beside it into a folder that only this user reads; where the former now is."""
    for name in (spec.file, *spec.external):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        content = bundle.view(name)
        held = bundle.descriptor(name) if link and len(content) >= MAPPED_BYTES else None
        if held is not None and (place := _DESCRIPTORS / str(held)).exists():
            target.symlink_to(place)
        else:
            target.write_bytes(content)
    return folder / spec.file
