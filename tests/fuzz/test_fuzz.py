"""The fuzzer itself, and a moment of it: every seed is read or refused, and so are a few hundred inputs a target."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parent / "run.py"


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True, timeout=240)


def test_seeds_and_some_hundred_inputs_a_target(tmp_path: Path) -> None:
    done = fuzz("--executions", "3800", "--save", str(tmp_path / "found"))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()[1:]}
    assert int(lines["all"][1]) >= 3800
    assert len(lines) == 20
    every = [name for name in lines if name != "all"]
    assert [name for name in every if int(lines[name][1]) < 200 or int(lines[name][2]) == 0] == []
    assert not (tmp_path / "found").exists()


PLANTED = """
import signal, sys
import run

class Planted:
    name, seeds, done = "planted", (), set()

    def change(self, draw):
        return bytes([draw.randrange(12)])

    def run(self, data):
        kind = "" if data in self.done else {7: "crash", 8: "hang", 9: "memory"}.get(data[0], "")
        self.done.add(data)
        if kind == "crash":
            raise KeyError("outside the tree")
        if kind == "memory":
            b"x" * (60 << 20)
        while kind == "hang":
            pass

run.LIMIT_MB = 40
signal.signal(signal.SIGALRM, run._alarm)
target, tally = Planted(), run.Tally()
for number in range(300):
    run.one(target, run.made(target, 1, 0, number), tally)
print(*sorted(f"{name} {data[0]}" for name, data in tally.found.items()), sep="\\n")
"""


def test_crashes_hangs_and_memory_are_found() -> None:
    command = [sys.executable, "-c", PLANTED]
    done = subprocess.run(command, cwd=RUN.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    crash, hang, memory = done.stdout.splitlines()
    assert re.fullmatch(r"crash_planted_Hang\w* 8", crash)
    assert re.fullmatch(r"crash_planted_KeyError_\w+ 7", hang)
    assert memory == "crash_planted_Memory 9"


def test_a_saved_input_can_be_run_again(tmp_path: Path) -> None:
    (tmp_path / "crash_event_x").write_bytes(b'{"v": 1, "stream": "s", "kind": "segment", "decoded": 1}')
    done = fuzz("--replay", str(tmp_path / "crash_event_x"), "--target", "event")
    assert "refused: InputError: decoded: expected true or false, got 1" in done.stdout
