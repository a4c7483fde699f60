"""Measures peers: what they run is made first, then each opens in its own process, then they take turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from vljepa_apps import console
from vljepa_apps.measure.latency import Latency, alternate
from vljepa_apps.measure.machine import commit, installed, machine
from vljepa_apps.measure.peers.ceilings import Ceiling
from vljepa_apps.measure.peers.process import PeerProcess, WorkerError
from vljepa_apps.measure.peers.table import Peer
from vljepa_apps.measure.peers.worker import WINDOW
from vljepa_apps.measure.peers.workload import Workload, make_workload
from vljepa_apps.measure.side_by_side.report import Line, SideBySide, Workplace
from vljepa_apps.measure.streaming import stream_file
from vljepa_runtime.contract import GRAPH_NAMES
from vljepa_runtime.engines.processor import has_bf16
from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.statistics import SessionStats, StageStats

__all__ = ["Plan", "Subject", "abilities", "side_by_side"]

LIMIT_S = 1800.0  # of one step of a peer: an export, a calibration, a run
STARTS, STARTS_S = 3, 4.0  # cold starts, fewer where one takes long
VERSIONS = ("vljepa-edge", "numpy", "onnxruntime", "torch", "openvino", "nncf")
GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One checkpoint and what runs it.

    Attributes:
        title: In tables.
        checkpoint: Its folder.
        peers: The lines.
        graphs: What is timed beside the window.
        rounds: Timed runs per cell.
        warmup: Runs before those; a few windows were embedded by then.
        max_cell_s: Most time for a cell of all peers together.
        stream_s: Seconds of video that the fastest of ours then runs as a stream; 0 leaves that out.
    """

    title: str
    checkpoint: Path
    peers: tuple[Peer, ...]
    graphs: tuple[str, ...] = GRAPH_NAMES
    rounds: int
    warmup: int = 2
    max_cell_s: float
    stream_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is the same for all.

    Attributes:
        command: What measures it again, for the report.
        threads: Threads on a CPU; None takes each library's own choice.
        pythons: Interpreters by peer, where one needs an environment of its own.
    """

    command: str
    threads: int | None = None
    pythons: Mapping[str, str] = field(default_factory=dict)


def abilities() -> frozenset[str]:
    """What lines may need, see `Peer.needs`, as far as this machine has it."""
    here = {"cuda": any(Path(device).exists() for device in GPU_DEVICES), "bf16": has_bf16()}
    return frozenset(name for name, is_here in here.items() if is_here)


def side_by_side(subjects: Sequence[Subject], plan: Plan) -> SideBySide:
    """Measure; what is missing or fails is a line that says so, and the rest goes on.

    Raises:
        MissingExtraError: torch is not installed, which the checkpoints need.
    """
    if not installed("torch"):
        raise MissingExtraError("torch", "export")
    begun, load = time.monotonic(), os.getloadavg()[0]
    able = abilities()
    ceilings = tuple(_ceilings(("cpu", *(["cuda"] if "cuda" in able else []))))
    places = tuple(_place(subject, plan, able) for subject in subjects)
    versions = {name: installed(name) or "not installed" for name in VERSIONS}
    return SideBySide(
        machine={
            **machine(),
            **versions,
            "commit": commit(),
            "date": date.today().isoformat(),
            "load": f"{load:.1f}",
        },
        command=plan.command,
        ceilings=ceilings,
        places=places,
        able=able,
        seconds=time.monotonic() - begun,
    )


def _ceilings(devices: Sequence[str]) -> Iterator[Ceiling]:
    with console.Progress("ceilings of products", total=len(devices)) as progress:
        for device in progress.over(devices):
            command = [sys.executable, "-m", "vljepa_apps.measure.peers.ceilings", device]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
            for line in done.stdout.splitlines():
                yield Ceiling(**json.loads(line))


def _place(subject: Subject, plan: Plan, able: frozenset[str]) -> Workplace:
    """All peers of one checkpoint."""
    peers = [peer for peer in subject.peers if not peer.needs or peer.needs in able]
    with tempfile.TemporaryDirectory(prefix="vljepa-bench-") as name, ExitStack() as stack:
        scratch = Path(name)
        (scratch / "workload").mkdir()
        console.note(f"{subject.title}: windows, and what float32 gives for them")
        workload = make_workload(subject.checkpoint, scratch / "workload", graphs=subject.graphs)
        lines = {peer.name: Line(peer=peer) for peer in peers}
        running: dict[str, PeerProcess] = {}
        with console.Progress(subject.title, total=2 * len(peers)) as progress:
            for line in lines.values():
                progress.advance(detail=f"{line.peer.title}: made")
                if _made(line, workload, scratch, plan):
                    progress.advance(detail=f"{line.peer.title}: started")
                    if process := _started(line, workload, scratch, plan):
                        running[line.peer.name] = stack.enter_context(process)
        _timed(lines, running, subject)
        for name, process in running.items():
            _measured(lines[name], process)
        place = Workplace(
            title=subject.title,
            operations=workload.operations,
            tokens=workload.preprocess.tokens,
            lines=tuple(lines.values()),
        )
        if subject.stream_s and (ours := place.fastest(ours=True)):
            _streamed(ours, running[ours.peer.name], subject.stream_s)
        return place


def _order(peer: Peer, workload: Workload, scratch: Path, plan: Plan) -> dict[str, object]:
    folder = scratch / peer.name
    folder.mkdir(exist_ok=True)
    return {
        "peer": asdict(peer),
        "workload": str(workload.folder),
        "folder": str(folder),
        "threads": plan.threads,
    }


def _process(order: dict[str, object], scratch: Path, plan: Plan, name: str) -> PeerProcess:
    python = plan.pythons.get(name, sys.executable)
    return PeerProcess(order, python=python, scratch=scratch / name, limit_s=LIMIT_S)


def _made(line: Line, workload: Workload, scratch: Path, plan: Plan) -> bool:
    """Whether what a peer runs could be written."""
    order = {**_order(line.peer, workload, scratch, plan), "prepare": True}
    try:
        with _process(order, scratch, plan, line.peer.name) as process:
            process.answer()
    except WorkerError as error:
        line.missing = _missing(line.peer, error)
    return not line.missing


def _started(line: Line, workload: Workload, scratch: Path, plan: Plan) -> PeerProcess | None:
    """A process that gave its first embedding, the last of those that were started for the clock."""
    order, starts = _order(line.peer, workload, scratch, plan), list[float]()
    while True:
        begun = time.monotonic()
        process = _process(order, scratch, plan, line.peer.name)
        try:
            said = process.answer()
            starts.append(time.monotonic() - begun)
            if len(starts) == STARTS or sum(starts) > STARTS_S:
                facts = process.ask("facts")
                break
            process.close()
        except BaseException as error:
            process.close()
            if not isinstance(error, WorkerError):
                raise
            line.missing = _missing(line.peer, error)
            return None
    line.cold_start_s, line.detail = statistics.median(starts), said["detail"]
    line.peak_rss_mb, line.cosine = facts["peak_rss_mb"], facts["cosine"]
    line.latency = {name: Latency() for name in (WINDOW, *said["graphs"])}
    return process


def _missing(peer: Peer, error: WorkerError) -> str:
    return f"{error}: {peer.install}" if error.absent else str(error)


def _timed(lines: Mapping[str, Line], running: Mapping[str, PeerProcess], subject: Subject) -> None:
    """Let all that run take turns."""
    cells = {
        name: {cell: partial(process.ask, "run", cell=cell) for cell in lines[name].latency}
        for name, process in running.items()
    }
    with console.Progress(f"{subject.title}: in turns", total=1.0) as progress:
        found = alternate(
            cells,
            rounds=subject.rounds,
            warmup=subject.warmup,
            max_cell_s=subject.max_cell_s,
            spent=lambda ask: ask()["seconds"],  # type: ignore[index]
            progress=progress.update,
        )
    for name, latency in found.items():
        lines[name].latency = latency


def _measured(line: Line, process: PeerProcess) -> None:
    try:
        line.joules = process.ask("energy")["joules"]
    except WorkerError as error:
        console.note(f"{line.peer.title}: {error}")


def _streamed(line: Line, process: PeerProcess, seconds: float) -> None:
    console.note(f"{line.peer.title}: a stream of {seconds:.0f} s")
    with stream_file(None, seconds) as path:
        try:
            stats = process.ask("stream", path=path)["stream"]
        except WorkerError as error:
            console.note(f"{line.peer.title}: {error}")
            return
    latency = {stage: StageStats(**times) for stage, times in stats.pop("latency").items()}
    line.stream = SessionStats(**stats, latency=latency)
