"""Free memory in the middle of glibc's heap goes back to the system, now and then and by one thread."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading

import pytest

from vljepa_runtime import heap
from vljepa_runtime.heap import EVERY, HeapTrimmer

FRAGMENTED = """
import ctypes
from vljepa_runtime.heap import EVERY, HeapTrimmer

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
trimmer = HeapTrimmer()
before = rss_mb()
for _ in range(EVERY):
    trimmer.told_window()
print(before - rss_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_free_blocks_between_used_ones_go_back() -> None:
    child = subprocess.run([sys.executable, "-c", FRAGMENTED], capture_output=True, check=True, text=True)
    assert 100 < float(child.stdout) < 125  # 117.6 MB were free


def test_once_in_so_many_windows() -> None:
    told, trims = list[int](), list[int]()
    trimmer = HeapTrimmer(lambda: trims.append(len(told)))
    for window in range(1, 3 * EVERY + 2):
        told.append(window)
        trimmer.told_window()
    assert trims == [EVERY, 2 * EVERY, 3 * EVERY]


def test_who_comes_while_another_trims_goes_on() -> None:
    begun, end, trims = threading.Event(), threading.Event(), list[str]()

    def trim() -> None:
        trims.append(threading.current_thread().name)
        begun.set()
        end.wait(10)

    trimmer = HeapTrimmer(trim)

    def windows() -> None:
        for _ in range(EVERY):
            trimmer.told_window()

    thread = threading.Thread(target=windows, name="first")
    thread.start()
    assert begun.wait(10)
    windows()  # would wait for ever for a lock
    end.set()
    thread.join(10)
    assert trims == ["first"]


def test_a_c_library_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        def __init__(self, name: None) -> None: ...

    monkeypatch.setattr(heap.ctypes, "CDLL", Without)
    heap._malloc_trim.cache_clear()
    try:
        trimmer = HeapTrimmer()
        for _ in range(EVERY):
            trimmer.told_window()
        assert heap._malloc_trim() is None
    finally:
        heap._malloc_trim.cache_clear()
