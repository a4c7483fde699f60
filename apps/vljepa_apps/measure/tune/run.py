"""One search from beginning to end: what is tried, on what, and what is kept meanwhile."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vljepa_apps import console
from vljepa_apps.measure.machine import device_facts, machine
from vljepa_apps.measure.streaming import stream_file
from vljepa_apps.measure.tune.candidates import (
    CARRY_S,
    Candidate,
    Runtime,
    budget_policies,
    engines_for,
    thread_counts,
)
from vljepa_apps.measure.tune.kept import KeptRuns
from vljepa_apps.measure.tune.measuring import Measuring, Watched
from vljepa_apps.measure.tune.report import Tuned
from vljepa_apps.measure.tune.runtimes import Runtimes, TrialError
from vljepa_apps.measure.tune.search import Search
from vljepa_apps.measure.tune.trials import Targets
from vljepa_runtime import Bundle, Manifest, Preprocess, __version__
from vljepa_runtime.bundle import fingerprint_of, identity_of
from vljepa_runtime.errors import InputError
from vljepa_runtime.sources import resolve

__all__ = ["Plan", "stride_of", "tune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is searched.

    Attributes:
        bundles: Paths or names, all of one checkpoint.
        targets: What has to be kept.
        source: A file; None takes a stream of the procedural world.
        seconds: Of it at most.
        queries: Asked of every window.
        labels: Possible answers.
        decode: As `Session` takes it.
        engines: Those alone; none tries all that load the bundle.
        threads: Those alone; none tries a few.
        tokens: Those policies alone; none tries several.
    """

    bundles: tuple[str, ...]
    targets: Targets
    source: str | None = None
    seconds: float = 60.0
    queries: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    decode: str = "auto"
    engines: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()


def tune(plan: Plan, kept: Path) -> Tuned:
    """Search.

    Args:
        plan: What is searched.
        kept: File for what was run, from which the same search goes on; it is removed at the end.

    Raises:
        InputError: the bundles are not of one checkpoint, or none of them runs.
    """
    manifests = read_manifests(plan.bundles)
    stride_s = stride_of(next(iter(manifests.values())).preprocess, plan.targets.fps)
    with (
        stream_file(plan.source, plan.seconds) as source,
        tempfile.TemporaryDirectory() as folder,
        Runtimes() as runtimes,
        console.Progress("tuning", total=1.0) as progress,
    ):
        watched = Watched(
            source=source,
            seconds=plan.seconds,
            stride_s=stride_s,
            queries=plan.queries,
            labels=plan.labels,
            decode=plan.decode,
            streams=plan.targets.streams,
        )
        runs = KeptRuns(kept, about(plan, manifests))
        measuring = Measuring(
            watched=watched,
            manifests=manifests,
            runtimes=runtimes,
            kept=runs,
            folder=Path(folder),
            tell=lambda name: progress.update(progress.done, name),
        )
        search = Search(
            measuring=measuring,
            targets=plan.targets,
            policies={name: plan.tokens or budget_policies(each) for name, each in manifests.items()},
            step=progress.update,
        )
        try:
            outcome = search.run(runtimes_of(plan, manifests))
        except TrialError as error:
            raise InputError(f"no engine runs it here: {error}") from error
        progress.done = 1.0
        if runs.reused:
            console.note(f"{runs.reused} runs were taken from {kept}, of a search that was stopped")
        runs.remove()
        return Tuned(
            outcome=outcome,
            targets=plan.targets,
            watched=replace(watched, source=plan.source or "procedural stream", seconds=measuring.length_s),
            manifests=manifests,
            answers=0 if measuring.exact is None or measuring.exact.choices < 2 else measuring.exact.choices,
            engine="" if outcome.chosen is None else runtimes.engine_of(outcome.chosen.candidate.runtime),
        )


def read_manifests(bundles: Sequence[str]) -> dict[str, Manifest]:
    """Of bundles of one checkpoint, the most exact first.

    Raises:
        InputError: they are of several.
    """
    found = {}
    for name in dict.fromkeys(bundles):
        with Bundle.open(name) as bundle:
            found[name] = bundle.manifest
    identities = {tuple(sorted(identity_of(each).items())) for each in found.values()}
    if len(identities) > 1:
        raise InputError(
            "expected bundles of one checkpoint, whose answers can be compared, got several: tune each alone"
        )
    return dict(sorted(found.items(), key=lambda item: -exactness(item[1])))


def exactness(manifest: Manifest) -> float:
    """Signal to noise of its worst graph on a window's way, against the float model; 0 where it was not measured."""
    return min(
        (manifest.parity[name].psnr_db for name in ("x_encoder", "predictor") if name in manifest.parity),
        default=0.0,
    )


def stride_of(pre: Preprocess, fps: float) -> float:
    """Seconds between windows, for so many a second at least: whole sampling periods of the model, one at least."""
    return max(1, math.floor(pre.fps / fps + 1e-9)) / pre.fps


def runtimes_of(plan: Plan, manifests: dict[str, Manifest]) -> list[Candidate]:
    """Every engine and number of threads of every bundle, with all tubelets."""
    return [
        Candidate(runtime=Runtime(bundle=bundle, engine=engine, threads=threads))
        for bundle, manifest in manifests.items()
        for engine in plan.engines or engines_for(manifest.target)
        for threads in plan.threads or thread_counts(engine)
    ]


def about(plan: Plan, manifests: dict[str, Manifest]) -> dict[str, Any]:
    """What a search must have in common with one that was stopped."""
    engines = sorted({engine for each in manifests.values() for engine in engines_for(each.target)})
    return {
        "version": __version__,
        "bundles": {name: fingerprint_of(each) for name, each in manifests.items()},
        "source": source_facts(plan.source),
        "machine": machine(),
        "engines": [device_facts(engine) for engine in engines],
        "carry_s": CARRY_S,
        "fps": plan.targets.fps,
        "plan": {
            name: value
            for name, value in asdict(plan).items()
            if name not in ("targets", "source", "bundles")
        },
    }


def source_facts(source: str | None) -> list[Any]:
    """A source, and of a file what changes with its content."""
    found = None if source is None else resolve(source)
    if not isinstance(found, Path):
        return [str(found)]
    held = os.stat(found)
    return [str(found.resolve()), held.st_size, held.st_mtime_ns]
