"""Free memory in the middle of glibc's heap goes back to the system, now and then and by one thread."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading

import pytest

from vljepa_runtime import heap
from vljepa_runtime.heap import EVERY_S, HeapTrimmer

FRAGMENTED = """
import ctypes
from vljepa_runtime.heap import HeapTrimmer

def rss_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
blocks = [libc.malloc(60_000) for _ in range(2_000)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
for index, block in enumerate(blocks):
    if (index + 1) % 50:  # what lives on keeps the heap from shrinking at its end
        libc.free(block)
times = iter([0.0, 100.0, 100.0, 100.0])
trimmer = HeapTrimmer(clock=lambda: next(times))
before = rss_mb()
trimmer.now_and_then()
print(before - rss_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_free_blocks_between_used_ones_go_back() -> None:
    child = subprocess.run([sys.executable, "-c", FRAGMENTED], capture_output=True, check=True, text=True)
    assert 100 < float(child.stdout) < 125  # 117.6 MB were free


def test_once_a_minute_however_often_it_is_asked() -> None:
    now_s, trims = 1000.0, list[float]()
    trimmer = HeapTrimmer(lambda: trims.append(now_s), clock=lambda: now_s)
    for second in range(200):
        now_s = 1000.0 + second
        trimmer.now_and_then()
        trimmer.now_and_then()
    assert trims == [1000 + EVERY_S, 1000 + 2 * EVERY_S, 1000 + 3 * EVERY_S]


def test_who_comes_while_another_trims_goes_on() -> None:
    begun, end, trims = threading.Event(), threading.Event(), list[str]()

    def trim() -> None:
        trims.append(threading.current_thread().name)
        begun.set()
        end.wait(10)

    now_s = iter(range(0, 10_000, 100))
    trimmer = HeapTrimmer(trim, clock=lambda: float(next(now_s)))
    thread = threading.Thread(target=trimmer.now_and_then, name="first")
    thread.start()
    assert begun.wait(10)
    trimmer.now_and_then()  # would wait for ever for a lock
    end.set()
    thread.join(10)
    assert trims == ["first"]


def test_a_c_library_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        def __init__(self, name: None) -> None: ...

    monkeypatch.setattr(heap.ctypes, "CDLL", Without)
    heap._malloc_trim.cache_clear()
    try:
        now_s = iter([0.0, 100.0, 100.0])
        HeapTrimmer(clock=lambda: next(now_s)).now_and_then()
        assert heap._malloc_trim() is None
    finally:
        heap._malloc_trim.cache_clear()
