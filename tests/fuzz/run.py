"""Fuzzes what reads files of strangers: `python tests/fuzz/run.py --seconds 60`, or `--executions N --jobs 2`.

Every input must be read or refused with a `VljepaError`, within 2 seconds and 300 MB. One that is not is saved under
its name, crash_TARGET_ERROR_FILE_LINE; `--replay FILE --target T` runs a saved one again. The same --seed, target and
number of an execution give the same input. Exit code 1 when anything was found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from targets import Target, targets

from vljepa_runtime.errors import VljepaError
from vljepa_runtime.peak_memory import peak_rss_mb

LIMIT_S = 2.0
LIMIT_MB = 300
STUCK_S = 20.0  # a library that does not come back to Python, where no alarm reaches it
START_S = 180.0  # a busy machine that compiles everything it imports
LIMIT_FILES = 200  # descriptors that inputs leave open
BLOCK = 200  # executions between two looks at the clock


class Hang(BaseException):
    """An input took longer than LIMIT_S."""


@dataclass(slots=True)
class Tally:
    """What one job did with one target."""

    executions: int = 0
    accepted: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    found: dict[str, bytes] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Count another job's, too."""
        self.executions += other.executions
        self.accepted += other.accepted
        self.seconds += other.seconds
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.found = {**other.found, **self.found}


def one(target: Target, data: bytes, tally: Tally) -> None:
    """Run one input and keep it when it broke a rule."""
    before = peak_rss_mb() or 0.0
    start = time.perf_counter()
    name = ""
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:  # the outer one takes an alarm that goes off while the inner one is left
        try:
            target.run(data)
            tally.accepted += 1
        except VljepaError:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        name = crash_name(target.name, error)
    took = time.perf_counter() - start
    tally.executions += 1
    tally.slowest_s = max(tally.slowest_s, took)
    if not name and took > LIMIT_S:
        name = f"crash_{target.name}_Hang"
    if not name and (peak_rss_mb() or 0.0) - before > LIMIT_MB:
        name = f"crash_{target.name}_Memory"
    if name:
        tally.found.setdefault(name, data)


def crash_name(target: str, error: BaseException) -> str:
    """By the innermost line of the product."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if re.search(r"vljepa_|targets\.py", frame.filename)
    ]
    where = f"{Path(frames[-1].filename).name}_{frames[-1].lineno}" if frames else "nowhere_0"
    return f"crash_{target}_{type(error).__name__}_{where}"


def work(job: int, names: list[str], args: argparse.Namespace, sender: Any, at: Any) -> None:
    """One process: the targets in turn, a block at a time, so that every one gets its share of the time."""
    signal.signal(signal.SIGALRM, _alarm)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a panic in Rust prints before it can be caught
    scratch = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    every = targets(Path(scratch.name))
    tallies = {name: Tally() for name in names}
    for name in names if job == 0 else ():
        for seed in every[name].seeds:
            one(every[name], seed, tallies[name])
    ends = time.monotonic() + args.seconds
    share = -(-args.executions // args.jobs)
    goals = {name: share // len(names) + (place < share % len(names)) for place, name in enumerate(names)}
    active = list(names)
    while active:
        name = min(active, key=lambda each: tallies[each].seconds) if not args.executions else active[0]
        tally, start = tallies[name], time.monotonic()
        left = goals[name] - tally.executions if args.executions else BLOCK
        for number in range(tally.executions, tally.executions + min(BLOCK, left)):
            at[0], at[1] = names.index(name), number + 1
            one(every[name], made(every[name], args.seed, job, number), tally)
        tally.seconds += time.monotonic() - start
        if open_files() > LIMIT_FILES:
            tally.found.setdefault(f"crash_{name}_OpenFiles", every[name].seeds[0])
            active = []
        if args.executions and tally.executions >= goals[name]:
            active.remove(name)
        elif not args.executions and time.monotonic() >= ends:
            break
    sender.send(tallies)
    scratch.cleanup()


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang(f"longer than {LIMIT_S} s")


def open_files() -> int:
    """Descriptors of this process; 0 where the system does not say."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.is_dir() else 0


class Job:
    """One process, its report, and where it was seen last."""

    def __init__(self, number: int, names: list[str], args: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")  # forking would share what libraries have started
        self.number, self.names, self.args = number, names, args
        self.at = context.Array("q", 2)
        self.report, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(number, names, args, sender, self.at))
        self.process.start()
        sender.close()
        self.seen, self.since = (-1, -1), time.monotonic()

    def result(self) -> dict[str, Tally] | None:
        """What it did, or the input at which it ended or stopped; None while it works."""
        if (now := tuple(self.at)) != self.seen:
            self.seen, self.since = now, time.monotonic()
        if self.report.poll():
            try:
                return dict(self.report.recv())
            except EOFError:
                self.process.join()
                return self._blame(f"Exit{self.process.exitcode}")
        if time.monotonic() - self.since > (STUCK_S if self.at[1] else START_S):
            self.process.kill()
            return self._blame("Stuck")
        return None

    def _blame(self, what: str) -> dict[str, Tally]:
        name, number = self.names[self.at[0]], max(self.at[1] - 1, 0)
        with tempfile.TemporaryDirectory() as scratch:
            data = made(targets(Path(scratch))[name], self.args.seed, self.number, number)
        return {name: Tally(executions=1, found={f"crash_{name}_{what}": data})}


def made(target: Target, seed: int, job: int, number: int) -> bytes:
    """The input of one execution."""
    return target.change(Random(f"{seed}/{target.name}/{job}/{number}"))


def fuzz(names: list[str], args: argparse.Namespace) -> dict[str, Tally]:
    """All jobs, added up."""
    total = {name: Tally() for name in names}
    jobs = [Job(number, names, args) for number in range(args.jobs)]
    while jobs:
        time.sleep(0.2)
        for job in list(jobs):
            if (found := job.result()) is not None:
                jobs.remove(job)
                for name, tally in found.items():
                    total[name].add(tally)
    return total


def replay(target: Target, file: Path) -> int:
    """Run one saved input without a net."""
    signal.signal(signal.SIGALRM, _alarm)
    try:
        target.run(file.read_bytes())
    except VljepaError as error:
        print(f"refused: {type(error).__name__}: {error}")
        return 0
    print("read")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Fuzz, print a line a target, save what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long, where --executions is not given"
    )
    parser.add_argument("--executions", type=int, default=0, help="how many in all")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs")
    parser.add_argument("--save", type=Path, default=Path("fuzz-found"), help="folder for what was found")
    parser.add_argument("--replay", type=Path, help="run one saved input of --target again")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        known = targets(Path(scratch))
        names = args.target or list(known)
        if unknown := set(names) - set(known):
            parser.error(f"expected targets among {', '.join(known)}, got {', '.join(unknown)}")
        if args.replay:
            return replay(known[names[0]], args.replay)
    total = fuzz(names, args)
    print(f"{'target':<12} {'executions':>10} {'read':>8} {'per s':>7} {'slowest':>8}  found")
    for name, tally in total.items():
        rate = tally.executions / tally.seconds if tally.seconds else 0.0
        print(
            f"{name:<12} {tally.executions:>10} {tally.accepted:>8} {rate:>7.0f} {tally.slowest_s:>6.2f} s  "
            f"{', '.join(sorted(tally.found)) or '-'}"
        )
    print(f"{'all':<12} {sum(tally.executions for tally in total.values()):>10}")
    found = {key: data for tally in total.values() for key, data in tally.found.items()}
    for key, data in found.items():
        args.save.mkdir(parents=True, exist_ok=True)
        (args.save / key).write_bytes(data)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
