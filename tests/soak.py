"""Memory over hours of looped video: one session with its sinks, its RSS sampled as it goes. Not part of the suite.

    python tests/soak.py --hours 2                  the demo's procedural stream, as fast as it goes
    python tests/soak.py --hours 2 --source FILE    a file of yours, looped
    python tests/soak.py --hours 2 --source URL     a live stream, at its own pace

With glibc, set MALLOC_ARENA_MAX=2 as docs/service.md does: else threads that come and go fill pool after pool.
Hours are those of the stream. Prints one JSON object: the slope of RSS with its 95 % interval, threads and open files
at the start and the end. Exits 1 when the slope is above --limit MB an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

import vljepa_runtime as vj
from vljepa_apps.console import Progress
from vljepa_apps.demo.stream import write_video
from vljepa_data.world.stream import make_stream
from vljepa_runtime.sinks import JsonlSink, SubtitleSink

WARM_UP = (
    0.2  # share of the stream after which memory counts: caches, pools and the Y-decoder are there by then
)
SAMPLE_S = 30.0  # of the stream
FPS = 8.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process held at one time of the stream."""

    hours: float
    rss_mb: float
    threads: int
    files: int


def main() -> int:
    """Run the stream and judge the slope."""
    parser = argparse.ArgumentParser(description="memory of a session over hours of looped video")
    parser.add_argument("--hours", type=float, default=2.0, help="of the stream (default 2)")
    parser.add_argument("--source", help="file or URL (default: the demo's stream)")
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--limit", type=float, default=2.0, help="MB an hour that are allowed (default 2)")
    args = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        samples = list(soak(args, Path(folder)))
    late = [sample for sample in samples if sample.hours >= WARM_UP * args.hours]
    slope, margin = slope_of(late)
    report = {
        "stream_hours": round(samples[-1].hours, 3),
        "wall_minutes": round((time.monotonic() - begun) / 60, 1),
        "samples": len(late),
        "rss_mb": {
            "after_warm_up": round(late[0].rss_mb, 1),
            "end": round(late[-1].rss_mb, 1),
            "most": round(max(sample.rss_mb for sample in samples), 1),
            "curve": [round(sample.rss_mb, 1) for sample in samples[:: max(1, len(samples) // 20)]],
        },
        "slope_mb_per_hour": round(slope, 3),
        "interval_95": [round(slope - margin, 3), round(slope + margin, 3)],
        "threads": [late[0].threads, late[-1].threads],
        "open_files": [late[0].files, late[-1].files],
    }
    print(json.dumps(report, indent=2))
    return int(slope > args.limit)


def soak(args: argparse.Namespace, folder: Path) -> Iterator[Sample]:
    """Samples of the process while a session runs."""
    source = args.source or str(stream_file(folder))
    loop = Path(source).exists()
    process = psutil.Process()
    model = vj.load(args.bundle)
    taken = -1
    with (
        model.session() as session,
        SubtitleSink(folder / "soak.srt") as subtitles,
        JsonlSink(folder / "soak.jsonl") as events,
        Progress("stream hours", total=args.hours) as progress,
    ):
        for event in session.run(vj.open_source(source, loop=loop)):
            subtitles.write(event)
            events.write(event)
            progress.update(event.end_s / 3600)
            if event.end_s // SAMPLE_S > taken:
                taken = int(event.end_s // SAMPLE_S)
                yield sample(process, event.end_s / 3600)
            if event.end_s >= args.hours * 3600:
                break


def sample(process: psutil.Process, hours: float) -> Sample:
    """The process as it is now."""
    return Sample(hours, process.memory_info().rss / 1e6, process.num_threads(), process.num_fds())


def slope_of(samples: list[Sample]) -> tuple[float, float]:
    """Least-squares slope of RSS in MB an hour, and half of its 95 % interval."""
    hours = np.array([sample.hours for sample in samples])
    rss = np.array([sample.rss_mb for sample in samples])
    centred = hours - hours.mean()
    slope = float(centred @ rss / (centred @ centred))
    left = rss - rss.mean() - slope * centred
    spread = np.sqrt(left @ left / (len(samples) - 2) / (centred @ centred))
    return slope, float(1.96 * spread)


def stream_file(folder: Path) -> Path:
    """Three minutes of the procedural world as an H.264 file."""
    path = folder / "stream.mp4"
    write_video(make_stream(7, minutes=3, size=240, fps=FPS), path, fps=FPS)
    return path


if __name__ == "__main__":
    sys.exit(main())
