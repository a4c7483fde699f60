"""What a GPU says: conformance, gates, and windows and words at the published sizes, beside torch in the same run.

    python tests/gpu/graphs.py GRAPHS        # once, anywhere with torch: minutes
    python tests/gpu/run.py GRAPHS --out OUT # on the GPU machine: about two minutes; JSON and a table

Sections are processes of their own: what one breaks leaves the others alone. What is checked runs beside what is built;
what is timed has the machine to itself. `--device cpu --small` rehearses all of it without a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "data", "evaluation", "model", "quant", "export", "apps")
sys.path[:0] = [str(ROOT / folder) for folder in FOLDERS]

import torch  # noqa: E402, F401  (first: it brings the CUDA libraries that ONNX Runtime looks for)
from checks import PRECISIONS, checks  # noqa: E402
from measuring import Results  # noqa: E402
from ours import VARIANTS, ours  # noqa: E402
from theirs import theirs  # noqa: E402

SECTIONS = {"checks": checks, "ours": ours, "theirs": theirs, "captured": ours, "variants": ours}


def start(args: argparse.Namespace, section: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--section", section], cwd=ROOT)


def orchestrate(args: argparse.Namespace) -> None:
    """All sections at once, and the clock for one at a time."""
    args.out.mkdir(parents=True, exist_ok=True)
    for old in [*args.out.glob("*-ready"), *args.out.glob("*-go"), *args.out.glob("*.vljepa")]:
        old.unlink()
    started = time.monotonic()
    running = {name: start(args, name) for name in SECTIONS if name in args.only}

    def left(share: float) -> float:
        return max(1.0, args.limit_s * share - (time.monotonic() - started))

    try:
        if "checks" in running:
            running["checks"].wait(left(0.6))
    except subprocess.TimeoutExpired:
        print("the checks go on beside the timings", flush=True)
    timed = [name for name in running if name != "checks"]
    while left(0.75) > 1 and not all(is_ready(args, name, running[name]) for name in timed):
        time.sleep(0.1)
    for name in timed:
        (args.out / f"{name}-go").touch()
        try:
            running[name].wait(left(1.0))
        except subprocess.TimeoutExpired:
            print(f"{name} did not end in time", flush=True)
    for process in running.values():
        if process.poll() is None:
            process.kill()
    print(f"{time.monotonic() - started:.0f} s in all", flush=True)
    table(args)


def is_ready(args: argparse.Namespace, name: str, process: subprocess.Popen[bytes]) -> bool:
    return (args.out / f"{name}-ready").exists() or process.poll() is not None


def table(args: argparse.Namespace) -> None:
    found = {path.stem: json.loads(path.read_text()) for path in args.out.glob("*.json")}
    print(json.dumps(found.get("checks", {}), indent=1)[:3000])
    columns = ("embed", "x_encoder", "predictor", "four queries", "step")
    print(f"{'':34}" + "".join(f"{column:>14}" for column in columns))
    for section in ("theirs", *VARIANTS):
        for name, values in found.get(section, {}).items():
            if isinstance(values, dict):
                print(f"{name:34}" + "".join(f"{values.get(column, '')!s:>14}" for column in columns))
                print(" " * 36 + str({key: value for key, value in values.items() if key not in columns}))
            elif "step" in name or "failed" in name:
                print(name, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--limit-s", type=float, default=170)
    parser.add_argument("--section", choices=SECTIONS)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS))
    parser.add_argument("--tests", help="what pytest -k takes; the device otherwise")
    args = parser.parse_args()
    args.engine = f"onnxruntime:{args.device}"
    args.precisions = (
        PRECISIONS if args.device == "cuda" else PRECISIONS[:1]
    )  # no CPU has kernels for bfloat16
    args.graphs, args.out = args.graphs.resolve(), args.out.resolve()
    if not args.section:
        orchestrate(args)
        return
    results = Results(args.out / f"{args.section}.json")
    with results.part(args.section):
        SECTIONS[args.section](args, results)


if __name__ == "__main__":
    main()
