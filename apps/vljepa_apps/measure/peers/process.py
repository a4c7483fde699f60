"""A worker's process as its parent sees it: started, asked, waited for with a limit, ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import VljepaError

__all__ = ["PeerProcess", "WorkerError"]

START = """
import runpy, sys
sys.path[:0] = sys.argv[2:]
runpy.run_module("vljepa_apps.measure.peers.worker", run_name="__main__")
"""
PACKAGES = (
    "vljepa_apps",
    "vljepa_data",
    "vljepa_evaluation",
    "vljepa_export",
    "vljepa_log",
    "vljepa_model",
    "vljepa_quant",
    "vljepa_runtime",
    "vljepa_serve",
)
INSTALLED = ("site-packages", "dist-packages")


class WorkerError(VljepaError):
    """A peer could not do what it was asked.

    Attributes:
        absent: Its libraries are not there.
    """

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


class PeerProcess(Closing):
    """One worker.

    Args:
        order: See `worker`.
        python: The interpreter that runs it; another one needs NumPy, OpenCV and the peer's own libraries.
        scratch: Folder for what libraries print.
        limit_s: How long one answer may take.
    """

    def __init__(self, order: Mapping[str, Any], *, python: str, scratch: Path, limit_s: float) -> None:
        self._limit_s, self._held = limit_s, b""
        self._log = scratch / "log.txt"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [python, "-c", START, json.dumps(order), *_checkout()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def ask(self, what: str, **values: Any) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Raises:
            WorkerError: it failed, ended or took too long.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, **values}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError(f"its process ended: {self._last_words()}") from error
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """What it says next; see `ask`."""
        found: dict[str, Any] = json.loads(self._line())
        if "absent" in found:
            raise WorkerError(found["absent"], absent=True)
        if "error" in found:
            raise WorkerError(found["error"])
        return found

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what it was asked last
                    pipe.close()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        until = time.monotonic() + self._limit_s
        while b"\n" not in self._held:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise WorkerError(f"no answer in {self._limit_s:.0f} s")
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise WorkerError(f"its process ended: {self._last_words()}")
            self._held += part
        line, _, self._held = self._held.partition(b"\n")
        return line

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"code {self._process.wait()}"


def _checkout() -> list[str]:
    """Folders of our packages, where they are not installed: another interpreter has its own libraries, not ours."""
    from importlib.util import find_spec

    found = dict.fromkeys(
        str(Path(spec.origin).parents[1]) for name in PACKAGES if (spec := find_spec(name)) and spec.origin
    )
    return [folder for folder in found if Path(folder).name not in INSTALLED]
