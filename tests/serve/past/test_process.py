"""The process that reads the past: beside this one, of low priority, begun anew, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from past_log import Past
from past_work import die, refuse, whoami, windows
from serving import wait_for

import vljepa_runtime as vj
from vljepa_log import LogError, LogWriter
from vljepa_serve.archive import ReadingProcess
from vljepa_serve.errors import ServeError


@pytest.fixture
def process(past: Past) -> ReadingProcess:
    return past.server.service.process


def test_the_server_reads_in_another_process_which_lets_cameras_go_first(
    past: Past, process: ReadingProcess
) -> None:
    pid, nice = process.run(whoami)
    assert psutil.Process(pid).ppid() == os.getpid()
    assert nice >= 10
    held = past.server.service.log.store.held()
    assert process.run(windows) == sum(each.windows for each in held) > 0
    assert past.server.get("/api/system")["memory_mb"] > psutil.Process().memory_info().rss / 1e6 + 20


def test_what_it_refuses_is_what_the_route_answers(process: ReadingProcess) -> None:
    with pytest.raises(ServeError, match="not now") as refused:
        process.run(refuse, "not now")
    assert (refused.value.status, refused.value.field) == (409, "moment")
    assert refused.value.headers == {"Retry-After": "1"}


def test_it_is_begun_anew_where_it_was_killed(past: Past, process: ReadingProcess) -> None:
    before, nice = process.run(whoami)
    os.kill(before, signal.SIGKILL)
    found = past.server.client.post("/api/search", json={"words": "a cat", "k": 1})
    assert found.status_code == 200, found.text
    again, same = process.run(whoami)
    assert again != before
    assert same == nice  # though a thread of low priority began it


def test_work_that_it_dies_over_is_refused_and_the_next_is_done(process: ReadingProcess) -> None:
    with pytest.raises(ServeError, match="has died over this") as refused:
        process.run(die)
    assert refused.value.status == 503
    assert process.run(windows) > 0


def test_a_log_that_is_not_there_yet_is_read_once_it_is(tmp_path: Path) -> None:
    manifest = vj.Bundle.open("tiny").manifest
    with ReadingProcess(tmp_path / "LOG", manifest) as process:
        with pytest.raises(LogError):
            process.run(windows)
        LogWriter(tmp_path / "LOG", manifest).close()
        assert process.run(windows) == 0
    with pytest.raises(ServeError, match="ending"):
        process.run(windows)


KILLED = """
import sys, time
from past_work import whoami
import vljepa_runtime as vj
from vljepa_log import LogWriter
from vljepa_serve.archive import ReadingProcess

if __name__ == "__main__":
    manifest = vj.Bundle.open("tiny").manifest
    LogWriter("LOG", manifest).close()
    print(ReadingProcess("LOG", manifest).run(whoami)[0], flush=True)
    time.sleep(600)
"""


def test_a_server_that_is_killed_leaves_none_behind(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(KILLED)
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(tmp_path / "server.py")]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert psutil.pid_exists(pid)
        server.kill()
    wait_for(lambda: not psutil.pid_exists(pid))
