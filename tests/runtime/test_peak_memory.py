"""The peak of a process is its own, not its parent's."""

from __future__ import annotations

import subprocess
import sys

from vljepa_runtime.peak_memory import peak_rss_mb

CODE = "from vljepa_runtime.peak_memory import peak_rss_mb; print(peak_rss_mb() or 0)"


def test_a_child_does_not_begin_with_its_parents_peak() -> None:
    held = bytearray(b"x" * 300_000_000)
    assert (peak_rss_mb() or 301) > 300
    child = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, text=True)
    assert float(child.stdout) < 200 < len(held) / 1e6


def test_memory_that_was_let_go_counts() -> None:
    held = bytearray(b"x" * 50_000_000)
    most = peak_rss_mb() or 0
    del held
    assert (peak_rss_mb() or 0) >= most
