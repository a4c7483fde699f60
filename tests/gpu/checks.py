"""What is not timed: conformance and gates of `tiny` in every precision, on one engine."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from graphs import bundle_of, tiny
from measuring import Results

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "data", "evaluation", "model", "quant", "export", "apps")
PRECISIONS = ("fp16", "bf16")


def write_bundles(args: argparse.Namespace, results: Results) -> None:
    """`tiny` in every precision, for the suite and the gates."""
    from vljepa_runtime.bundle import write_bundle
    from vljepa_runtime.contract import GRAPH_NAMES

    model = tiny()
    for precision in (*PRECISIONS, "fp32"):
        with results.part(precision):
            made = bundle_of(args.graphs / "tiny", model, precision, GRAPH_NAMES)
            files = {name: bytes(made.read(name)) for name in made.manifest.files}
            write_bundle(args.out / f"tiny-{precision}.vljepa", made.manifest, files, force=True)
    results.add("written", sorted(path.name for path in args.out.glob("*.vljepa")))


def conformance(args: argparse.Namespace, results: Results) -> None:
    """The suite of every engine, on this one, with both bundles."""
    bundles = [f"--bundle={args.out / f'tiny-{precision}.vljepa'}" for precision in args.precisions]
    command = [
        sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider",
        "-o", "filterwarnings=default", "-k", args.tests or args.device,
        f"--reference={args.out / 'tiny-fp32.vljepa'}", *bundles,
    ]  # fmt: skip
    if args.device == "cuda" and find_spec("xdist"):
        command += ["-n", "6"]
    folders = os.pathsep.join([*(str(ROOT / folder) for folder in FOLDERS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110, env=environment, check=False
    )
    lines = done.stdout.strip().splitlines()
    (args.out / "conformance.txt").write_text(done.stdout[-200_000:] + done.stderr[-20_000:])
    failed = [line[:300] for line in lines if line.startswith(("FAILED", "ERROR"))]
    results.add("summary", lines[-1] if lines else done.stderr[-300:])
    results.add("failed", failed[:20])


def gates(args: argparse.Namespace, results: Results) -> None:
    """`vljepa verify` of both bundles, against what the float model gave."""
    from vljepa_evaluation.gates import Reference, check_gates
    from vljepa_quant import limits_for
    from vljepa_runtime import Bundle, open_engine

    reference = Reference.of(Bundle.open("tiny"))
    if args.small:
        reference = Reference(samples=reference.samples)
    for precision in args.precisions:
        with results.part(precision):
            bundle = Bundle.open(args.out / f"tiny-{precision}.vljepa")
            found = check_gates(bundle, open_engine(args.engine), reference, limits=limits_for)
            results.add(
                f"{precision} graphs",
                {
                    graph.name: [
                        round(graph.parity.mean_cosine, 6),
                        round(graph.parity.worst_cosine, 6),
                        graph.misses,
                    ]
                    for graph in found.graphs
                    if graph.parity is not None
                },
            )
            if found.agreement is not None:
                ends = found.agreement
                results.add(
                    f"{precision} end to end",
                    [round(x, 5) for x in (ends.embedding_worst, ends.overlap, ends.labels, ends.triggers)],
                )
            results.add(
                f"{precision} missed", [*found.misses, *(m for graph in found.graphs for m in graph.misses)]
            )


def checks(args: argparse.Namespace, results: Results) -> None:
    """All that is not timed."""
    for part in (write_bundles, conformance, gates):
        with results.part(part.__name__):
            part(args, results)
