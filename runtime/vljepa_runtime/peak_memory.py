"""How much memory this process has held at most."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["peak_rss_mb"]


def peak_rss_mb() -> float | None:
    """Largest resident set of this process so far in MB (10^6 bytes), mapped files among it; None where unknown.

    On Linux `getrusage` will not do: a child begins with its parent's maximum, even after exec.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if "VmHWM:" in line)
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else peak * 1024) / 1e6
