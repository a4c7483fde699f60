"""`vljepa build`: the engines of a TensorRT bundle, made on the machine that runs them, with an estimate first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console

if TYPE_CHECKING:
    from vljepa_runtime.engines.trt import CachedEngine, Step

HEADER = ("graph", "precision", "profiles", "engine", "s", "this time")

EXAMPLE = "vljepa build tiny-trt.vljepa --dry-run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="made with --format tensorrt")
    parser.add_argument(
        "--engine", choices=("tensorrt", "tensorrt-rtx"), default="tensorrt",
        help="library to build with: tensorrt (default) for this GPU, tensorrt-rtx for any RTX GPU",
    )  # fmt: skip
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where engines are kept (default ~/.cache/vljepa/engines)"
    )
    parser.add_argument("--dry-run", action="store_true", help="stop after the estimate")
    parser.add_argument("--force", action="store_true", help="build again what is there")
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Estimate, then build what is not there, one graph after the other."""
    from vljepa_runtime.bundle import Bundle
    from vljepa_runtime.engines.trt import (
        EngineCache,
        load_library,
        plan_builds,
        require_buildable,
        run_build,
        to_do,
    )

    bundle = Bundle.open(args.bundle)
    require_buildable(bundle)
    library, cache = load_library(args.engine), EngineCache(args.cache)
    steps = plan_builds(bundle, library, cache)
    pending = to_do(steps, force=args.force)
    console.note(announcement(steps, pending))
    done: dict[str, CachedEngine] = {}
    if pending and not args.dry_run:
        with console.Progress("building", total=len(pending)) as progress:
            for index, step in enumerate(pending):

                def show(phase: str, share: float, at: int = index, graph: str = step.graph) -> None:
                    progress.update(at, detail=f"{graph}: {phase} {share:.0%}")

                done[step.graph] = run_build(bundle, step, library, cache, progress=show)
                progress.update(index + 1)
    console.report(document(steps, done), lambda: text(steps, done), as_json=args.json)
    if not args.dry_run and not args.json:
        console.note(f"\nnext: vljepa run {args.bundle} VIDEO --engine {args.engine}")
    return 0


def announcement(steps: Sequence[Step], pending: Sequence[Step]) -> str:
    """What will be built, for what, and how long it should take."""
    lines = [f"for {steps[0].machine}: {len(pending)} of {len(steps)} graphs to build"]
    if pending:
        known = [step.estimate.seconds for step in pending if step.estimate.seconds is not None]
        whole = f"about {console.duration(sum(known))}" if len(known) == len(pending) else "not known"
        lines.append(f"time: {whole} ({'; '.join(dict.fromkeys(step.estimate.basis for step in pending))})")
    return "\n".join(lines)


def document(steps: Sequence[Step], done: dict[str, CachedEngine]) -> dict[str, object]:
    """The result for programs."""
    graphs = {}
    for step in steps:
        engine = done.get(step.graph, step.built)
        graphs[step.graph] = {
            "built_now": step.graph in done,
            "engine": None if engine is None else asdict(engine),
            "estimate": asdict(step.estimate),
        }
    return {"machine": asdict(steps[0].machine), "graphs": graphs}


def text(steps: Sequence[Step], done: dict[str, CachedEngine]) -> str:
    """The result for people."""
    rows = []
    for step in steps:
        engine = done.get(step.graph, step.built)
        what = "built" if step.graph in done else "was there" if engine else "to build"
        size = "n/a" if engine is None else console.size(engine.engine_bytes)
        seconds = "n/a" if engine is None else f"{engine.seconds:.1f}"
        rows.append((step.graph, step.recipe.precision, len(step.recipe.profiles), size, seconds, what))
    layers = [f"{name}: {engine.layers}" for name, engine in done.items() if engine.layers]
    return "\n".join([console.table(rows, header=HEADER), *layers])
