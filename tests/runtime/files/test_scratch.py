"""Folders in which something is made: private, removed, and swept when their process was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vljepa_runtime.bundle.place import check_place
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files.atomic import claimed
from vljepa_runtime.files.scratch import scratch_folder

HOLDS = """
import sys
from pathlib import Path
from vljepa_runtime.files.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "graph").write_bytes(bytes(1000))
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_it_is_gone_afterwards_whatever_happens(tmp_path: Path) -> None:
    def fails() -> None:
        with scratch_folder(tmp_path / "a.vljepa") as folder:
            (folder / "x").write_text("")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_only_those_of_the_dead_are_swept(tmp_path: Path) -> None:
    place = tmp_path / "a.vljepa"
    (tmp_path / ".a.vljepa.mine").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with scratch_folder(place):
            assert len(list(tmp_path.iterdir())) == 3
        process.kill()
        process.wait()
    assert len(list(tmp_path.iterdir())) == 2
    with scratch_folder(place):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".a.vljepa.mine"]


def test_one_writer_of_a_bundle(tmp_path: Path) -> None:
    place = tmp_path / "new" / "a.vljepa"
    with claimed(place), pytest.raises(InputError, match="being written"), claimed(place):
        pass
    with claimed(place):
        pass
    assert list(place.parent.iterdir()) == []


def test_force_replaces_a_bundle_and_nothing_else(tmp_path: Path, small_folder: Path) -> None:
    bundle = small_folder
    check_place(bundle, force=True)
    with pytest.raises(BundleError, match="exists"):
        check_place(bundle, force=False)
    (bundle / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"it holds notes\.txt"):
        check_place(bundle, force=True)
    (tmp_path / "link").symlink_to(bundle)
    for name, reason in (("link", "symbolic link"), ("notes/x", "not a folder")):
        (tmp_path / "notes").write_text("")
        with pytest.raises(InputError, match=reason):
            check_place(tmp_path / name, force=True)
    for device in ("/dev/null", "/proc/a.vljepa"):
        with pytest.raises(InputError):
            check_place(device, force=True)
