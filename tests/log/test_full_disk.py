"""A disk that is really full, and then is not: the log and the JSON lines wait for room and lose nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


def full_disk() -> Any:
    spec = importlib.util.spec_from_file_location("full_disk", Path(__file__).parents[1] / "full_disk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_waits_for_room_is_written(tmp_path: Path) -> None:
    script = full_disk()
    found = script.outcome(tmp_path)
    if found is None:
        pytest.skip("no disk can be mounted here")
    assert sorted(found["told"]) == ["paused", "paused", "restored", "restored"]
    assert found["windows"] == list(range(script.COUNT))
    assert found["events"] == found["lines"] == [str(index) for index in range(script.COUNT)]
    assert list(tmp_path.iterdir()) == []
