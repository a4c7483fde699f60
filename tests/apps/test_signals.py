"""A signal that ends a command is never lost, whatever is running when it comes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from vljepa_apps.signals import deferred, ending_as_interrupt
from vljepa_runtime.interruptible import interruptible

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of this kind on Windows")

SWALLOWS = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass
except BaseException:
    pass
"""


def loop_s(seconds: float) -> None:
    """Run Python, in which a signal can be seen, for so long."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        time.sleep(0.01)


def test_an_import_that_swallows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "swallows_interrupts.py").write_text(SWALLOWS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def work() -> None:
        import swallows_interrupts  # type: ignore[import-not-found] # noqa: F401

        loop_s(10)

    with pytest.raises(KeyboardInterrupt), ending_as_interrupt():
        work()
    assert "swallows_interrupts" in sys.modules


def test_a_finaliser_that_swallows_it() -> None:
    class Final:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            loop_s(0.01)

    def work() -> None:
        Final()
        loop_s(10)

    with pytest.raises(KeyboardInterrupt), ending_as_interrupt():
        work()


def test_what_is_deferred_waits_longer_than_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "swallows_again.py").write_text(SWALLOWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = []

    def work() -> None:
        with deferred() as ending:
            import swallows_again  # type: ignore[import-not-found] # noqa: F401

            loop_s(0.2)
            done.append("whole")
        ending.raise_if_came()
        done.append("too much")

    with pytest.raises(KeyboardInterrupt), ending_as_interrupt():
        work()
    assert done == ["whole"]


def test_no_alarm_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "swallows_last.py").write_text(SWALLOWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    with ending_as_interrupt():
        import swallows_last  # type: ignore[import-not-found] # noqa: F401
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_library_is_stopped_though_the_signal_comes_while_its_thread_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = threading.Thread.start
    stopped = threading.Event()

    def interrupted(thread: threading.Thread) -> None:
        begin(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        interruptible(lambda: stopped.wait(10), stopped.set)
    assert stopped.is_set()
