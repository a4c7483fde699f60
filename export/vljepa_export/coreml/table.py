"""Every Core ML program of a checkpoint, in every precision, through the reference interpreter and its gates.

    python -m vljepa_export.coreml.table tiny
    python -m vljepa_export.coreml.table tiny --graph predictor --precision fp16 --precision palette4 --json table.json

One line per program; the exit code is 1 when one misses its gate.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vljepa_evaluation.gates import GraphParity, limits_for
from vljepa_export.coreml.precisions import PRECISIONS, TARGETS
from vljepa_export.effort import WHOLE
from vljepa_export.parity import compare
from vljepa_export.request import chosen_budgets, prepare
from vljepa_runtime.contract import GRAPH_NAMES

__all__ = ["Row", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One program.

    Attributes:
        graph: Its name in the contract.
        precision: A key of `PRECISIONS`.
        parity: Against torch, in the interpreter.
        bytes: Size of the package.
        misses: Gates of its precision that it does not keep.
        notes: What the conversion said.
        seconds: Time of conversion and interpretation.
    """

    graph: str
    precision: str
    parity: GraphParity
    bytes: int
    misses: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def measure(
    checkpoint: str | Path,
    *,
    graphs: Sequence[str] = GRAPH_NAMES,
    precisions: Sequence[str] = tuple(PRECISIONS),
    clips: int = 8,
    deployment_target: str = "iOS18",
) -> Iterator[Row]:
    """Convert and check, program by program.

    Args:
        checkpoint: Its folder, or the name of a shipped one.
        graphs: Which graphs.
        precisions: Which precisions.
        clips: How many windows and texts of the test world; half of the windows keep half of their tokens.
        deployment_target: The oldest system that will run them.

    Raises:
        ExportError: a program cannot be built.
    """
    from vljepa_export.targets.coreml import convert
    from vljepa_export.walk import walk
    from vljepa_model.checkpoint import open_checkpoint

    request = prepare(checkpoint, "unwritten.vljepa", format="coreml", force=True)
    opened = open_checkpoint(request.folder)
    budgets = chosen_budgets(request, opened.preprocess.tokens)
    with tempfile.TemporaryDirectory(prefix="vljepa-") as scratch:
        walked = walk(opened, request, replace(WHOLE, clips=clips), Path(scratch), lambda what: None)
        for item in (item for network in walked for item in network if item.name in graphs):
            for name in precisions:
                started = time.monotonic()
                made = convert(
                    item.graph,
                    name,
                    samples=item.calibration,
                    budgets=budgets,
                    folder=Path(tempfile.mkdtemp(dir=scratch)),
                    deployment_target=deployment_target,
                )
                parity = compare(item.graph.contract, item.samples, made.open())
                yield Row(
                    graph=item.name,
                    precision=name,
                    parity=parity,
                    bytes=sum(path.stat().st_size for path in made.files.values()),
                    misses=limits_for(name).misses(parity),
                    notes=made.notes,
                    seconds=time.monotonic() - started,
                )


def main() -> int:
    """Print the table; see the module."""
    parser = argparse.ArgumentParser(prog="python -m vljepa_export.coreml.table", description=__doc__)
    parser.add_argument("checkpoint", help="folder or shipped name, for example tiny")
    parser.add_argument("--graph", action="append", choices=GRAPH_NAMES, help="only this graph; repeatable")
    parser.add_argument(
        "--precision", action="append", choices=list(PRECISIONS), help="only this one; repeatable"
    )
    parser.add_argument("--clips", type=int, default=8, help="windows and texts to compare with (default 8)")
    parser.add_argument(
        "--target", default="iOS18", choices=list(TARGETS), help="deployment target (default iOS18)"
    )
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    options = parser.parse_args()
    rows = []
    print("| graph | precision | mean cosine | worst cosine | PSNR dB | max abs | KB | gate |")
    print("|---|---|---|---|---|---|---|---|")
    for row in measure(
        options.checkpoint,
        graphs=options.graph or GRAPH_NAMES,
        precisions=options.precision or tuple(PRECISIONS),
        clips=options.clips,
        deployment_target=options.target,
    ):
        rows.append(row)
        print(_line(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 1 if any(row.misses for row in rows) else 0


def _line(row: Row) -> str:
    parity, verdict = row.parity, f"MISS ({'; '.join(row.misses)})" if row.misses else "pass"
    return (
        f"| {row.graph} | {row.precision} | {parity.mean_cosine:.6f} | {parity.worst_cosine:.6f} "
        f"| {parity.psnr_db:.1f} | {parity.max_abs:.2g} | {row.bytes // 1000} | {verdict} |"
    )


if __name__ == "__main__":
    sys.exit(main())
