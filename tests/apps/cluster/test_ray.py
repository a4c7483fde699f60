"""`--on ray`: rows are those of one process, also where a worker or the command itself is killed in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from vljepa_apps.cluster import indexing
from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.world import Split, make_stream

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::Warning:ray.*")]  # at what it does itself
ray = pytest.importorskip("ray", reason="not installed: ray")

SECONDS = {"0.mp4": 20.0, "1.mp4": 6.0, "2.mp4": 8.0, "3.mp4": 6.0, "4.mp4": 8.0}
"""The first one takes longest, so that the others wait for it."""
STORE_BYTES = 100 << 20


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos, and one that is none."""
    folder = tmp_path_factory.mktemp("recordings")
    for seed, (name, seconds) in enumerate(SECONDS.items(), start=3):
        stream = make_stream(seed, Split.TEST, minutes=seconds / 60, size=96, fps=8)
        write_video(stream, folder / name, fps=8)
    (folder / "9.mp4").write_bytes(b"no video at all")
    for at, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (1_700_000_000 + at,) * 2)
    return folder


@pytest.fixture(scope="module")
def here(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The rows of one process."""
    log = tmp_path_factory.mktemp("here") / "LOG"
    assert main(["index", str(recordings), "--out", str(log), "--threads", "1", "--quiet"]) == 1  # 9.mp4
    return rows(log)


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A folder whose name is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="vj"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def address(temporary: Path) -> Iterator[str]:
    """Of a cluster of two machines with a core each, as far as Ray can tell."""
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr(ray._private.utils, "write_ray_address", lambda address: None)  # for others to find it
        cluster = Cluster(initialize_head=True, head_node_args={**machine, "temp_dir": str(temporary)})
        cluster.add_node(**machine, temp_dir=str(temporary))
        yield cluster.address
        ray.shutdown()
        cluster.shutdown()


def rows(log: Path) -> dict[str, object]:
    """Everything that a log's folder holds."""
    found: dict[str, object] = {path.name: path.read_bytes() for path in log.glob("*.[we]*s")}
    with closing(sqlite3.connect(log / "log.sqlite")) as database:
        for table in ("sources", "parts", "holds", "events", "thumbnails", "positions"):
            found[table] = database.execute(f"SELECT * FROM {table}").fetchall()
    return found


def index(recordings: Path, log: Path, *options: str) -> list[str]:
    """The arguments of `vljepa`."""
    return ["index", str(recordings), "--out", str(log), "--quiet", *options]


def wait_for(what: Callable[[], Any], *, limit_s: float = 120) -> Any:
    """What becomes true some time."""
    ends = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.01)
    return found


def test_rows_are_those_of_one_process(
    recordings: Path,
    here: Mapping[str, object],
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    twice = f"{recordings}/./1.mp4"
    verb, *options = index(recordings, tmp_path / "LOG", "--on", f"ray:{address}", "--json")
    command = [verb, options[0], twice, *options[1:]]
    assert main(command) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert [Path(each["stream"]).name for each in told["sources"]] == [*SECONDS, "9.mp4", "1.mp4"]
    assert [bool(each["error"]) for each in told["sources"]] == [False] * len(SECONDS) + [True, False]
    assert [each["skipped"] for each in told["sources"]] == [False] * (len(SECONDS) + 1) + [True]
    assert told["engines"] == ["onnxruntime:cpu"]
    assert all(line.startswith("indexing") for line in printed.err.splitlines())
    assert rows(tmp_path / "LOG") == here
    assert not (tmp_path / "LOG" / "gathered").exists()
    assert main(command) == 1
    again = json.loads(capsys.readouterr().out)["sources"]
    assert [each["skipped"] for each in again] == [True] * len(SECONDS) + [False, True]
    assert rows(tmp_path / "LOG") == here


class StopsOnce(indexing.IndexWorker):
    """The first that comes to the middle of a video tells its process and goes no further."""

    def __init__(self, model: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        told = Path(asked["told"])
        super().__init__(model, {key: value for key, value in asked.items() if key != "told"})

        def on_window(end_s: float) -> None:
            if end_s > 4 and not told.exists():
                told.with_suffix(".new").write_text(str(os.getpid()))
                told.with_suffix(".new").rename(told)
                time.sleep(600)

        self._asked = {**self._asked, "on_window": on_window}


def test_a_killed_worker_changes_no_row(
    recordings: Path,
    here: Mapping[str, object],
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = tmp_path / "told"
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    make = lambda model, asked: StopsOnce(model, {**asked, "told": str(told)})  # noqa: E731
    monkeypatch.setattr(indexing, "IndexWorker", make)
    killed: list[int] = []

    def kill() -> None:
        killed.append(int(wait_for(lambda: told.exists() and told.read_text())))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert main(index(recordings, tmp_path / "LOG", "--on", f"ray:{address}")) == 1
    killer.join()
    assert killed[0] != os.getpid()
    assert rows(tmp_path / "LOG") == here


def test_a_killed_command_goes_on_from_what_is_there(
    recordings: Path, here: Mapping[str, object], tmp_path: Path, temporary: Path
) -> None:
    log = tmp_path / "LOG"
    command = [sys.executable, "-m", "vljepa_apps", *index(recordings, log, "--on", "ray", "--workers", "2")]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as run:
        waiting = wait_for(lambda: sorted((log / "gathered").glob("*.result")))
        run.kill()
    assert not rows(log)["positions"]  # the first one had not come
    times = {path: path.stat().st_mtime_ns for path in waiting}
    seen: dict[Path, int] = {}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        while run.poll() is None:
            seen |= {path: path.stat().st_mtime_ns for path in waiting if path.exists()}
            time.sleep(0.01)
        assert run.returncode == 1, run.communicate()
    assert seen == times  # what had come was not made again
    assert rows(log) == here


def test_where_no_cluster_answers_one_sentence_says_so(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(index(recordings, tmp_path / "LOG", "--on", "ray:127.0.0.1:9")) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vljepa:")]
    assert "no Ray cluster answers at 127.0.0.1:9" in line


def test_a_comparison_is_that_of_this_machine(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "--tasks",
        "classification,composition",
        "--clips",
        "10",
        "--rounds",
        "0",
        "--threads",
        "1",
        "--json",
    ]
    reports = []
    for name, options in (("here", []), ("there", ["--on", f"ray:{address}"])):
        capsys.readouterr()
        assert main(["compare", "tiny", *asked, "--keep", str(tmp_path / name), *options]) == 0
        (subject,) = json.loads(capsys.readouterr().out)["subjects"]
        reports.append(subject["tasks"])
        assert not list((tmp_path / name).glob("gathered/*"))
    assert reports[0] == reports[1]
    assert set(reports[0]) == {"classification", "composition"}
