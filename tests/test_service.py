"""The units of deploy/systemd are ones that systemd takes, and their commands do what docs/service.md says of them."""

from __future__ import annotations

import json
import os
import plistlib
import re
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError

import pytest

from vljepa_apps.commands import run, serve
from vljepa_apps.main import parser_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
UNITS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "deploy/systemd").glob("*.service")}
DOOR, SERVE = UNITS["vljepa-door.service"], UNITS["vljepa-serve.service"]
(OVER_NETWORK,) = [text for path, text in FILES.items() if path.endswith("network.conf")]


def command(unit: str, **values: str) -> list[str]:
    """The words of a unit's command, with what its variables say."""
    *_, line = re.findall(r"^ExecStart=(.+)$", unit.replace("\\\n", ""), re.MULTILINE)
    return shlex.split(string.Template(line).substitute(values))


def door(**changes: str) -> list[str]:
    """The same of the camera at the door, with what /etc/vljepa/door says."""
    said = dict(line.split("=", 1) for line in FILES["/etc/vljepa/door"].splitlines())
    return command(DOOR, **{**said, **changes})


def started(words: list[str], unit: str) -> subprocess.Popen[str]:
    """A process as systemd runs it: no terminal, in /, the unit's environment, what it prints to nowhere."""
    assert Path(words[0]).name == "vljepa"
    environment = dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.MULTILINE))
    return subprocess.Popen(
        [sys.executable, "-m", "vljepa_apps", *words[1:]], cwd="/", env={"PATH": os.defpath, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stopped(process: subprocess.Popen[str]) -> str:
    """Stop it as systemd does; what the journal has."""
    process.send_signal(signal.SIGTERM)
    _, journal = process.communicate(timeout=60)
    assert process.returncode == 0, journal
    return journal


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something holds, while the process lives."""
    end_s = time.monotonic() + 120
    while not holds() and process.poll() is None and time.monotonic() < end_s:
        time.sleep(0.05)


def test_the_command_is_one_that_vljepa_takes() -> None:
    program, name, *words = door(SOURCE="/dev/v4l/by-id/door")
    assert (Path(program).name, name) == ("vljepa", "run")
    args = parser_of("run", run).parse_args(words)
    assert args.sources == ["/dev/v4l/by-id/door"]
    assert args.append
    assert args.jsonl.parent == Path("/var/log") / re.findall(r"LogsDirectory=(.*)", DOOR)[0]


@pytest.mark.slow
def test_the_service_is_stopped_and_goes_on(live_servers: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "door.jsonl"

    def camera(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())
        client.recv(1)  # until the other end leaves

    with live_servers.serving(camera) as port:
        words = door(SOURCE=f"http://127.0.0.1:{port}/live")
        words = [str(log) if word == "/var/log/vljepa/door.jsonl" else word for word in words]
        for starts in (1, 2):
            before = log.read_text() if log.exists() else ""
            process = started(words, DOOR)
            until(lambda: log.exists() and '"segment"' in log.read_text()[len(before) :], process)  # noqa: B023
            stopped(process)
            assert log.read_text().startswith(before)
            events = [json.loads(line) for line in log.read_text().splitlines()]
            assert sum(event["text"].startswith("tiny on ") for event in events) == starts


@pytest.mark.parametrize("unit", [SERVE, OVER_NETWORK], ids=["unit", "over the network"])
def test_the_page_gets_its_secrets_from_systemd_alone(unit: str) -> None:
    program, name, *words = command(unit, STATE_DIRECTORY="/state", CREDENTIALS_DIRECTORY="/credentials")
    assert (Path(program).name, name) == ("vljepa", "serve")
    args = parser_of("serve", serve).parse_args(words)
    assert args.log == Path("/state")
    loaded = re.findall(r"^LoadCredential=(\w+):/etc/vljepa/", SERVE + unit, re.MULTILINE)
    asked = re.findall(r"(?:file:)?/credentials/(\w+)", " ".join(words))
    assert args.token == "file:/credentials/token"
    assert set(asked) == set(loaded)


def test_the_page_is_stopped_and_has_its_cameras_again(tmp_path: Path) -> None:
    for extra in ("fastapi", "uvicorn", "tomlkit"):
        pytest.importorskip(extra)
    secret = "correct-horse-battery-staple"
    (tmp_path / "token").write_text(secret + "\n")
    words = command(SERVE, STATE_DIRECTORY=str(tmp_path / "state"), CREDENTIALS_DIRECTORY=str(tmp_path))
    camera = {"name": "Door", "source": "rtsp://127.0.0.1:1/live", "on": False}
    for starts in (1, 2):
        process = started([*words, "--port", "0"], SERVE)
        assert process.stderr is not None
        (address,) = re.findall(r"http://\S+", process.stderr.readline())
        asking = urllib.request.Request(
            f"{address}api/cameras",
            data=json.dumps(camera).encode() if starts == 1 else None,
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
        )
        with pytest.raises(HTTPError, match="401"):
            urllib.request.urlopen(f"{address}api/cameras", timeout=20)
        with urllib.request.urlopen(asking, timeout=20) as answer:
            assert "Door" in answer.read().decode()
        assert secret not in stopped(process)


def test_a_mac_runs_a_command_that_vljepa_takes() -> None:
    (path,) = (ROOT / "deploy/launchd").glob("*.plist")
    agent = plistlib.loads(path.read_bytes())
    program, name, *words = agent["ProgramArguments"]
    assert (Path(program).name, name) == ("vljepa", "serve")
    assert str(parser_of("serve", serve).parse_args(words).log) == "/Users/YOU/vljepa-data"
    assert agent["Label"] == path.stem
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["Umask"] == 0o077


def test_the_log_is_rotated_without_a_restart() -> None:
    (rotation,) = [text for path, text in FILES.items() if "logrotate" in path]
    assert "/var/log/vljepa/*.jsonl {" in rotation
    assert "copytruncate" in rotation


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_unit(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit, more = tmp_path / name, tmp_path / f"{name}.d"
    more.mkdir()
    for place, text in [
        (unit, UNITS[name]),
        *([(more / "network.conf", OVER_NETWORK)] if "serve" in name else []),
    ]:
        place.write_text(text.replace("/opt/vljepa-edge/.venv/bin/vljepa", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_shut_in_as_far_as_the_page_says(name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", ROOT / "deploy/systemd" / name],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot look at files")
    (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(exposure) < 2
