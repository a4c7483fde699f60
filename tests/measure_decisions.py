"""How often bundles of one model decide alike what is put into words, from logs that `measure_search.py` made of them.

    python tests/measure_search.py --logs FOLDER --bundle tiny --bundle FP32.vljepa --bundle INT4.vljepa
    python tests/measure_decisions.py --logs FOLDER tiny FP32.vljepa INT4.vljepa

Segments of every stream are cut by what the first bundle's network sees, and by distance; each of the first log's is
paired with the nearest of the other's. Times are those at which segments begin.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import alike_moments
from vljepa_log import LogReader, Where, segments_of
from vljepa_runtime import Bundle
from vljepa_runtime.bundle.calibrated import boundaries_of
from vljepa_runtime.selection import Boundaries

SAME_S = 0.01
NEAR_S = 1.01  # a window later or earlier
Begins = Mapping[str, npt.NDArray[np.float64]]


def begins(place: Path, boundaries: Boundaries | None) -> Begins:
    """When segments begin, by the stream; of streams that are whole."""
    found: dict[str, list[float]] = {}
    with LogReader(place, boundaries=boundaries) as log:
        whole = tuple(stream for (stream, _), at in log.store.positions().items() if at.complete)
        for segment in segments_of(log, Where(streams=whole)):
            found.setdefault(segment.stream, []).append(segment.start_s)
    return {name: np.array(times) for name, times in found.items()}


def alike(ours: Begins, theirs: Begins, within_s: float) -> float:
    """Share of all segments, of both, that the other has too, in the streams that both have."""
    shared = sorted(ours.keys() & theirs.keys())
    both = [[side[name] for name in shared] for side in (ours, theirs)]
    return alike_moments(*both, within_s=within_s).value


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE")
    args = parser.parse_args()
    first, *others = [args.logs / Path(bundle).name for bundle in args.bundles]
    with Bundle.open(args.bundles[0]) as bundle:
        known = boundaries_of(bundle)
    print(
        "| bundle | segments by | segments | begin with the same window | within a window |\n|---|---|---|---|---|"
    )
    for how, boundaries in (("network", known), ("distance", None)):
        ours = begins(first, boundaries)
        print(f"| {first.name} | {how} | {sum(map(len, ours.values())):,} | | |")
        for place in others:
            theirs = begins(place, boundaries)
            shares = " | ".join(f"{alike(ours, theirs, within):.1%}" for within in (SAME_S, NEAR_S))
            print(f"| {place.name} | {how} | {sum(map(len, theirs.values())):,} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
