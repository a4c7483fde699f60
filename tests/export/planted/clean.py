"""Verifies clean bundles again and again, each time in a fresh process, and counts false alarms.

    python tests/export/planted/clean.py tiny tiny-fp32.vljepa tiny-openvino.vljepa --times 20 --threads 1 2

Exit code 1 when any verdict was not "kept".
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from typing import Any


def verify(bundle: str, options: list[str]) -> tuple[str, list[str]]:
    """The verdict, and all that was missed or not judged, in words."""
    command = [sys.executable, "-m", "vljepa_apps", "verify", bundle, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if not done.stdout:
        return "refused", [done.stderr.strip().splitlines()[-1]]
    found: dict[str, Any] = json.loads(done.stdout)
    said = [
        f"{each['name']}: {why}"
        for each in found["judgements"]
        for why in (*each["misses"], *each["unjudged"])
    ]
    return found["verdict"], said


def main() -> int:
    """Print a line for each bundle and number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="+", help="paths or shipped names")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--threads", nargs="+", default=["1", "2"])
    parser.add_argument("--options", default="", help="more options for vljepa verify, as one text")
    args = parser.parse_args()
    clean = True
    for bundle in args.bundles:
        for threads in args.threads:
            started = time.monotonic()
            runs = [verify(bundle, ["--threads", threads, *args.options.split()]) for _ in range(args.times)]
            verdicts = Counter(verdict for verdict, _ in runs)
            clean &= set(verdicts) == {"kept"}
            counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
            seconds = (time.monotonic() - started) / args.times
            print(f"{bundle} {args.options} on {threads} threads: {counts}, {seconds:.1f} s each", flush=True)
            for why, count in Counter(why for _, said in runs for why in said).items():
                print(f"  {count} x {why}", flush=True)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
