"""The programs of apps/examples run as a newcomer runs them, and use what is public and nothing else."""

from __future__ import annotations

import ast
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_clip, make_stream

PROGRAMS = sorted((Path(__file__).resolve().parents[3] / "apps" / "examples").glob("*.py"))
LONGEST = 80  # lines


def called(name: str, *arguments: str | Path) -> list[str | Path]:
    """The command that runs one program."""
    (path,) = [path for path in PROGRAMS if path.stem == name]
    return [sys.executable, path, *arguments]


def printed(name: str, *arguments: str | Path) -> str:
    """What a program prints that ends well."""
    done = subprocess.run(called(name, *arguments), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of the procedural world."""
    path = tmp_path_factory.mktemp("examples") / "clip.mp4"
    write_video(make_stream(3, Split.TEST, minutes=0.2, size=128, fps=8), path, fps=8)
    return path


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
class TestEveryProgram:
    def test_can_be_read_on_one_screen(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < LONGEST
        assert f"    python apps/examples/{path.name} " in (ast.get_docstring(ast.parse(text)) or "")

    def test_uses_public_names_alone(self, path: Path) -> None:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vljepa_"):
                module = importlib.import_module(node.module or "")
                assert {alias.name for alias in node.names} <= set(module.__all__), node.module
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "vj":
                assert node.attr in importlib.import_module("vljepa_runtime").__all__

    def test_tells_its_arguments(self, path: Path) -> None:
        done = subprocess.run(called(path.stem, "--help"), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "usage: " in done.stdout


def test_own_labels(clip: Path) -> None:
    first, *lines = printed("own_labels", "tiny", clip, "a ball", "a box").splitlines()
    assert first.startswith("# tiny on ")
    assert len(lines) >= 1
    assert time.strptime(lines[0][:8], "%H:%M:%S")


def test_own_source(tmp_path: Path) -> None:
    assert "segment: " in printed("own_source", "tiny", "--seconds", "3")
    np.save(tmp_path / "readings.npy", np.full((20, 24, 32), 21.5))
    assert "segment: " in printed("own_source", "tiny", "--readings", tmp_path / "readings.npy")


def test_own_policy(clip: Path) -> None:
    assert printed("own_policy", "tiny", clip, "a ball", "--near", "-1").splitlines() != []
    assert printed("own_policy", "tiny", clip, "a ball", "--near", "1.5") == ""


def test_webcam_log_goes_on_where_it_ended(clip: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    printed("webcam_log", "tiny", clip, log)
    once = log.read_text().splitlines()
    printed("webcam_log", "tiny", clip, log)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(events) == 2 * len(once) > 2
    assert all(event["time"] for event in events)


@pytest.mark.slow
def test_webcam_log_waits_for_a_camera_and_ends_well(live_servers: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"

    def camera(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())
        client.recv(1)  # until the other end leaves

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # and does not listen yet
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/live"
        command = called("webcam_log", "tiny", url, log, "--retry", "0.1")
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert "again in 0.1 s" in process.stderr.readline()
            listener.listen()
            threading.Thread(target=live_servers.listen, args=(listener, camera), daemon=True).start()
            end_s = time.monotonic() + 60
            while not (log.exists() and '"segment"' in log.read_text()) and time.monotonic() < end_s:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        listener.shutdown(socket.SHUT_RDWR)
    assert process.returncode == 0, err
    assert '"segment"' in log.read_text()


def test_webcam_log_does_not_wait_for_a_file(tmp_path: Path) -> None:
    command = called("webcam_log", "tiny", tmp_path / "mistyped.mp4", tmp_path / "log.jsonl")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("no such file: ")


def test_webcam_log_ends_well_while_it_waits(tmp_path: Path) -> None:
    never = "/dev/v4l/by-id/usb-never-index0"
    command = called("webcam_log", "tiny", never, tmp_path / "log.jsonl", "--retry", "60")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "again in 60 s" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


@pytest.fixture(scope="module")
def door_log(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The log of a door, which was there an hour ago; and what watching it printed."""
    folder = tmp_path_factory.mktemp("door")
    watched = folder / "door.mp4"
    watched.write_bytes(clip.read_bytes())
    hour_ago = time.time() - 3600
    os.utime(watched, (hour_ago, hour_ago))
    options = ["--threshold", "-1", "--clips", folder / "clips", "--log", folder / "door.log"]
    return folder / "door.log", printed("door_watch", "tiny", watched, "a ball", *options).splitlines()


def test_door_watch(door_log: tuple[Path, list[str]]) -> None:
    log, lines = door_log
    assert "a ball (" in lines[0]
    assert "over: a ball" in lines[-1]
    assert lines[-1].split()[-1] in {path.name for path in (log.parent / "clips").iterdir()}


def test_door_watch_tells_a_mistake_in_a_sentence(tmp_path: Path) -> None:
    command = called("door_watch", "tiny", tmp_path / "gone.mp4", "a ball", "--log", tmp_path / "LOG")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("no such file: ")


def test_while_away(door_log: tuple[Path, list[str]]) -> None:
    *lines, counted = printed("while_away", "tiny", door_log[0], "--hours", "2", "--most", "3").splitlines()
    assert 1 <= len(lines) <= 3
    begun = [time.strptime(line[:12], "%a %H:%M:%S") for line in lines]
    assert begun == sorted(begun)
    assert counted.endswith(f"{len(lines)} put into words for it")
    again = printed("while_away", "tiny", door_log[0], "--hours", "2", "--most", "3").splitlines()
    assert again[:-1] == lines
    assert again[-1].endswith("0 put into words for it")


def test_hand_signs(clip: Path) -> None:
    *lines, counted = printed(
        "hand_signs", "tiny", clip, "--min-score", "-1", "--digits", "two", "five"
    ).splitlines()
    told = [line.split()[2] for line in lines]
    assert set(told) <= {"two", "five"}
    assert dict(part.split(": ") for part in counted.split("; ")) == {
        digit: str(told.count(digit)) for digit in set(told)
    }


def test_fall_alarm(shared_data: Path, tmp_path: Path) -> None:
    falls = shared_data / "real" / "falls"
    if not falls.is_dir():
        pytest.skip("no falls in shared/data")
    rows = (falls / "events.csv").read_text(encoding="utf-8").splitlines()
    few = [row for row in rows if row.startswith(("file", "clips/s2_fall_1", "clips/s3_fall_15"))]
    (tmp_path / "events.csv").write_text("\n".join(few), encoding="utf-8")
    (tmp_path / "clips").symlink_to(falls / "clips")
    first, *lines = printed(
        "fall_alarm",
        "tiny",
        tmp_path / "events.csv",
        tmp_path / "clips" / "s2_fall_13.mp4",
        "--feature",
        "embedding",
    ).splitlines()
    assert first.startswith("# each left out in turn: ")
    assert {line.split()[2] for line in lines} <= {"FALL", "up", "unsure"}
    assert lines != []


@pytest.mark.slow
def test_finetune_few(tmp_path: Path) -> None:
    rows = ["path,text,split"]
    for seed in range(6):
        scene = make_clip(seed, Split.TRAIN, kind="single")
        write_video(scene.frames, tmp_path / f"{seed}.mp4", fps=4)
        rows.append(f"{seed}.mp4,{'someone' if seed % 2 else 'nobody'},{'train' if seed < 4 else 'val'}")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    run = tmp_path / "door"
    said = printed("finetune_few", tmp_path / "clips.csv", run, "--held-out", "val", "--steps", "2")
    assert said.splitlines()[-1].endswith(" of 2 right")
    assert vj.load(run / "door.vljepa").bundle.name == "door"
