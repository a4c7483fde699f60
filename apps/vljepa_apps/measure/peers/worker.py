"""One peer in a process of its own: it opens, then runs what it is asked, a JSON line each way.

Its argument: {"peer": {...}, "workload": "DIR", "folder": "DIR", "threads": null}

With `prepare` it writes what the peer runs and ends. Libraries print where they like: stdout is kept from them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from vljepa_apps.measure.peers.energy import joules_of
from vljepa_apps.measure.peers.protocol import Backend, Float32, UInt8
from vljepa_apps.measure.peers.table import Peer
from vljepa_apps.measure.peers.workload import Workload
from vljepa_runtime.contract import PREDICTOR, X_ENCODER
from vljepa_runtime.peak_memory import peak_rss_mb

__all__ = ["WINDOW", "Opened", "main"]

WINDOW = "window"
"""The cell of a whole window: frames in, embedding out."""
WARM_S = 1.0  # windows are embedded for so long before memory is read, each of them at least once
SHORT_S = 0.05  # what is shorter runs once unseen before it is timed: the peer before it had cores and caches
ENERGY_S = 3.0


class Opened:
    """A backend and what can be timed of it, each graph loaded at its first run."""

    def __init__(self, backend: Backend, workload: Workload) -> None:
        self.backend, self.workload = backend, workload
        self._runs: dict[str, Callable[[], object]] = {}
        self._graphs: dict[str, Any] = {}
        self._query = [backend.native(array) for array in workload.feeds(PREDICTOR)[1:]]

    def embed(self, frames: UInt8) -> Float32:
        """(S,) of a window, fitting and cutting included."""
        if (own := self.backend.embed(frames)) is not None:
            return own
        native, window = self.backend.native, self.workload.window_feeds(frames)
        (visual,) = self._graph(X_ENCODER)([native(array) for array in window])
        (embedding,) = self._graph(PREDICTOR)([visual, *self._query])
        row: Float32 = self.backend.numpy(embedding)[0]
        return row

    def cell(self, name: str) -> Callable[[], object]:
        """A graph on the inputs of a window, or the window."""
        if name not in self._runs:
            self._runs[name] = self._whole() if name == WINDOW else self._alone(name)
        return self._runs[name]

    def _whole(self) -> Callable[[], object]:
        frames = self.workload.frames()
        return lambda: self.embed(frames)

    def _alone(self, name: str) -> Callable[[], object]:
        run, feeds = self._graph(name), [self.backend.native(array) for array in self.workload.feeds(name)]
        return lambda: self.backend.numpy(run(feeds)[0])

    def _graph(self, name: str) -> Any:
        if name not in self._graphs:
            self._graphs[name] = self.backend.graph(name)
        return self._graphs[name]

    def seconds(self, name: str) -> float:
        """Of one run of a cell."""
        call = self.cell(name)
        spent = _seconds(call)
        return _seconds(call) if spent < SHORT_S else spent

    def cosine(self) -> float:
        """The worst, over all windows, with what float32 gives."""
        found = []
        for sample in range(self.workload.samples):
            mine, wanted = self.embed(self.workload.frames(sample)), self.workload.embedding(sample)
            found.append(float(mine @ wanted / (np.linalg.norm(mine) * np.linalg.norm(wanted))))
        return min(found)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main(order: Mapping[str, Any], say: Callable[[Mapping[str, Any]], None], asked: TextIO) -> None:
    """Do what the order says, answer what is asked until there is no more."""
    peer, workload, folder = (
        Peer(**order["peer"]),
        Workload.read(Path(order["workload"])),
        Path(order["folder"]),
    )
    if order.get("prepare"):
        peer.prepare(workload, folder)
        say({"prepared": peer.name})
        return
    opened = Opened(peer.open(workload, folder, threads=order.get("threads")), workload)
    opened.embed(workload.frames())
    say({"ready": peer.name, "detail": opened.backend.detail, "graphs": list(opened.backend.names)})
    for line in asked:
        say(_answer(opened, json.loads(line)))


def _answer(opened: Opened, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    what = asked["do"]
    if what == "run":
        return {"seconds": opened.seconds(asked["cell"])}
    if what == "facts":
        begun, cosine = time.perf_counter(), opened.cosine()
        while time.perf_counter() - begun < WARM_S:
            opened.cosine()
        return {"cosine": cosine, "peak_rss_mb": peak_rss_mb()}
    if what == "stream":
        stats = opened.backend.stream(asked["path"])
        return {"stream": stats and asdict(stats)}
    return {"joules": joules_of(opened.cell(WINDOW), seconds=ENERGY_S)}


def _run() -> int:
    """The process: an answer a line; a failure is one, too."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: Mapping[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    try:
        main(json.loads(sys.argv[1]), say, sys.stdin)
    except ImportError as error:
        say({"absent": str(error)})
    except KeyboardInterrupt:  # who started this one has it too
        return 130
    except Exception as error:
        import traceback

        traceback.print_exc()
        say({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_run())
