"""A log and JSON lines on a disk that fills up and gets room again, as JSON: `python tests/full_disk.py FOLDER`.

The disk is a small one in memory, mounted in a namespace of its own, which goes with the process; Linux alone has that.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import vljepa_runtime as vj
from vljepa_log import LogReader, LogSink, Steps
from vljepa_runtime.sinks import SinkGroup

COUNT, FULL, ROOM = 120, 40, 80  # windows in all, and those between which the disk is full
MOUNTED = 'mount -t tmpfs -o size=24m none "$1" && exec "$2" "$3" --inside "$1"'


class Door(vj.Source):
    """A camera, which is not read."""

    name, live = "door", True

    def frames(self, hints: vj.Hints = vj.EVERY_FRAME) -> Iterator[vj.Frame]:
        yield from ()

    def close(self) -> None:
        """Nothing is held."""


def outcome(folder: Path) -> dict[str, Any] | None:
    """What came of it; None where no disk can be mounted."""
    command = ["unshare", "-rm", "sh", "-c", MOUNTED, "sh", str(folder), sys.executable, __file__]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        return None
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def record(disk: Path) -> dict[str, Any]:
    """Write a window and an event each, before, while and after there is no room."""
    told: list[tuple[str, float]] = []
    manifest = vj.Bundle.open("tiny").manifest
    pre, embedding = manifest.preprocess, np.eye(manifest.embedding_dim, dtype=np.float32)[0]
    clip = vj.Clip(np.zeros((pre.frames, pre.size, pre.size, 3), np.uint8), pre)

    def pause(error: vj.OutputPausedError | None) -> None:
        told.append(("restored" if error is None else "paused", time.monotonic()))

    with SinkGroup(lambda error: told.append((str(error), time.monotonic())), pause) as group:
        log = LogSink(disk / "LOG", manifest, steps=Steps(windows=1, seconds=0.0))
        log.add_stream(disk, Door(), name="door")
        group.add(log)
        group.add(vj.JsonlSink(disk / "e.jsonl"))
        room_s = 0.0
        for index in range(COUNT):
            if index == FULL:
                fill(disk / "filler")
            if index == ROOM:
                (disk / "filler").unlink()
                room_s = time.monotonic()
            window = vj.Window(clip=clip, start_s=index, end_s=index + 1, index=index)
            group.write_window("door", window, "what?", embedding)
            group.write(
                vj.Event(stream="door", kind="segment", start_s=index, end_s=index + 1, text=f"{index}")
            )
    with LogReader(disk / "LOG") as reader:
        windows = [float(each["start_s"]) for batch in reader.windows() for each in batch.windows]
        events = [each.event.text for each in reader.events()]
    lines = [vj.Event.from_json(line).text for line in (disk / "e.jsonl").read_text().splitlines()]
    recovered_s = max((at for what, at in told if what == "restored"), default=0.0) - room_s
    return {
        "told": [what for what, _ in told],
        "windows": windows,
        "events": events,
        "lines": lines,
        "recovered_s": recovered_s,
    }


if __name__ == "__main__":
    inside = sys.argv[1] == "--inside"
    print(json.dumps(record(Path(sys.argv[2])) if inside else outcome(Path(sys.argv[1]))))
