"""Threads of engines: one per core where nobody says how many, and free to run on any of them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from vljepa_runtime import load
from vljepa_runtime.engines import cores

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system ties no threads")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_no_thread_is_tied_to_a_core(engine: str, small_zip: Path) -> None:
    pytest.importorskip(engine)
    before = set(os.listdir("/proc/self/task"))
    model = load(small_zip, engine=f"{engine}:cpu")
    model.embed_text(["a red ball"])
    own = os.sched_getaffinity(0)
    if len(own) == 1:
        pytest.skip("there is one core")
    for thread in set(os.listdir("/proc/self/task")) - before:
        with suppress(ProcessLookupError):  # one that loaded a graph may just have ended
            assert os.sched_getaffinity(int(thread)) == own


@pytest.mark.parametrize(
    ("allowed", "found"), [({0, 1, 2, 3}, 2), ({0, 2}, 1), ({1}, 1), ({0, 1, 9}, 0)], ids=str
)
def test_hardware_threads_of_a_core_count_once(
    allowed: set[int], found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cpu in range(4):
        (tmp_path / f"cpu{cpu}").mkdir()
        (tmp_path / f"cpu{cpu}" / "physical_package_id").write_text("0\n")
        (tmp_path / f"cpu{cpu}" / "core_id").write_text(f"{cpu % 2}\n")
    monkeypatch.setattr(cores, "_TOPOLOGY", f"{tmp_path}/cpu{{}}/{{}}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: allowed)
    assert cores.usable_cores() == found
