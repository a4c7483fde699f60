"""docs/adding.md is true: its files and rows, put into a copy of the project, pass the tests that it shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
CONTRACTS = ("runtime/selection/test_every_policy.py", "runtime/sinks/test_every_sink.py")
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
def copy(project_copy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with everything added that the page shows."""
    root = tmp_path_factory.mktemp("copy")
    project_copy.make_copy(root, project_copy.blocks(PAGE))
    return root


@pytest.mark.slow
def test_the_tests_that_are_shown_pass(project_copy: ModuleType, copy: Path) -> None:
    pytest.importorskip("torch")
    shown = project_copy.blocks(PAGE)
    tests = [str(copy / name) for kind, name, _ in shown if name.startswith("tests/")]
    assert len(tests) == len(KINDS)
    assert project_copy.passed(copy, *tests) == len(KINDS)


@pytest.mark.parametrize(("contract", "row"), list(zip(CONTRACTS, ("first", "texts"))), ids=KINDS[:2])
def test_what_is_shown_keeps_the_contract_of_its_table(
    contract: str, row: str, project_copy: ModuleType, copy: Path
) -> None:
    file = copy / "tests" / contract
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tests" / contract, file)
    assert project_copy.passed(copy, str(file), "-k", row) >= 5
