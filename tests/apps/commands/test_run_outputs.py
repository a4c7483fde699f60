"""`vljepa run` as a process: signals, kills, full disks, closed and odd streams, and what a terminal gets to see.

A program of its own puts the stand-in model in place of a bundle's, so that each run takes half a second.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.main import main
from vljepa_runtime.events import Event

HERE = Path(__file__).resolve().parents[1]
PROGRAM = f"""
import sys, time
sys.path.insert(0, {str(HERE)!r})
import conftest
from vljepa_apps import arguments
from vljepa_apps.main import main
from vljepa_runtime.sources.pictures.folder import FolderSource

pause, text = float(sys.argv.pop(1)), sys.argv.pop(1)
model = conftest.FakeModel()
arguments.load_model = lambda args: model
plain = FolderSource.frames

def slow(self, hints):
    if not pause:
        yield from plain(self, hints)
        return
    for number in range(2000):  # four pictures a second of the stream, as fast as asked for
        for item in plain(self, hints):
            if getattr(item, "index", None) == 3:
                yield conftest.Frame(image=item.image, time_s=number / 4, index=number)
                time.sleep(pause)

FolderSource.frames = slow
if text:
    session = conftest.FakeSession.run
    def told(self, source, **options):
        for event in session(self, source, **options):
            yield conftest.Event(stream=text, kind=event.kind, start_s=event.start_s, end_s=event.end_s, text=text)
    conftest.FakeSession.run = told
sys.exit(main())
"""


def command(*arguments: object, pause_s: float = 0.0, text: str = "") -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(pause_s), text, *map(str, arguments)]


def run(*arguments: object, text: str = "", **options: object) -> subprocess.CompletedProcess[bytes]:
    options = {"capture_output": True, "timeout": 60, **options}
    return subprocess.run(command(*arguments, text=text), **options)  # type: ignore[call-overload, no-any-return]


def until(found: object, *, process: subprocess.Popen[bytes]) -> None:
    """Wait for something that the process is about to do."""
    deadline = time.monotonic() + 30
    while not found() and time.monotonic() < deadline:  # type: ignore[operator]
        assert process.poll() is None
        time.sleep(0.02)


def subtitles(path: Path) -> int:
    """Number of cues of a file that a strict reader accepts; ffmpeg counts them too."""
    blocks = path.read_text().strip().split("\n\n")
    for number, block in enumerate(blocks, start=1):
        assert re.match(rf"{number}\n\d\d:\d\d:\d\d,\d{{3}} --> \d\d:\d\d:\d\d,\d{{3}}\n.", block)
    with av.open(str(path)) as container:
        assert sum(1 for packet in container.demux() if packet.size) == len(blocks)
    return len(blocks)


def pictures_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        kind: tmp_path / name
        for kind, name in (("--jsonl", "e.jsonl"), ("--srt", "e.srt"), ("--save", "e.mp4"))
    }


def options(files: dict[str, Path]) -> list[object]:
    return [part for pair in files.items() for part in pair]


@pytest.fixture
def running(pictures: Path, files: dict[str, Path]) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has written half a minute of its stream and would go on for minutes."""
    with subprocess.Popen(
        command("run", "toy", pictures, *options(files), pause_s=0.005),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        until(
            lambda: files["--jsonl"].exists() and files["--jsonl"].read_text().count("\n") > 30,
            process=process,
        )
        yield process
        process.kill()


def test_a_closed_terminal_finishes_every_file(
    running: subprocess.Popen[bytes], files: dict[str, Path], tmp_path: Path
) -> None:
    running.send_signal(signal.SIGHUP)
    running.send_signal(signal.SIGHUP)  # a closing terminal sends it twice
    assert running.wait(60) == 130
    assert running.stderr is not None
    assert b"Traceback" not in running.stderr.read()
    events = [Event.from_json(line) for line in files["--jsonl"].read_text().splitlines()]
    assert subtitles(files["--srt"]) == len(events) - 1
    assert pictures_in(files["--save"]) >= 4 * (len(events) - 2)
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_a_kill_costs_seconds(
    running: subprocess.Popen[bytes], files: dict[str, Path], tmp_path: Path
) -> None:
    running.kill()
    running.wait()
    lines = files["--jsonl"].read_text().split("\n")
    events = [Event.from_json(line) for line in lines[:-1]]
    assert lines[-1] == ""
    assert abs(subtitles(files["--srt"]) - (len(events) - 1)) <= 1
    last_s = events[-1].start_s
    with av.open(str(files["--save"])) as container:
        shown_s = [frame.time for frame in container.decode(video=0)]
    assert shown_s == [pytest.approx(index / 4) for index in range(len(shown_s))]
    assert shown_s[-1] > last_s - 3
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_a_second_run_does_not_take_the_files_of_the_first(
    running: subprocess.Popen[bytes], files: dict[str, Path], pictures: Path
) -> None:
    for extra in ([], ["--force"]):
        done = run("run", "toy", pictures, "--srt", files["--srt"], *extra)
        assert (done.returncode, done.stdout) == (1, b"")
        assert (b"being written by another process" if extra else b"exists") in done.stderr
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 130
    assert subtitles(files["--srt"]) > 20


def test_a_closed_terminal_does_not_end_a_run_that_ignores_it(pictures: Path, tmp_path: Path) -> None:
    """`nohup vljepa run ...`"""
    path = tmp_path / "e.jsonl"
    with subprocess.Popen(
        command("run", "toy", pictures, "--jsonl", path, pause_s=0.005),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:  # fmt: skip
        until(lambda: path.exists() and path.stat().st_size, process=process)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None
        process.kill()


STUCK = PROGRAM.replace(
    "sys.exit(main())",
    """
from vljepa_runtime.sinks import SubtitleSink
def stuck(self):
    print("closing", flush=True)
    time.sleep(60)
SubtitleSink.close = stuck
sys.exit(main())
""",
)


def test_a_second_signal_forces_the_end(pictures: Path, tmp_path: Path) -> None:
    path = tmp_path / "e.srt"
    arguments = ["0.005", "", "run", "toy", str(pictures), "--srt", str(path)]
    with subprocess.Popen([sys.executable, "-c", STUCK, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        until(path.exists, process=process)
        process.send_signal(signal.SIGTERM)
        while process.stdout.readline() != b"closing\n":
            assert process.poll() is None
        time.sleep(0.6)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
    assert subtitles(path) > 0


def test_a_reader_that_goes_away_leaves_finished_files(pictures: Path, files: dict[str, Path]) -> None:
    with subprocess.Popen(
        command("run", "toy", pictures, *options(files), pause_s=0.005),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(5):
            process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert b"Traceback" not in process.stderr.read()
    assert subtitles(files["--srt"]) >= 3
    assert pictures_in(files["--save"]) >= 12


def test_a_full_disk_behind_stdout(pictures: Path, files: dict[str, Path]) -> None:
    with open("/dev/full", "wb") as full:
        alone = run("run", "toy", pictures, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert alone.returncode == 1
        assert alone.stderr.splitlines()[-1] == b"vljepa: cannot write to stdout: No space left on device"
        both = run(
            "run",
            "toy",
            pictures,
            "--srt",
            files["--srt"],
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert both.returncode == 1
    assert both.stderr.count(b"No space left on device") == 1
    assert subtitles(files["--srt"]) == 3


def test_a_full_disk_ends_a_service_that_has_one_file(pictures: Path) -> None:
    null = {"capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    done = run("run", "toy", pictures, "--jsonl", "/dev/full", **null)
    assert done.returncode == 1
    assert b"there is nowhere left to write to" in done.stderr
    assert run("run", "toy", pictures, **null).returncode == 0


def test_a_full_output_is_told_and_the_run_goes_on(pictures: Path, files: dict[str, Path]) -> None:
    done = run("run", "toy", pictures, "--jsonl", "/dev/full", "--srt", files["--srt"])
    assert done.returncode == 1
    events = [Event.from_json(line) for line in done.stdout.decode().splitlines()]
    assert [event.text for event in events if "No space left" in event.text]
    assert [event.text for event in events if event.kind == "segment"] == ["frame 0", "frame 4", "frame 8"]
    assert b"cannot write /dev/full: No space left on device" in done.stderr
    assert subtitles(files["--srt"]) == 3


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, pictures: Path, files: dict[str, Path]) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *command("run", "toy", pictures, *options(files))],
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")
    assert (b"12 windows" in done.stderr) is ("2" not in closed)
    events = [Event.from_json(line) for line in files["--jsonl"].read_text().splitlines()]
    assert len(events) == 4
    assert subtitles(files["--srt"]) == 3


def test_a_pipe_that_does_not_wait_loses_nothing(pictures: Path) -> None:
    """As a terminal or a pipe that is shared with a program of event loops is left."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen(
        command("run", "toy", pictures, "--select", "every", text="long " * 3000),
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writer)
        time.sleep(0.5)  # until the pipe is full
        with open(reader, "rb") as lines:
            assert len([Event.from_json(line.decode()) for line in lines]) == 4
        assert process.wait(60) == 0


def test_a_plain_locale(pictures: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("run", "toy", pictures, text="Bär", env=environment)
    assert done.returncode == 0
    assert all(Event.from_json(line.decode("ascii")).text for line in done.stdout.splitlines())


def say(text: str, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every event have this text, and every label a score, whatever it is."""
    plain = model.session

    def session(**options: object) -> object:
        made = plain(**options)
        told = made.run
        made.run = lambda source, **options: (
            replace(event, stream=text, text=text) for event in told(source, **options)
        )
        return made

    monkeypatch.setattr(model, "session", session)
    model.read_clip = lambda source, **options: source
    model.embed = lambda clip, query=None: np.eye(4, dtype=np.float32)[0]
    model.embed_text = lambda texts: np.eye(4, dtype=np.float32)[: len(texts)]
    model.classify = lambda clip, labels, query=None: tuple(vj.Scored(label=x, score=0.5) for x in labels)
    model.answer = lambda clip, question, candidates: model.classify(clip, candidates)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-16", "cp437", "koi8-r", "shift-jis"])
def test_stdout_of_any_encoding(
    encoding: str, model: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "何が Bär мяч \udcff 👩"
    say(text, model, monkeypatch)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["run", "toy", str(pictures)]) == 0
    assert main(["ask", "toy", str(pictures), "?", "--label", text, "--json"]) == 0
    assert main(["ask", "toy", str(pictures), "?", "--label", text]) == 0
    *lines, last = stdout.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]
    kept = text.replace("\udcff", "\\udcff")
    assert [json.loads(line)["text"] for line in lines[:4]] == [kept] * 4
    assert json.loads(lines[4])["answer"] == kept
    assert "\\udcff" in last


HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e\u2066\x08\r"
COMMANDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def on_a_terminal(*arguments: object, text: str = "") -> bytes:
    """All that a process writes to a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        command(*arguments, text=text), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        os.close(slave)
        seen = b""
        while select.select([master], [], [], 30)[0]:
            try:
                seen += os.read(master, 65536)
            except OSError:  # the other side is closed
                break
        process.wait(60)
    os.close(master)
    return seen


def test_a_terminal_gets_no_commands(pictures: Path) -> None:
    seen = on_a_terminal("run", "toy", pictures, "--select", "every", text=HOSTILE).decode()
    assert seen.count("pwned") == 8
    assert not COMMANDS.search(seen)
    assert "\r" not in seen.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "toy", "PICTURES"],
        ["ask", "toy", "PICTURES", "?", "--label", HOSTILE],
        ["classify", "toy", "PICTURES", "--label", HOSTILE, "--label", "b"],
        ["embed", "toy", "PICTURES", "--text", HOSTILE, "--json"],
        ["run", "toy", f"nowhere{HOSTILE}.mp4"],
        ["run", "toy", "PICTURES", "--select", HOSTILE],
        ["run", "toy", "PICTURES", f"--{HOSTILE}"],
        ["run", "toy", "PICTURES", "--srt", f"nowhere{HOSTILE}/x.srt"],
        [f"ru{HOSTILE}"],
        ["import", f"{HOSTILE}"],
        ["inspect", f"nowhere{HOSTILE}"],
    ],
    ids=lambda arguments: arguments[0].removesuffix(HOSTILE),
)
def test_no_text_commands_a_terminal(
    arguments: list[str],
    model: Any,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    say(HOSTILE, model, monkeypatch)
    try:
        main([str(pictures) if part == "PICTURES" else part for part in arguments])
    except SystemExit as stopped:
        assert stopped.code == 2  # noqa: PT017
    seen = "".join(capsys.readouterr())
    assert "pwned" in seen
    assert not COMMANDS.search(seen)
    assert "\r" not in seen
