"""Writing bundles: all or nothing, and the same bytes each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.errors import BundleError


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
def test_write_is_atomic_and_refuses_to_overwrite(tmp_path: Path, small_zip: Path, archive: bool) -> None:
    source = Bundle.open(small_zip)
    files: dict[str, bytes | Path] = {name: source.read(name) for name in source.manifest.files}
    written = write_bundle(tmp_path / "out.vljepa", source.manifest, files, archive=archive)
    assert written.manifest == source.manifest
    assert written.location.is_dir() != archive
    with pytest.raises(BundleError, match="exists: choose another name"):
        write_bundle(tmp_path / "out.vljepa", source.manifest, files, archive=archive)
    renamed = replace(source.manifest, name="other")
    assert write_bundle(tmp_path / "out.vljepa", renamed, files, archive=archive, force=True).name == "other"
    assert [path.name for path in tmp_path.iterdir()] == ["out.vljepa"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, small_zip: Path) -> None:
    source = Bundle.open(small_zip)
    out = tmp_path / "out.vljepa"
    out.write_bytes(small_zip.read_bytes())
    with pytest.raises(BundleError, match="without size and hash"):
        write_bundle(out, source.manifest, {"tokenizer.json": source.read("tokenizer.json")}, force=True)
    assert out.read_bytes() == small_zip.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.vljepa"]


def test_the_same_content_gives_the_same_zip(tmp_path: Path, small_zip: Path) -> None:
    source = Bundle.open(small_zip)
    files: dict[str, bytes | Path] = {name: source.read(name) for name in source.manifest.files}
    assert (
        write_bundle(tmp_path / "a", source.manifest, files).location.read_bytes() == small_zip.read_bytes()
    )
