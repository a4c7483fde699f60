"""One bundle on this machine: its graphs, a window, a stream, and how much of the time is not inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vljepa_apps import console
from vljepa_apps.measure.latency import alternate
from vljepa_apps.measure.machine import machine
from vljepa_apps.measure.streaming import run_stream, stream_file
from vljepa_apps.measure.worker import in_a_process
from vljepa_apps.tables import Table

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Latency
    from vljepa_apps.measure.subject import Subject
    from vljepa_runtime import Model, SessionStats

__all__ = ["Benchmark", "bench", "stage_table", "summary", "tables"]

LATENCY_HEADER = ("cell", "p50 ms", "p95 ms", "middle half", "runs")
STAGE_HEADER = ("stage", "times", "p50 ms", "p95 ms", "share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What was measured.

    Attributes:
        bundle: Its name.
        engine: What ran.
        machine: As `measure.machine` gives it.
        peak_rss_mb: Of a process that does nothing but run the stream; None where the system does not tell.
        latency: Of each graph, and of a window and a text end to end.
        stream: Counts and times of a session over the whole stream.
    """

    bundle: str
    engine: str
    machine: Mapping[str, str]
    peak_rss_mb: float | None
    latency: Mapping[str, Latency]
    stream: SessionStats

    @property
    def failed(self) -> bool:
        """Whether something could not be timed."""
        return any(latency.error for latency in self.latency.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        stats = self.stream
        shares = {
            "overhead": stats.overhead,
            "overhead_with_capture": stats.overhead_with_capture,
            "tokens_saved": stats.tokens_saved,
        }
        return asdict(self) | {"stream": asdict(stats) | shares}


def bench(
    model: Model,
    subject: Subject,
    *,
    source: str | None,
    seconds: float,
    rounds: int,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Benchmark:
    """Run a stream, then time each graph.

    Args:
        model: `subject`, loaded.
        subject: Is loaded again in a process of its own, for its memory, and graph by graph.
        source: Video to run on; None writes a stream of the procedural world.
        seconds: Length of that stream.
        rounds: Timed runs of each graph; 0 times none.
        options: Of the session that runs the stream; see `Session`.
    """
    with stream_file(source, seconds) as path:
        stats = run_stream(
            model, path, on_open=lambda name: console.note(f"running on {name}"), options=options
        )
        peak_rss_mb = peak_memory(subject, path)
    return Benchmark(
        bundle=model.bundle.name,
        engine=model.engine_name,
        machine=machine(),
        peak_rss_mb=peak_rss_mb,
        latency=time_graphs(model, subject, rounds) if rounds else {},
        stream=stats,
    )


def peak_memory(subject: Subject, path: str) -> float | None:
    """Peak memory in MB of a process that does nothing but run the bundle over the same file."""
    lines = list(in_a_process(asdict(subject) | {"source": path}))
    return next((line["peak_rss_mb"] for line in lines if line["kind"] == "facts"), None)


def time_graphs(model: Model, subject: Subject, rounds: int) -> dict[str, Latency]:
    """Every graph, and a window and a text end to end."""
    cells = subject.cells(model)
    with console.Progress("latency", total=1.0) as progress:
        return alternate({"": cells}, rounds=rounds, progress=progress.update)[""]


def tables(found: Benchmark) -> Iterator[Table]:
    """What was measured, for people."""
    if found.latency:
        yield from _machine_and_graphs(found)
    yield stage_table(found.stream)


def _machine_and_graphs(found: Benchmark) -> Iterator[Table]:
    memory = f"{found.peak_rss_mb:.0f} MB, running the stream" if found.peak_rss_mb else "n/a"
    facts = [
        ("bundle", found.bundle),
        ("engine", found.engine),
        ("cpu", f"{found.machine['cpu']}, {found.machine['cores']} cores"),
        ("peak memory", memory),
    ]
    yield Table("machine", facts)
    cells = [_latency_row(name, latency) for name, latency in found.latency.items()]
    yield Table("latency, one at a time", cells, LATENCY_HEADER)


def stage_table(stats: SessionStats) -> Table:
    """Where the time of a stream went."""
    busy_ms = max(stats.busy_s * 1000, 1e-9)
    stages = [
        (name, stage.count, f"{stage.p50_ms:.2f}", f"{stage.p95_ms:.2f}", f"{stage.total_ms / busy_ms:.1%}")
        for name, stage in stats.latency.items()
    ]
    return Table("a stream, per stage", stages, STAGE_HEADER)


def _latency_row(name: str, latency: Latency) -> tuple[object, ...]:
    if latency.error:
        return name, f"failed: {latency.error}", "", "", 0
    spread = f"{latency.low_ms:.2f}-{latency.high_ms:.2f}"
    return name, f"{latency.p50_ms:.2f}", f"{latency.p95_ms:.2f}", spread, latency.runs


def summary(stats: SessionStats) -> str:
    """One sentence: how fast the stream was, and how much of that was not inference."""
    left_out = f", {stats.tokens_saved:.0%} of the tubelets left out" if stats.tokens_saved else ""
    carried = f" ({stats.carried} carried{left_out})" if stats.carried else left_out
    return (
        f"{stats.windows} windows{carried} of {stats.media_s:.0f} s in {stats.busy_s:.1f} s "
        f"({stats.media_s / max(stats.busy_s, 1e-9):.1f}x real time), {stats.decodings} decodings; "
        f"not inference: {stats.overhead:.1%} of the time, {stats.overhead_with_capture:.1%} with reading the video"
    )
