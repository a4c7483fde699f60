"""The Dockerfiles hold what this project has: files, extras, options, and a check of health that tells."""

from __future__ import annotations

import http.server
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from fnmatch import fnmatch
from pathlib import Path

import pytest

from vljepa_apps.commands import serve
from vljepa_apps.main import parser_of

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "deploy/docker").glob("Dockerfile*"))
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
each_file = pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])


def instructions(path: Path) -> list[tuple[str, str]]:
    """What a Dockerfile says: (instruction, what follows), continued lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r" *\\\n\s*", " ", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def last(path: Path, name: str) -> str:
    """The last of an instruction, which is the one that holds."""
    return [value for word, value in instructions(path) if word == name][-1]


def is_sent(name: str) -> bool:
    """Whether a file gets to the builder, by the rules of .dockerignore."""
    sent = True
    for rule in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if rule and not rule.startswith("#"):
            pattern = rule.removeprefix("!").replace("**/", "*")
            if fnmatch(name, pattern) or name.startswith(f"{pattern}/"):
                sent = rule.startswith("!")
    return sent


def test_both_are_here() -> None:
    assert [path.name for path in FILES] == ["Dockerfile", "Dockerfile.jetson"]


@each_file
def test_it_ends_in_a_page_that_is_not_run_by_root(path: Path) -> None:
    assert json.loads(last(path, "ENTRYPOINT")) == ["vljepa"]
    name, *words = json.loads(last(path, "CMD"))
    assert name == "serve"
    args = parser_of("serve", serve).parse_args(words)
    assert str(args.log) == last(path, "VOLUME") == last(path, "WORKDIR")
    assert str(args.port) == last(path, "EXPOSE")
    assert int(last(path, "USER")) > 0
    assert f"--uid {last(path, 'USER')}" in path.read_text()


@each_file
def test_bases_are_pinned_and_the_environment_alone_is_taken_over(path: Path) -> None:
    bases = [value for word, value in instructions(path) if word == "FROM"]
    assert [base for base in bases if not re.search(r":[\w.-]*\d", base) or "latest" in base] == []
    copied = [shlex.split(value) for word, value in instructions(path) if word == "COPY"]
    assert copied == [[".", "."], ["--from=build", "/opt/vljepa", "/opt/vljepa"]]


@each_file
def test_extras_exist(path: Path) -> None:
    (extras,) = re.findall(r"'\.\[([\w,-]+)\]'", path.read_text())
    assert [
        name for name in extras.split(",") if not re.search(rf"^{name} = \[", PROJECT, re.MULTILINE)
    ] == []


def test_the_builder_gets_what_a_wheel_is_made_of_and_no_more() -> None:
    packages = re.findall(r'^    "(\w+/vljepa_\w+)",$', PROJECT, re.MULTILINE)
    assert len(packages) == 10
    needed = ["pyproject.toml", "constraints.txt", "README.md", "LICENSE"]
    needed += [f"{package}/{name}" for package in packages for name in ("__init__.py", "py.typed")]
    assert [name for name in needed if not (ROOT / name).is_file() or not is_sent(name)] == []
    left_out = ("tests/test_docs.py", ".git/config", ".venv-test/bin/python", "serve.toml", "docs/serve.md")
    left_out += (
        "model/vljepa_model/checkpoints/tiny/model.safetensors",
        "apps/vljepa_apps/__pycache__/a.pyc",
    )
    assert [name for name in left_out if is_sent(name)] == []


@each_file
@pytest.mark.parametrize("status", [200, 503])
def test_health_is_asked_for_as_it_is_told(path: Path, status: int) -> None:
    asked = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    program, *words = json.loads(last(path, "HEALTHCHECK").partition(" CMD ")[2])
    assert program == "python"
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        words = [word.replace(":8080/", f":{server.server_port}/") for word in words]
        done = subprocess.run([sys.executable, *words], capture_output=True, timeout=60)
        server.shutdown()
    assert asked == ["/health"]
    assert (done.returncode == 0) is (status == 200)


@each_file
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("no hadolint here")
    done = subprocess.run([hadolint, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
