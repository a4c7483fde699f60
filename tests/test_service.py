"""The unit of docs/service.md is one that systemd takes, and its command one that `vljepa` takes."""

from __future__ import annotations

import re
import shlex
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest

from vljepa_apps.commands import run
from vljepa_apps.main import parser_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
(UNIT,) = [text for path, text in FILES.items() if path.endswith(".service")]


def test_the_command_is_one_that_vljepa_takes() -> None:
    settings = dict(line.split("=", 1) for line in FILES["/etc/vljepa/door"].splitlines())
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    program, name, *words = shlex.split(string.Template(command).substitute(settings))
    assert (Path(program).name, name) == ("vljepa", "run")
    args = parser_of("run", run).parse_args(words)
    assert args.source == settings["SOURCE"]
    assert args.append
    assert args.jsonl.parent == Path("/var/log") / re.findall(r"LogsDirectory=(.*)", UNIT)[0]


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
