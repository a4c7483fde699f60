"""A log that was written before its server began: a camera with a recording, and one of meanings that are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from serving import Running

import vljepa_runtime as vj
from vljepa_log import LogSink, LogWriter

SIDE = 256
MEANINGS = np.linalg.qr(np.random.default_rng(0).normal(size=(SIDE, 32)))[0].T.astype(np.float32)
SHOWN = [0] * 60 + [1] * 90 + [2] * 30 + [1] * 120 + [3] * 60
LEAST = 50  # windows of shed and barn, which show what the gate does, and are changed by tests


@dataclass(frozen=True)
class Past:
    """What was written.

    Attributes:
        server: Over it.
        began: Wall clock of the gate's 0 s; a window of 2 s begins each second, and shows `SHOWN`.
        rows: (N, S) embeddings of the gate's windows.
        ends: (N,) wall clock of their ends.
        door: Wall clock of the begin of the door's recording.
    """

    server: Running
    began: float
    rows: npt.NDArray[np.float32]
    ends: npt.NDArray[np.float64]
    door: float

    def moment(self, first: float, last: float, camera: str = "gate") -> str:
        """An id, from seconds since a camera began."""
        began = self.door if camera == "door" else self.began
        return f"{camera}@{round((began + first) * 1000)}-{round((began + last) * 1000)}"


def write_door(folder: Path, model: vj.Model, recording: Path) -> None:
    """What a session wrote of a recording, words and pictures too."""
    with (
        LogSink(folder, model.bundle.manifest) as log,
        model.session() as session,
        vj.open_source(recording) as source,
    ):
        log.add_stream(recording, source, name="door")
        for event in session.run(source, on_window=partial(log.write_window, "door")):
            log.write(replace(event, stream="door"))


def write_gate(folder: Path, model: vj.Model, began: float) -> npt.NDArray[np.float32]:
    """Windows whose meanings are known, and words for one of them."""
    random = np.random.default_rng(1)
    rows = MEANINGS[SHOWN] + random.normal(size=(len(SHOWN), SIDE)).astype(np.float32) * 0.002
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query = model.prompts["caption"]
    with LogWriter(folder, model.bundle.manifest) as log:
        for second, row in enumerate(rows):
            end_s = second + 2.0
            for stream in ("gate", "shed", "barn")[: 3 if second < LEAST else 1]:
                log.add_window(stream, query, start_s=second, end_s=end_s, embedding=row, at=began + end_s)
        event = vj.Event(
            stream="gate",
            kind="segment",
            start_s=60,
            end_s=64,
            text="a cat sleeps",
            query=query,
            decoded=True,
        )
        log.add_event(event, at=began + 64)
    return rows
