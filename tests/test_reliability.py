"""Every fault of docs/reliability.md is caused by a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", PAGE)))


def test_every_fault_has_its_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and "---" not in line]
    faults = [row for row in rows if not row.startswith("| fault |") and row.count("|") >= 5]
    assert [row for row in faults if not re.search(r"`tests/[\w/]+\.py::[\w:]+`", row)] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: str(part).rpartition("/")[2])
def test_the_test_is_there(file: str, name: str) -> None:
    tree: ast.AST = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for part in name.split("::"):
        found = [node for node in ast.iter_child_nodes(tree) if getattr(node, "name", "") == part]
        assert found, f"{part} is not in {file}"
        tree = found[0]
