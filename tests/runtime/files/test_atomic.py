"""Outputs: tried first, one writer, nothing but regular files replaced, nothing left behind by the dead."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vljepa_runtime.errors import InputError, OutputError
from vljepa_runtime.files.atomic import OutputFile, cache_file, check_folder, check_output, replace_file
from vljepa_runtime.files.claim import has_writer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_has_its_name_once_published_and_goes_on_growing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with OutputFile(path) as output:
        output.write(b"one ")
        assert not path.exists()
        output.publish()
        assert path.read_bytes() == b"one "
        output.write(b"two")
        assert path.read_bytes() == b"one two"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_that_is_removed_meanwhile_is_told(tmp_path: Path) -> None:
    output = OutputFile(tmp_path / "a.txt")
    output.publish()
    output.write(b"one")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(OutputError, match="was removed while it was written"):
        output.close()
    folder = tmp_path / "folder"
    folder.mkdir()
    output = OutputFile(folder / "a.txt")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(OutputError, match="No such file"):
        output.close()


def test_an_error_leaves_nothing_and_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("precious")

    def fails() -> None:
        with OutputFile(path, overwrite=True) as output:
            output.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert path.read_text() == "precious"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002], ids=oct)
def test_permissions_are_those_of_open(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        replace_file(tmp_path / "ours", lambda file: file.write(b"x"))
        (tmp_path / "theirs").write_bytes(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_other_names_of_a_replaced_file_keep_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    os.link(tmp_path / "a", tmp_path / "b")
    replace_file(tmp_path / "a", lambda file: file.write(b"new"))
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("new", "old")


def link_to_file(path: Path) -> None:
    outside = path.with_name("outside.txt")
    outside.write_text("precious")
    path.symlink_to(outside)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link_to_file, "symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "symbolic link"),
        (lambda path: path.symlink_to(os.devnull), "symbolic link"),
        (lambda path: path.mkdir(), "is a folder"),
        (socket_at, "a socket"),
    ],
    ids=["link", "dangling link", "link to a device", "folder", "socket"],
)
def test_what_is_not_a_regular_file_stays(make: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    make(path)
    before, kept = os.lstat(path).st_mode, names(tmp_path)
    for overwrite in (True, False):
        with pytest.raises(InputError, match=reason):
            OutputFile(path, overwrite=overwrite)
        with pytest.raises(InputError, match=reason):
            check_output(path, overwrite=overwrite)
    assert (os.lstat(path).st_mode, names(tmp_path)) == (before, kept)
    if (tmp_path / "outside.txt").exists():
        assert (tmp_path / "outside.txt").read_text() == "precious"


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_link_that_takes_the_name_meanwhile_is_not_followed(overwrite: bool, tmp_path: Path) -> None:
    path = tmp_path / "out"
    output = OutputFile(path, overwrite=overwrite)
    output.write(b"new")
    link_to_file(path)
    with pytest.raises(OutputError, match="its name"):
        output.close()
    assert path.is_symlink()
    assert (tmp_path / "outside.txt").read_text() == "precious"
    assert names(tmp_path) == ["out", "outside.txt"]


@pytest.mark.parametrize("name", ["/dev/null", "/dev/full"])
def test_a_device_is_written_in_place(name: str) -> None:
    before = os.stat(name).st_mode
    output = OutputFile(name, overwrite=True)
    if name == "/dev/full":
        with pytest.raises(OutputError, match="No space left"):
            output.write(b"x")
    else:
        output.write(b"x")
    output.close()
    assert os.stat(name).st_mode == before


def test_a_named_pipe_is_written_to_its_reader(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    check_output(pipe, overwrite=False)
    replace_file(pipe, lambda file: file.write(b"through"), overwrite=False)
    reader.join(30)
    assert got == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_without_a_reader_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.files.in_place.READER_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="nobody reads"):
        OutputFile(tmp_path / "pipe")


def test_an_open_descriptor_is_continued(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as log:
        log.write(b"before ")
        replace_file(f"/dev/fd/{log.fileno()}", lambda file: file.write(b"ours "))
        log.write(b"after")
    assert (tmp_path / "log").read_bytes() == b"before ours after"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere/out", "does not exist"),
        ("file/out", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("nul\0", "null"),
    ],
    ids=["no folder", "folder is a file", "long name", "null byte"],
)
def test_impossible_places(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=reason):
        OutputFile(tmp_path / name)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127], ids=["ascii", "two bytes each"])
def test_the_longest_names_work(name: str, tmp_path: Path) -> None:
    replace_file(tmp_path / name, lambda file: file.write(b"x"))
    assert names(tmp_path) == [name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            OutputFile(tmp_path / "out")
        with pytest.raises(InputError, match="Permission denied"):
            check_folder(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_proc_is_read_only_for_everybody() -> None:
    with pytest.raises(InputError, match="cannot write"):
        OutputFile("/proc/out")
    with pytest.raises(InputError, match="cannot write"):
        check_folder("/proc/run")


def test_folders_are_tried_where_they_will_be_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b" / "c")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "file/run", "link", "link/run"):
        with pytest.raises(InputError, match="not a folder"):
            check_folder(tmp_path / name)
    with pytest.raises(InputError, match="symbolic link"):
        check_folder(tmp_path, names=("state.pt", "checkpoint/config.json", "link"))
    assert names(tmp_path) == ["file", "link"]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with OutputFile(path) as first:
        for published in (False, True):
            with pytest.raises(InputError, match="being written"):
                OutputFile(path, overwrite=True)
            if not published:
                first.publish()
    with OutputFile(path, overwrite=True) as second:
        second.write(b"later")
    assert path.read_bytes() == b"later"


def test_names_that_begin_alike_are_other_files(tmp_path: Path) -> None:
    with (
        OutputFile(tmp_path / "e") as plain,
        OutputFile(tmp_path / "e.srt"),
        OutputFile(tmp_path / "e.srt.old"),
    ):
        with pytest.raises(InputError, match="being written"):
            OutputFile(tmp_path / "e.srt")
        assert not plain.published
    assert names(tmp_path) == ["e", "e.srt", "e.srt.old"]


RACES = """
import sys
from vljepa_runtime.errors import VljepaError
from vljepa_runtime.files.atomic import OutputFile
print("ready", flush=True)
sys.stdin.readline()
try:
    output = OutputFile(sys.argv[1], overwrite=True)
except VljepaError as error:
    print(error, flush=True)
else:
    print("mine", flush=True)
    sys.stdin.readline()
    output.close()
"""


def test_of_many_that_begin_at_once_one_gets_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACES, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
    said = [racer.stdout.readline() for racer in racers]  # type: ignore[union-attr]
    for racer in racers:
        racer.communicate("end\n", timeout=60)
    assert said.count("mine\n") == 1
    assert sum("being written by another process" in text for text in said) == 3
    assert names(tmp_path) == ["out"]


DIES = """
import os, sys
from vljepa_runtime.files.atomic import OutputFile
output = OutputFile(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", DIES, path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (left,) = names(tmp_path)
        with pytest.raises(InputError, match="being written by another process"):
            OutputFile(path)
        assert names(tmp_path) == [left]
        process.kill()
        process.wait()
    assert names(tmp_path) == [left]
    OutputFile(path).close()
    assert names(tmp_path) == ["out"]


def test_many_that_sweep_what_a_dead_one_left_do_not_stumble_over_each_other(tmp_path: Path) -> None:
    swept = tmp_path / ".out.0123456789abcdef.partial"
    sweepers = 8
    together = threading.Barrier(sweepers)

    def sweep() -> bool:
        together.wait()
        return has_writer(swept, temporary=True)

    with ThreadPoolExecutor(sweepers) as pool:
        for _ in range(100):
            swept.touch()
            for found in [pool.submit(sweep) for _ in range(sweepers)]:
                found.result()  # the others may hold it while they remove it, and nobody fails
            assert not swept.exists()


def test_links_among_temporary_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    planted = tmp_path / ".out.0000.partial"
    planted.symlink_to("precious")
    OutputFile(tmp_path / "out").close()
    assert planted.is_symlink()
    assert (tmp_path / "precious").read_text() == "x"


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
from vljepa_runtime.files.atomic import OutputFile, replace_file
try:
    replace_file(sys.argv[1], lambda file: file.write(bytes(50_000)))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"OutputError cannot write {path}: File too large\n"
    assert names(tmp_path) == []


WRITER = """
import sys
from pathlib import Path
from vljepa_runtime.files.atomic import cache_file
for _ in range(50):
    cache_file(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)
"""


def test_a_cached_file_is_whole_whoever_writes_it(tmp_path: Path) -> None:
    place = tmp_path / "folder" / "entry"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, place, letter]) for letter in "ab"]
    while any(writer.poll() is None for writer in writers):
        if place.exists():
            assert len(set(place.read_bytes())) == 1
            assert place.stat().st_size == 100_000
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [path.name for path in place.parent.iterdir()] == ["entry"]


def test_a_cached_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "entry").mkdir()
    with pytest.raises(IsADirectoryError):
        cache_file(tmp_path / "entry", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]
