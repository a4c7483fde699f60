"""Processes with a runtime loaded each, which take turns; those that do not fit into memory are started anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_apps.measure.tune.candidates import Runtime
from vljepa_runtime.closing import Closing

__all__ = ["Runtimes", "TrialError"]

PROCESS = (sys.executable, "-m", "vljepa_apps.measure.tune.trial_process")
SHARE = 0.5  # of the memory that is free at the beginning
UNKNOWN_MB = 4000.0  # where the system does not tell what is free
STOP_S = 5.0


class TrialError(Exception):
    """A candidate does not run here; the message says why."""


@dataclass(slots=True)
class _Loaded:
    process: subprocess.Popen[str]
    rss_mb: float
    engine: str


class Runtimes(Closing):
    """Loads runtimes when they are first asked; where memory is short, the one that was asked longest ago goes."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[Runtime, _Loaded] = OrderedDict()
        self._failed: dict[Runtime, str] = {}
        self._memory_mb = SHARE * free_mb()

    def engine_of(self, runtime: Runtime) -> str:
        """What really runs, of one that was asked."""
        return self._loaded[runtime].engine

    def ask(self, runtime: Runtime, order: Mapping[str, Any]) -> dict[str, Any]:
        """Let a runtime do something.

        Raises:
            TrialError: it does not load, the order fails, or its process ended.
        """
        if runtime in self._failed:
            raise TrialError(self._failed[runtime])
        if runtime not in self._loaded:
            self._load(runtime)
        self._loaded.move_to_end(runtime)
        loaded = self._loaded[runtime]
        assert loaded.process.stdin is not None
        with suppress(OSError):  # `_reply` says what became of it
            loaded.process.stdin.write(json.dumps(order) + "\n")
            loaded.process.stdin.flush()
        return self._reply(runtime, loaded.process)

    def close(self) -> None:
        """End all processes."""
        while self._loaded:
            self._end(next(iter(self._loaded)))

    def _load(self, runtime: Runtime) -> None:
        said = {"spec": runtime.bundle, "engine": runtime.engine, "threads": runtime.threads}
        process = subprocess.Popen(
            [*PROCESS, json.dumps(said)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._loaded[runtime] = _Loaded(process, 0.0, "")
        found = self._reply(runtime, process)
        self._loaded[runtime] = _Loaded(process, found["rss_mb"], found["engine"])
        while len(self._loaded) > 1 and sum(each.rss_mb for each in self._loaded.values()) > self._memory_mb:
            self._end(next(iter(self._loaded)))

    def _reply(self, runtime: Runtime, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            self._end(runtime)
            self._failed[runtime] = f"its process ended with code {process.returncode}"
            raise TrialError(self._failed[runtime])
        found: dict[str, Any] = json.loads(line)
        if found["kind"] == "error":
            if not self._loaded[runtime].engine:  # it did not even load
                self._end(runtime)
                self._failed[runtime] = found["message"]
            raise TrialError(found["message"])
        return found

    def _end(self, runtime: Runtime) -> None:
        process = self._loaded.pop(runtime).process
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what was not written yet has no reader
                pipe.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_mb() -> float:
    """Memory that is free, in MB; a guess where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return UNKNOWN_MB
