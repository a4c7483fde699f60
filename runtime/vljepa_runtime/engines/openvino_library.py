"""OpenVINO and NNCF, imported late and without their telemetry, and the one core of a process."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import ModuleType
from typing import Any

__all__ = ["import_untracked", "shared_core"]


def import_untracked(name: str) -> ModuleType:
    """Import OpenVINO or NNCF without the telemetry that both send by default, from their import on.

    They do without `openvino_telemetry` where it is not installed; so it is hidden while they are imported.
    """
    hidden = "openvino_telemetry"
    before = sys.modules.get(hidden)
    sys.modules[hidden] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules[hidden]
        if before is not None:
            sys.modules[hidden] = before


@cache
def shared_core() -> Any:
    """OpenVINO's core: one for the whole process, for as long as it lives.

    On CPUs with AMX each core gives the thread that first uses it a signal stack and frees it with itself. Of two
    that go in the order they came in, the second puts back what the first has freed, and the next signal, Ctrl-C
    say, ends the process with SIGSEGV (seen with 2026.4.1).
    """
    return import_untracked("openvino").Core()
