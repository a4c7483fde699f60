"""docs/adding.md is true: its files and rows, put into a copy of the project, pass the tests that it shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("runtime", "data", "evaluation", "model", "quant", "export", "apps")
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'```(python|diff) title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL)
LARGE = (
    "runtime/vljepa_runtime/bundles/tiny.vljepa",
    "model/vljepa_model/checkpoints/tiny/model.safetensors",
)
KINDS = ("policy", "sink", "source", "engine", "format", "precision", "task", "command")


def test_every_kind_is_shown_as_a_file_a_row_and_a_test() -> None:
    sections = PAGE.split("\n## ")[1:]
    for kind in KINDS:
        (section,) = [text for text in sections if re.match(rf"An? [a-z ]*{kind}\n", text)]
        files = re.findall(r'```python title="([^"]+)"', section)
        assert len([name for name in files if not name.startswith("tests/")]) == 1, kind
        assert len([name for name in files if name.startswith("tests/")]) == 1, kind
        assert len(re.findall("```diff", section)) == (2 if kind == "format" else 1), kind


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with everything added that the page shows."""
    root = tmp_path_factory.mktemp("copy")
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "*.vljepa", "*.safetensors")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for large in LARGE:
        (root / large).symlink_to(ROOT / large)
    for kind, name, text in BLOCKS:
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
    return root


def test_the_tests_that_are_shown_pass(copy: Path) -> None:
    pytest.importorskip("torch")
    paths = [str(copy / folder) for folder in FOLDERS]
    tests = [str(copy / name) for kind, name, _ in BLOCKS if name.startswith("tests/")]
    assert len(tests) == len(KINDS)
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={copy}"]
    code = (
        f"import sys; sys.path[:0] = {paths!r}; import pytest; sys.exit(pytest.main({[*options, *tests]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, cwd=copy)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{len(KINDS)} passed" in done.stdout
