"""The README's table in one comparison: `tiny` in every precision and in eager torch, a token-space VLM, dual encoders.

    python tests/compare_everything.py runs/compare [--clips 2000] [--streams 6] [--rounds 60]

Exports the bundles, trains a small VLM on the same frozen X-encoder (`vljepa versus`), writes a CLIP and a SigLIP of
random weights, which Optimum exports: they are there for the clock, their accuracy is that of chance. Then calls
`vljepa compare`, which leaves report.html and report.md. What is there already is not made again, and a
run that was stopped goes on. Needs the extras `export`, `train`, `openvino-export` and `baselines`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PRECISIONS = {
    "tiny-fp32": ("--precision", "fp32"),
    "tiny-int4": ("--precision", "int4"),
    "tiny-openvino-int8": ("--format", "openvino", "--precision", "int8"),
}
FAMILIES = ("clip", "siglip")
TASKS = "classification,vqa/exists,vqa/count,captions"
CONTEST = ("--samples", "2048", "--clips", "512", "--held-out", "64", "--seeds", "1", "--rounds", "4")


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", default="2000")
    parser.add_argument("--streams", default="6")
    parser.add_argument("--rounds", default="60")
    args = parser.parse_args(argv)
    folder: Path = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["tiny", *bundles(folder), "torch", f"versus:{contest(folder)}", *dual_encoders(folder)]
    files = [f"--{kind}={folder / 'report'}.{end}" for kind, end in (("html", "html"), ("markdown", "md"))]
    measure = ["--tasks", TASKS, "--clips", args.clips, "--rounds", args.rounds, "--threads", "1"]
    keep = ["--keep", str(folder / "cells"), "--force"]
    return vljepa(["compare", *lines, *measure, f"--streams={args.streams}", *keep, *files])


def bundles(folder: Path) -> list[str]:
    """`tiny` in other precisions."""
    made = {name: folder / f"{name}.vljepa" for name in PRECISIONS}
    for name, path in made.items():
        if not path.exists():
            done(["export", "tiny", *PRECISIONS[name], "-o", str(path)])
    return [str(path) for path in made.values()]


def contest(folder: Path) -> Path:
    """A run of `vljepa versus`."""
    run = folder / "versus"
    if not (run / "versus.json").exists():
        done(["versus", "tiny", "--out", str(run), *CONTEST])
    return run


def dual_encoders(folder: Path) -> list[str]:
    """Small ones of random weights."""
    from baseline_folders import write

    for family in FAMILIES:
        if not (folder / family).exists():
            write(family, folder / family)
    return [f"hf:{folder / family}" for family in FAMILIES]


def vljepa(command: list[str]) -> int:
    """A process for each command, as from a shell: lines of Optimum want one that has loaded no transformers."""
    return subprocess.run([sys.executable, "-m", "vljepa_apps", *command], check=False).returncode


def done(command: list[str]) -> None:
    """Run a command of `vljepa`; a failure ends this."""
    if code := vljepa(command):
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
