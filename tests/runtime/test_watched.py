"""Long calls into a library end when the caller wants them to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine, watched
from vljepa_runtime.engines.watched import Watch, interruptible
from vljepa_runtime.errors import RunError


def endless(stopped: threading.Event) -> None:
    """What a library does with a graph that never ends, until it is told to stop."""
    assert stopped.wait(60)


def test_the_result_and_the_error_are_the_works_own() -> None:
    assert interruptible(lambda: 7, bool) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0, bool)


def test_a_run_that_does_not_return_is_stopped() -> None:
    stopped = threading.Event()
    with pytest.raises(RunError, match=r"x_encoder on fake did not return within 0.3 s: use a smaller"):
        interruptible(lambda: endless(stopped), stopped.set, limit_s=0.3, what="x_encoder on fake")
    assert stopped.is_set()


def test_a_library_that_does_not_stop_is_left_behind() -> None:
    never = threading.Event()
    started = time.monotonic()
    with pytest.raises(RunError, match="did not return"):
        interruptible(lambda: endless(never), bool, limit_s=0.2)
    assert time.monotonic() - started < 30
    never.set()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal for one thread")
def test_ctrl_c_reaches_a_run() -> None:
    stopped = threading.Event()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(lambda: endless(stopped), stopped.set)
    assert stopped.is_set()


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
    monkeypatch.setattr(watched, "POLL_S", 0.001)
    monkeypatch.setattr(watched, "RUN_LIMIT_S", 0.0)
    with pytest.raises(RunError, match=f"x_encoder on {engine} did not return within 0 s"):
        graph.run(feeds)
    monkeypatch.undo()
    few = {name: array[:, :3] for name, array in feeds.items()}
    assert np.isfinite(graph.run(few)["visual"]).all()


def test_a_process_that_leaves_a_run_behind_ends() -> None:
    code = (
        "import threading, time\n"
        "from vljepa_runtime.engines.watched import interruptible\n"
        "interruptible(lambda: time.sleep(600), bool, limit_s=0.2, what='g')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "RunError: g did not return within 0.2 s" in result.stderr
