"""A copy of the project with the files and rows that a page shows, in which tests are run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("runtime", "data", "evaluation", "model", "quant", "export", "apps")
LARGE = (
    "runtime/vljepa_runtime/bundles/tiny.vljepa",
    "model/vljepa_model/checkpoints/tiny/model.safetensors",
)
Block = tuple[str, str, str]  # `python` is a new file, `diff` a row; its name; its text


def blocks(text: str) -> list[Block]:
    """The files and rows that a text shows, in order."""
    return re.findall(r'```(python|diff) title="([^"]+)"\n(.*?)```', text, re.DOTALL)


def make_copy(root: Path, shown: Iterable[Block]) -> None:
    """Copy the packages, and add to them what is shown."""
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "*.vljepa", "*.safetensors")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for large in LARGE:
        (root / large).symlink_to(ROOT / large)
    for kind, name, text in shown:
        path = root / name
        if kind == "python":
            assert not (ROOT / name).exists(), f"{name} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        else:
            context, *added = text.splitlines()
            before = path.read_text(encoding="utf-8")
            assert before.count(f"{context[1:]}\n") == 1, f"{name} has no single line {context[1:]!r}"
            rows = "\n".join(line[1:] for line in added)
            path.write_text(before.replace(f"{context[1:]}\n", f"{context[1:]}\n{rows}\n"), encoding="utf-8")


def passed(root: Path, *arguments: str) -> int:
    """How many tests pass in the copy, as pytest is called with `arguments`; all that run have to."""
    paths = [str(root / folder) for folder in FOLDERS]
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={root}"]
    code = (
        f"import sys; sys.path[:0] = {paths!r}; import pytest; "
        f"sys.exit(pytest.main({[*options, *arguments]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, cwd=root)
    assert done.returncode == 0, done.stdout[-4000:]
    return int(re.findall(r"(\d+) passed", done.stdout)[0])
