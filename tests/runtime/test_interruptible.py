"""Long calls into a library end when the caller wants them to."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from vljepa_runtime.interruptible import interruptible


def endless(stopped: threading.Event) -> None:
    """What a library does with a graph that never ends, until it is told to stop."""
    assert stopped.wait(60)


def test_the_result_and_the_error_are_the_works_own() -> None:
    assert interruptible(lambda: 7, bool) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0, bool)


def test_a_run_that_does_not_return_is_stopped() -> None:
    stopped = threading.Event()
    with pytest.raises(TimeoutError, match=r"0\.3"):
        interruptible(lambda: endless(stopped), stopped.set, limit_s=0.3)
    assert stopped.is_set()


def test_a_library_that_does_not_stop_is_left_behind() -> None:
    never = threading.Event()
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="no end after 2 s"):
        interruptible(
            lambda: endless(never),
            bool,
            limit_s=0.2,
            late=lambda s: RuntimeError(f"no end after {10 * s:g} s"),
        )
    assert time.monotonic() - started < 30
    never.set()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal for one thread")
def test_ctrl_c_reaches_a_run() -> None:
    stopped = threading.Event()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(lambda: endless(stopped), stopped.set)
    assert stopped.is_set()
