"""Plants every fault of the table in copies of a bundle and runs `vljepa verify` on each, as a user would.

    python tests/export/planted/plant.py tiny.vljepa --against tiny-fp32.vljepa

Each fault is planted twice: with hashes that match, and sealed again as well. A line says who must see it then, and who
did. Exit code 1 when one was not seen by all who must.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from planted_copy import Copy, NotHere
from planted_faults import FAULTS, By, Fault

from vljepa_apps.main import main as vljepa

ANYWHERE = ("tokenizer", "manifest", "claim", "novelty")


def kind_of(copy: Copy) -> str:
    """Which rows of the table fit."""
    labels = set(copy.manifest["precision"].values())
    if copy.manifest["target"] == "openvino":
        return "openvino"
    return "fp32" if labels == {"fp32"} else "int4" if any("int4" in label for label in labels) else "int8"


def chosen(kind: str, only: str) -> Iterator[Fault]:
    """The rows for a bundle, each once."""
    for fault in FAULTS:
        fits = fault.kind in (kind, "trained") or fault.name.partition(":")[0] in ANYWHERE
        if (
            fits
            and only in fault.name
            and (fault.kind != "trained" or kind == "int8" or "tokenizer" in fault.name)
        ):
            yield fault


def verify(bundle: Path, options: list[str]) -> tuple[int, set[str]]:
    """The exit code, and who saw something; `opening` where the bundle was refused in a sentence."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = vljepa(["verify", str(bundle), "--json", *options])
    if not out.getvalue():
        return code, {By.OPENING.value}
    return code, {each["name"] for each in json.loads(out.getvalue())["judgements"] if each["misses"]}


def planted(fault: Fault, source: Path, options: list[str], *, sealed: bool) -> tuple[int, set[str]]:
    """What `vljepa verify` says of one fault."""
    copy = Copy(source)
    fault.plant(copy)
    refused = By.OPENING in fault.by  # nothing can be sealed that nobody reads
    with tempfile.TemporaryDirectory() as folder:
        path = copy.save(Path(folder) / "planted.vljepa", sealed=sealed and not refused)
        return verify(path, options)


def lacking(fault: Fault, code: int, seen: set[str], *, sealed: bool, against: bool) -> set[str]:
    """Who should have seen it and did not."""
    if By.OPENING in fault.by or By.OPENING.value in seen:
        return {By.OPENING.value} - seen
    must = {by.value for by in fault.by} - {By.SEAL.value} if sealed else {By.SEAL.value}
    must -= set() if against or not sealed else {By.CONSTANTS.value}
    return must - seen | ({"the exit code"} if seen and not code else set())


def line(fault: Fault, source: Path, options: list[str], proof: list[str]) -> tuple[str, bool]:
    """One line of the table, and whether all saw the fault who must.

    Raises:
        NotHere: the bundle has no place for it.
    """
    started = time.monotonic()
    cells, missed = [], set[str]()
    for sealed in (False, True):
        code, seen = planted(fault, source, [*options, *(proof if sealed else [])], sealed=sealed)
        cells.append(" ".join(sorted(seen)) or "-")
        missed |= lacking(fault, code, seen, sealed=sealed, against=bool(proof))
    who = " ".join(by.value for by in fault.by)
    verdict = f"NOT SEEN BY {', '.join(sorted(missed))}" if missed else "ok"
    took = time.monotonic() - started
    return f"{fault.name:56} {cells[0]:14} {cells[1]:32} {who:20} {took:5.1f} s  {verdict}", not missed


def main() -> int:
    """Print a line for each fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="a clean bundle, zipped")
    parser.add_argument("--against", type=Path, help="its fp32 bundle: constants are compared too")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults with this in their name")
    parser.add_argument("--options", default="", help="more options for vljepa verify, as one text")
    args = parser.parse_args()
    proof = ["--against", str(args.against)] if args.against else []
    print(f"{'fault':56} {'hashed':14} {'sealed again':32} {'must be seen by':20}")
    verdicts = []
    for fault in chosen(kind_of(Copy(args.bundle)), args.only):
        with contextlib.suppress(NotHere):
            text, is_seen = line(fault, args.bundle, args.options.split(), proof)
            verdicts.append(is_seen)
            print(text, flush=True)
    print(f"{len(verdicts)} faults, {verdicts.count(False)} not seen by all who must")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
