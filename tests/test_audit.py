"""The audit of dependencies: what it asks about, when it fails, and that nobody to ask is no failure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("packaging")
pytest.importorskip("fastapi")
pytest.importorskip("tomlkit")

ROOT = Path(__file__).resolve().parents[1]
ASKED = "import shutil, sys\nshutil.copy(sys.argv[sys.argv.index('--requirement') + 1], 'asked.txt')\n"


def audited(folder: Path, answer: str) -> tuple[int, str]:
    """Exit code and output of the audit, with a pip-audit that answers so."""
    program = folder / "pip-audit"
    program.write_text(f"#!{sys.executable}\n{ASKED}{answer}\n")
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/audit", program], capture_output=True, text=True, timeout=60, cwd=folder
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def answering(packages: list[dict[str, object]]) -> str:
    return f"print({json.dumps(json.dumps({'dependencies': packages, 'fixes': []}))})"


def test_what_serve_brings_is_asked_about_and_nothing_else(tmp_path: Path) -> None:
    well = {"name": "uvicorn", "version": "1", "vulns": []}
    code, said = audited(tmp_path, answering([well]))
    asked = {line.split("==")[0].lower() for line in (tmp_path / "asked.txt").read_text().splitlines()}
    assert {"numpy", "av", "fastapi", "starlette", "uvicorn", "tomlkit", "paho-mqtt", "onnxruntime"} <= asked
    assert not {"torch", "onnx", "pytest", "vljepa-edge"} & asked
    assert (code, said.split(" of ")[0]) == (0, "audit: 1")


def test_an_advisory_fails_with_its_number_and_what_mends_it(tmp_path: Path) -> None:
    bad = {
        "name": "a",
        "version": "1.0",
        "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}],
    }
    code, said = audited(tmp_path, answering([bad]))
    assert code == 1
    assert said.splitlines()[0] == "audit: a 1.0: PYSEC-1, mended in 1.1"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("sys.exit('ERROR: ConnectionError: no route')", "no route"),
        (answering([{"name": "a", "skip_reason": "not found on PyPI"}]), "not found on PyPI"),
        (answering([]), "it knows no package"),
    ],
)
def test_nobody_to_ask_is_said_and_no_failure(tmp_path: Path, answer: str, reason: str) -> None:
    code, said = audited(tmp_path, answer)
    assert code == 0
    assert "not reachable" in said
    assert reason in said
