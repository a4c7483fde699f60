"""A bundle written so that a crash leaves none half done. Knows no engine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vljepa_runtime import arguments
from vljepa_runtime.bundle.entries import FileSpec, check_file_name
from vljepa_runtime.bundle.manifest import Manifest
from vljepa_runtime.bundle.place import MANIFEST, check_place
from vljepa_runtime.bundle.reader import Bundle
from vljepa_runtime.bundle.stores import CHUNK
from vljepa_runtime.files.scratch import scratch_folder

__all__ = ["write_bundle"]


def write_bundle(
    target: str | os.PathLike[str],
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    *,
    archive: bool = True,
    force: bool = False,
    move: bool = False,
) -> Bundle:
    """Write a bundle under a temporary name and rename it.

    Args:
        target: Where, by custom `NAME.vljepa`.
        manifest: Its `files` are replaced by what is written.
        files: Content per name in the bundle; a `Path` is copied.
        archive: One stored zip; with False a folder.
        force: Replace what is there.
        move: Take files that are given as a `Path` from where they lie, instead of copying gigabytes.

    Returns:
        The bundle, opened and verified.

    Raises:
        BundleError: a name is not safe, `target` exists, or a graph's file is not among `files`.

    Examples:
        >>> from dataclasses import replace
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.bundle import Calibration
        >>> with vj.Bundle.open("tiny") as tiny:
        ...     files = {name: tiny.read(name) for name in tiny.manifest.files}
        >>> calibration = Calibration(data="a day at the door", samples=64)
        >>> manifest = replace(tiny.manifest, name="door", calibration=calibration)
        >>> with vj.write_bundle("door.vljepa", manifest, files) as bundle:
        ...     print(bundle.location, bundle.name, bundle.manifest.calibration)
        door.vljepa door Calibration(data='a day at the door', samples=64, seed=0)
    """
    place = arguments.path(target, "target")
    arguments.instance(manifest, "manifest", Manifest)
    arguments.instance(files, "files", Mapping)
    check_place(place, force=force)
    for name, content in files.items():
        arguments.instance(name, "a file's name", str)
        arguments.instance(content, f"the content of {name}", bytes, Path)
        check_file_name(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(place) as scratch:
        draft = scratch / "bundle"
        draft.mkdir()
        specs = {name: _put(content, draft / name, move=move) for name, content in sorted(files.items())}
        manifest = replace(manifest, files=specs)
        text = json.dumps(manifest.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
        Bundle.open(draft).close()
        if archive:
            draft = _zip(draft, [MANIFEST, *specs], scratch / "bundle.zip")
        check_place(place, force=force)
        if place.is_dir():
            os.rename(place, scratch / "replaced")
        os.replace(draft, place)
    return Bundle.open(place)


def _put(content: bytes | Path, to: Path, *, move: bool) -> FileSpec:
    to.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        to.write_bytes(content)
    elif move:
        shutil.move(content, to)
    else:
        shutil.copyfile(content, to)
    digest = hashlib.sha256()
    with to.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return FileSpec(size=to.stat().st_size, sha256=digest.hexdigest())


def _zip(folder: Path, names: list[str], to: Path) -> Path:
    """A stored zip with fixed times, so that the same content gives the same bytes."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member, CHUNK)
    return to
