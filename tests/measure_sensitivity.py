"""How surely `vljepa compare` tells a bundle with one layer scaled from its original, and a bundle from itself.

    python tests/measure_sensitivity.py --clips 300 --pairs 10 --pair-clips 300 --work FOLDER [--fp32 FP32.vljepa]

Each fault scales one layer by 1.05, with matching hashes. Pairs of equal bundles see other clips each: a copy of
`tiny` beside it, and with --fp32 one bundle on ONNX Runtime beside itself on OpenVINO. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/export/planted")]

from planted_copy import Copy  # noqa: E402
from planted_edits import constant, times  # noqa: E402

import vljepa_runtime as vj  # noqa: E402
from vljepa_apps import console  # noqa: E402
from vljepa_apps.measure.compare.judging import Verdict, differences, judge  # noqa: E402
from vljepa_evaluation.tasks import TaskResult, evaluate  # noqa: E402

TINY = Path(vj.__file__).parent / "bundles" / "tiny.vljepa"
FACTOR = 1.05
LAYERS = {
    "X-encoder": ("x_encoder", r"blocks\.2\.proj\.weight\.T\.scale"),
    "predictor": ("predictor", r"stack\..*proj\.weight\.T\.scale"),
    "Y-encoder": ("y_encoder", r"stack\..*proj\.weight\.T\.scale"),
}
TASKS = ("classification", "vqa/exists", "vqa/count")
ENGINES = ("onnxruntime:cpu", "openvino:cpu")
ALARM = 0.05


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--pair-clips", type=int, default=300)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fp32", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print(
        f"| pair | verdicts of {args.clips} clips a task | smallest p, corrected | shown by |\n|---|---|---|---|"
    )
    clean = measured(TINY, ENGINES[0], args.clips, 0)
    for name, (graph, layer) in LAYERS.items():
        copy = Copy(TINY)
        constant(graph, layer, times(FACTOR))(copy)
        planted = copy.save(args.work / f"{graph}.vljepa", sealed=False)
        verdict = judged(clean, measured(planted, ENGINES[0], args.clips, 0))
        shown = ", ".join(map(str, verdict.found[:2]))
        show(f"a layer of the {name} x {FACTOR}", verdict.kind, verdict, shown)
    same = copyfile(TINY, args.work / "same.vljepa")
    pairs(args, "`tiny` and a copy of it", [(TINY, ENGINES[0]), (same, ENGINES[0])])
    if args.fp32:
        pairs(args, "fp32 on ONNX Runtime and on OpenVINO", [(args.fp32, engine) for engine in ENGINES])


def pairs(args: argparse.Namespace, name: str, two: list[tuple[Path, str]]) -> None:
    """Equal bundles on other clips each: how often they are called different."""
    verdicts = list(_verdicts(args, two))
    alarms = sum(verdict.p is not None and verdict.p < ALARM for verdict in verdicts)
    least = min(verdicts, key=lambda verdict: verdict.p or 0.0)
    show(
        f"{name}, {args.pairs} pairs of {args.pair_clips} clips",
        f"{alarms} of {args.pairs} different",
        least,
        "",
    )


def _verdicts(args: argparse.Namespace, two: list[tuple[Path, str]]) -> Iterator[Verdict]:
    for batch in range(args.pairs):
        console.note(f"pair {batch + 1} of {args.pairs}")
        yield judged(*(measured(path, engine, args.pair_clips, batch) for path, engine in two))


def measured(bundle: Path, engine: str, clips: int, batch: int) -> dict[str, TaskResult]:
    """The tasks of one bundle."""
    model = vj.load(bundle, engine=engine, threads=1)
    return {each.task: each for each in evaluate(model, tasks=TASKS, clips=clips, batch=batch)}


def judged(clean: dict[str, TaskResult], other: dict[str, TaskResult]) -> Verdict:
    """What `vljepa compare` says."""
    subjects = {"clean": clean, "other": other}
    (found,) = judge(tuple(differences(subjects, "clean")), list(subjects))
    return found


def show(name: str, kind: str, verdict: Verdict, shown: str) -> None:
    """A row."""
    print(f"| {name} | {kind} | {verdict.p:.2g} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
