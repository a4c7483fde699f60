"""How many threads an engine gets where nobody says it, and why they are tied to no core.

Left to themselves, ONNX Runtime and OpenVINO tie each thread to a core of its own. Two processes then share the first
cores while others idle, and a core that is taken away (a container, a virtual machine) leaves a thread nowhere to run:
a session that never came to its end was seen on such a machine.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["usable_cores"]

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/{}"


def usable_cores() -> int:
    """Cores that this process may run on, hardware threads of one counted once; 0 where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return 0
    cores = {
        (_number(cpu, "physical_package_id"), _number(cpu, "core_id")) for cpu in os.sched_getaffinity(0)
    }
    return 0 if any(None in core for core in cores) else len(cores)


def _number(cpu: int, name: str) -> int | None:
    try:
        return int(Path(_TOPOLOGY.format(cpu, name)).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
