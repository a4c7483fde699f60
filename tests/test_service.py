"""The unit of docs/service.md is one that systemd takes, and its command does what the page says of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from vljepa_apps.commands import run
from vljepa_apps.main import parser_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
(UNIT,) = [text for path, text in FILES.items() if path.endswith(".service")]


def command(**changes: str) -> list[str]:
    """The words of the unit's command, with what /etc/vljepa/door says."""
    settings = {**dict(line.split("=", 1) for line in FILES["/etc/vljepa/door"].splitlines()), **changes}
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    return shlex.split(string.Template(line).substitute(settings))


def test_the_command_is_one_that_vljepa_takes() -> None:
    program, name, *words = command(SOURCE="/dev/v4l/by-id/door")
    assert (Path(program).name, name) == ("vljepa", "run")
    args = parser_of("run", run).parse_args(words)
    assert args.sources == ["/dev/v4l/by-id/door"]
    assert args.append
    assert args.jsonl.parent == Path("/var/log") / re.findall(r"LogsDirectory=(.*)", UNIT)[0]


def test_the_service_is_stopped_and_goes_on(live_servers: ModuleType, tmp_path: Path) -> None:
    log, environment = (
        tmp_path / "door.jsonl",
        dict(re.findall(r"^Environment=(\w+)=(.*)$", UNIT, re.MULTILINE)),
    )

    def camera(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())
        client.recv(1)  # until the other end leaves

    with live_servers.serving(camera) as port:
        program, *words = command(SOURCE=f"http://127.0.0.1:{port}/live")
        assert Path(program).name == "vljepa"
        words = [str(log) if word == "/var/log/vljepa/door.jsonl" else word for word in words]
        for starts in (1, 2):  # as systemd runs it: no terminal, in /, events to nowhere
            process = subprocess.Popen(
                [sys.executable, "-m", "vljepa_apps", *words], cwd="/", env={"PATH": os.defpath, **environment},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            end_s, before = time.monotonic() + 120, log.read_text() if log.exists() else ""
            while time.monotonic() < end_s and process.poll() is None:
                if log.exists() and '"segment"' in log.read_text()[len(before) :]:
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, journal = process.communicate(timeout=60)
            assert process.returncode == 0, journal
            assert log.read_text().startswith(before)
            events = [json.loads(line) for line in log.read_text().splitlines()]
            assert sum(event["text"].startswith("tiny on ") for event in events) == starts


def test_the_log_is_rotated_without_a_restart() -> None:
    (rotation,) = [text for path, text in FILES.items() if "logrotate" in path]
    assert "/var/log/vljepa/*.jsonl {" in rotation
    assert "copytruncate" in rotation


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit = tmp_path / "vljepa-door.service"
    unit.write_text(UNIT.replace("/opt/vljepa-edge/.venv/bin/vljepa", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
