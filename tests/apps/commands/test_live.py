"""`vljepa run` and `ask` against servers that give nothing: limits hold by the clock, Ctrl-C is answered."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

ASK = ("What is it?", "--label", "a ball")


def start(command: str, url: str, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "vljepa_apps", command, "tiny", url, *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("command", ["run", "ask"])
def test_an_interrupt_while_a_server_does_not_answer(live_servers: ModuleType, command: str) -> None:
    asked: list[bytes] = []

    def answer(client: socket.socket, request: bytes) -> None:
        asked.append(request)
        time.sleep(20)

    with live_servers.serving(answer) as port:
        process = start(command, f"http://127.0.0.1:{port}/live", *(ASK if command == "ask" else ()))
        end_s = time.monotonic() + 60
        while not asked and time.monotonic() < end_s:
            time.sleep(0.05)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert process.returncode == 130
    assert err == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_is_the_good_end_of_a_live_stream(
    live_servers: ModuleType, tmp_path: Path, number: signal.Signals
) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())
        time.sleep(60)

    log = tmp_path / "e.jsonl"
    with live_servers.serving(answer) as port:
        process = start("run", f"http://127.0.0.1:{port}/live", "--jsonl", str(log))
        end_s = time.monotonic() + 60
        while (not log.exists() or "segment" not in log.read_text()) and time.monotonic() < end_s:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert log.read_text() == out
    assert all(json.loads(line)["time"] for line in out.splitlines())


@pytest.mark.slow
def test_a_log_is_rotated_while_the_stream_goes_on(live_servers: ModuleType, tmp_path: Path) -> None:
    log, rotated = tmp_path / "e.jsonl", threading.Event()

    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())
        rotated.wait(60)  # the next connection comes when this one is over

    def wait_for(text: str) -> None:
        end_s = time.monotonic() + 60
        while (not log.exists() or text not in log.read_text()) and time.monotonic() < end_s:
            time.sleep(0.05)

    with live_servers.serving(answer) as port:
        url = f"http://127.0.0.1:{port}/live"
        process = start("run", url, "--jsonl", str(log), "--append", "--stride", "0.5")
        wait_for("segment")
        os.truncate(log, 0)
        rotated.set()
        wait_for("reconnecting")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert log.read_text() == out[-len(log.read_text()) :]
    assert 0 < len(log.read_text()) < len(out)
    outage = [json.loads(line) for line in log.read_text().splitlines() if "reconnecting" in line]
    assert outage[0]["kind"] == "status"
    assert outage[0]["time"]


def test_max_seconds_of_a_stream_that_falls_silent(live_servers: ModuleType) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())
        time.sleep(60)

    with live_servers.serving(answer) as port:
        process = start("run", f"http://127.0.0.1:{port}/live", "--max-seconds", "2")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert '"kind": "segment"' in out
    assert "waiting" not in out


def test_max_seconds_of_a_server_that_never_answers(live_servers: ModuleType) -> None:
    with live_servers.serving(live_servers.KINDS["rtsp_silent"]) as port:
        process = start("run", f"http://127.0.0.1:{port}/live", "--max-seconds", "1")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == f"vljepa: cannot open http://127.0.0.1:{port}/live: no answer for 1 s\n"
