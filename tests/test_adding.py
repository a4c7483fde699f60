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
CONTRACTS = ("runtime/selection/test_every_policy.py", "runtime/sinks/test_every_sink.py")
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


def passed(copy: Path, *arguments: str) -> int:
    """How many tests pass with what the page adds; all that run have to."""
    paths = [str(copy / folder) for folder in FOLDERS]
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={copy}"]
    code = (
        f"import sys; sys.path[:0] = {paths!r}; import pytest; "
        f"sys.exit(pytest.main({[*options, *arguments]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, cwd=copy)
    assert done.returncode == 0, done.stdout[-4000:]
    return int(re.findall(r"(\d+) passed", done.stdout)[0])


def test_the_tests_that_are_shown_pass(copy: Path) -> None:
    pytest.importorskip("torch")
    tests = [str(copy / name) for kind, name, _ in BLOCKS if name.startswith("tests/")]
    assert len(tests) == len(KINDS)
    assert passed(copy, *tests) == len(KINDS)


@pytest.mark.parametrize(("contract", "row"), list(zip(CONTRACTS, ("first", "texts"))), ids=KINDS[:2])
def test_what_is_shown_keeps_the_contract_of_its_table(contract: str, row: str, copy: Path) -> None:
    file = copy / "tests" / contract
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tests" / contract, file)
    assert passed(copy, str(file), "-k", row) >= 5
