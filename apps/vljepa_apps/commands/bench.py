"""`vljepa bench`: one bundle on this machine: its graphs, a window, a stream, and how much is not inference."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Latency
    from vljepa_runtime import Model, SessionStats

LATENCY_HEADER = ("cell", "p50 ms", "p95 ms", "middle half", "runs")
STAGE_HEADER = ("stage", "times", "p50 ms", "p95 ms", "share")
SECONDS = 60.0
FRAME_SIZE, FPS = 240, 8.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser, optional=True)
    parser.add_argument(
        "--source",
        metavar="FILE",
        help="video to run on (default: a stream of the procedural world as an H.264 file)",
    )
    parser.add_argument(
        "--seconds",
        type=arguments.positive,
        default=SECONDS,
        metavar="S",
        help=f"of that stream (default {SECONDS:g})",
    )
    parser.add_argument(
        "--rounds",
        type=arguments.positive_int,
        default=100,
        metavar="N",
        help="timed runs per cell (default 100)",
    )
    arguments.add_json(parser)
    arguments.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Print latency per graph and the shares of a stream's time."""
    from vljepa_apps.commands.doctor import machine

    model = arguments.load_model(args)
    with video(args) as path:
        stats = stream(model, path)
        peak_rss_mb = memory(args, path)
    latency = graphs(model, args)
    report = {
        "bundle": model.bundle.name,
        "engine": model.engine_name,
        "machine": machine(),
        "peak_rss_mb": peak_rss_mb,
        "latency": {cell: asdict(value) for cell, value in latency.items()},
        "stream": asdict(stats)
        | {"overhead": stats.overhead, "overhead_with_capture": stats.overhead_with_capture},
    }
    if args.json:
        console.document(report, indent=2)
    else:
        console.result(text(report, latency, stats))
    return 1 if any(value.error for value in latency.values()) else 0


def graphs(model: Model, args: argparse.Namespace) -> dict[str, Latency]:
    """Every graph, and a window and a text end to end."""
    from vljepa_apps.measure.latency import alternate
    from vljepa_apps.measure.latency_cells import end_to_end, graph_cells, sample_frames

    alone = graph_cells(model, engine=args.engine, threads=args.threads, allow_fallback=args.allow_fallback)
    cells = {**alone, **end_to_end(model, sample_frames())}
    with console.Progress("latency", total=1.0) as progress:
        measured = alternate(
            {"": cells}, rounds=args.rounds, progress=lambda share, what: progress.update(share, detail=what)
        )
    return measured[""]


def stream(model: Model, path: str) -> SessionStats:
    """Run a session over a file and give its times."""
    import vljepa_runtime as vj

    with vj.open_source(path) as source, model.session() as session:
        console.note(f"running on {source.name}")
        for _ in session.run(source):
            pass
        return session.stats


def memory(args: argparse.Namespace, path: str) -> float | None:
    """Peak memory in MB of a process that does nothing but run the bundle over the same file."""
    from vljepa_apps.measure.report_run import worker

    order = {"spec": args.bundle, "engine": args.engine, "threads": args.threads, "source": path}
    lines = list(worker(order | {"allow_fallback": args.allow_fallback}))
    return next((line["peak_rss_mb"] for line in lines if line["kind"] == "facts"), None)


@contextmanager
def video(args: argparse.Namespace) -> Iterator[str]:
    """The file to run on; a temporary one when none was named."""
    if args.source:
        yield args.source
        return
    from vljepa_data.world.stream import make_stream
    from vljepa_runtime.sinks import VideoSink
    from vljepa_runtime.sources import Frame

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.mp4"
        world = make_stream(1, minutes=args.seconds / 60, size=FRAME_SIZE, fps=FPS)
        with VideoSink(path) as sink, console.Progress("writing a video", total=len(world)) as progress:
            for index, image in enumerate(world):
                sink.write_frame(Frame(image=image, time_s=index / FPS, index=index))
                progress.advance()
        yield str(path)


def text(report: dict[str, Any], latency: dict[str, Latency], stats: SessionStats) -> str:
    """The tables for a terminal."""
    peak_mb = report["peak_rss_mb"]
    facts = [
        ("bundle", report["bundle"]),
        ("engine", report["engine"]),
        ("cpu", f"{report['machine']['cpu']}, {report['machine']['cores']} cores"),
        ("peak memory", f"{peak_mb:.0f} MB, running the stream" if peak_mb else "n/a"),
    ]
    cells = [
        (name, f"failed: {value.error}", "", "", 0)
        if value.error
        else (
            name,
            f"{value.p50_ms:.2f}",
            f"{value.p95_ms:.2f}",
            f"{value.low_ms:.2f}-{value.high_ms:.2f}",
            value.runs,
        )
        for name, value in latency.items()
    ]
    busy_ms = max(stats.busy_s * 1000, 1e-9)
    stages = [
        (name, stage.count, f"{stage.p50_ms:.2f}", f"{stage.p95_ms:.2f}", f"{stage.total_ms / busy_ms:.1%}")
        for name, stage in stats.latency.items()
    ]
    summary = (
        f"{stats.windows} windows of {stats.media_s:.0f} s in {stats.busy_s:.1f} s "
        f"({stats.media_s / max(stats.busy_s, 1e-9):.1f}x real time), {stats.decodings} decodings; "
        f"not inference: {stats.overhead:.1%} of the time, {stats.overhead_with_capture:.1%} with reading the video"
    )
    return "\n\n".join(
        [
            f"machine\n{console.table(facts)}",
            f"latency, one at a time\n{console.table(cells, header=LATENCY_HEADER)}",
            f"a stream, per stage\n{console.table(stages, header=STAGE_HEADER)}\n  {summary}",
        ]
    )
