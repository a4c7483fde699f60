"""Runs of a graph have a time limit, and those that are quick need no thread."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine, watched
from vljepa_runtime.engines.watched import Watch
from vljepa_runtime.errors import RunError


def test_only_what_was_quick_is_called_directly() -> None:
    watch, threads = Watch("g"), []

    def work(seconds: float = 0.0) -> None:
        time.sleep(seconds)
        threads.append(threading.current_thread() is threading.main_thread())

    for seconds in (0.0, 0.0, watched.SLOW_S + 0.05, 0.0):
        watch.run(lambda seconds=seconds: work(seconds), bool)  # type: ignore[misc]
    assert threads == [False, True, True, False]


@pytest.mark.parametrize("engine", ["onnxruntime:cpu", "openvino:cpu"])
def test_a_graph_that_takes_too_long_is_an_error_and_the_next_run_is_not(
    engine: str, small_zip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(engine.partition(":")[0])
    graph = open_engine(engine, threads=1).load(Bundle.open(small_zip), "x_encoder")
    feeds = {
        "patches": np.zeros((1, 200_000, 216), np.uint8),
        "positions": np.zeros((1, 200_000, 3), np.int32),
    }
    monkeypatch.setattr("vljepa_runtime.interruptible.POLL_S", 0.001)
    monkeypatch.setattr(watched, "RUN_LIMIT_S", 0.0)
    with pytest.raises(RunError, match=f"x_encoder on {engine} did not return within 0 s"):
        graph.run(feeds)
    monkeypatch.undo()
    few = {name: array[:, :3] for name, array in feeds.items()}
    assert np.isfinite(graph.run(few)["visual"]).all()


def test_a_process_that_leaves_a_run_behind_ends() -> None:
    code = (
        "import threading, time\n"
        "from vljepa_runtime.engines import watched\n"
        "watched.RUN_LIMIT_S = 0.2\n"
        "watched.Watch('g').run(lambda: time.sleep(600), bool)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "RunError: g did not return within 0.2 s" in result.stderr
