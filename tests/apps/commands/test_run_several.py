"""`vljepa run` with several sources: what each gives, where it is written, and how all of them end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vljepa_apps.main import main
from vljepa_log import LogReader, LogWriter
from vljepa_runtime.sources import Hints
from vljepa_runtime.sources.pictures.folder import FolderSource

PATIENCE_S = 60.0


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three folders of 12 pictures, sources of 3 seconds each; two of them have the same name."""
    monkeypatch.chdir(tmp_path)
    names = ["red/door", "green/door", "yard"]
    for channel, name in enumerate(names):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        noise = np.random.default_rng(channel)
        for index in range(12):
            image = noise.integers(0, 90, (48, 64, 3), np.uint8)
            image[8:40, 4 * index : 4 * index + 16, channel] = 255
            cv2.imwrite(str(folder / f"{index:03}.png"), image)
    return names


def told(lines: str) -> list[tuple[Any, ...]]:
    """What events say, without clocks and names."""
    events = map(json.loads, lines.splitlines())
    fields = ("kind", "start_s", "end_s", "query", "score", "embedding")
    return [(*(event.get(field) for field in fields), event["text"].split(" on ")[0]) for event in events]


def shown(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_each_source_gives_and_writes_what_it_does_alone(
    tiny: Any, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--select", "every", "--embeddings", "--stride", "0.5"]
    files = ["--jsonl", "all.jsonl", "--srt", "words", "--save", "seen"]
    assert main(["run", "tiny", *folders, *options, *files]) == 0
    out, err = capsys.readouterr()
    assert Path("all.jsonl").read_text() == out
    assert sorted(os.listdir("words")) == ["door-2.srt", "door.srt", "yard.srt"]
    assert sorted(os.listdir("seen")) == ["door-2.mp4", "door.mp4", "yard.mp4"]
    for name, stem in zip(folders, ("door", "door-2", "yard")):
        alone = ["--jsonl", f"{stem}.jsonl", "--srt", f"{stem}.srt", "--save", f"{stem}.mp4"]
        assert main(["run", "tiny", name, *options, *alone]) == 0
        own = "\n".join(line for line in out.splitlines() if json.loads(line)["stream"] == name)
        assert told(own) == told(Path(f"{stem}.jsonl").read_text())
        assert Path("words", f"{stem}.srt").read_text() == Path(f"{stem}.srt").read_text()
        pairs = zip(shown(Path("seen", f"{stem}.mp4")), shown(Path(f"{stem}.mp4")), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)
    rows = err.splitlines()[-3:]
    assert [row.split()[:4] for row in rows] == [[name, "ended", "3", "0"] for name in folders]


def test_a_source_named_twice_is_two_streams(
    tiny: Any, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "tiny", "yard", "yard", "--decode", "never", "--quiet"]) == 0
    streams = [json.loads(line)["stream"] for line in capsys.readouterr().out.splitlines()]
    assert set(streams) == {"yard", "yard #2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--srt", "words.srt"], "expected a folder for --srt, in which each of the 2 streams has a file"),
        (["--save", "taken"], "expected a folder for --save"),
        (["--srt", "no/such"], "cannot make the folder no/such: No such file"),
        (["missing.mp4"], "no such file: missing.mp4"),
        (["--srt", "full"], "full/yard.srt exists"),
    ],
    ids=["a file's name", "a file", "nowhere", "no source", "a taken name"],
)
def test_what_cannot_be_stops_before_any_work(
    arguments: list[str],
    message: str,
    tiny: Any,
    folders: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("taken").write_text("mine")
    Path("full").mkdir()
    Path("full", "yard.srt").write_text("mine")
    assert main(["run", "tiny", "yard", "red/door", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert Path("full", "yard.srt").read_text() == Path("taken").read_text() == "mine"


def test_a_source_that_fails_is_told_and_the_others_go_on(
    tiny: Any, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.mp4").write_bytes(b"no video")
    assert main(["run", "tiny", "broken.mp4", "yard", "--select", "every", "--jsonl", "all.jsonl"]) == 1
    out, err = capsys.readouterr()
    kinds = [(event["stream"], event["kind"]) for event in map(json.loads, out.splitlines())]
    assert kinds.count(("broken.mp4", "error")) == 1
    assert kinds.count(("yard", "segment")) == 2
    assert Path("all.jsonl").read_text() == out
    assert "vljepa: broken.mp4: SourceError: cannot read broken.mp4" in err
    assert "this stream ends here, the others go on" in err


def test_a_log_takes_all_and_knows_what_failed(tiny: Any, folders: list[str]) -> None:
    Path("broken.mp4").write_bytes(b"no video")
    words = ["run", "tiny", "yard", "yard", "red/door", "broken.mp4", "--select", "every", "--log", "log"]
    assert main(words) == 1
    with LogReader("log") as log:
        assert {each.name: each.windows for each in log.streams()} == {"yard": 2, "yard #2": 2, "red/door": 2}
        found = [(each.event.stream, each.event.kind) for each in log.events()]
    assert sorted(found) == sorted((name, "segment") for name in ("yard", "yard #2", "red/door") * 2)
    with LogWriter("log", tiny.bundle.manifest) as writer:
        places = {name: writer.positions(name) for name in ("yard", "yard #2", "broken.mp4")}
    assert {name: any(each.complete for each in place.values()) for name, place in places.items()} == {
        "yard": True,
        "yard #2": True,
        "broken.mp4": False,
    }


def test_ctrl_c_in_files_is_no_good_end_but_gives_what_is_pending(
    tiny: Any, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual, plain = signal.signal(signal.SIGINT, signal.default_int_handler), FolderSource.frames

    def endless(self: FolderSource, hints: Hints) -> Iterator[Any]:
        for item in plain(self, hints):
            if getattr(item, "index", 0) == 9 and self.name == "yard":
                os.kill(os.getpid(), signal.SIGINT)
            if getattr(item, "index", 0) >= 9:
                time.sleep(0.5)
            yield item

    monkeypatch.setattr(FolderSource, "frames", endless)
    try:
        assert main(["run", "tiny", "red/door", "yard", "--select", "ward:1", "--decode", "never"]) == 130
    finally:
        signal.signal(signal.SIGINT, usual)
    events = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert {event["stream"] for event in events if event["kind"] == "segment"} == {"red/door", "yard"}
    assert not any(event["kind"] == "error" for event in events)


def test_no_secret_of_several_sources_is_told(
    tiny: Any, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # nobody answers there once it is closed
    url = f"http://zqUser:zqPass@127.0.0.1:{port}/live?token=zqToken"
    files = ["--srt", "words", "--jsonl", "all.jsonl"]
    assert main(["run", "tiny", url, "yard", "--max-seconds", "1", *files]) == 1
    out, err = capsys.readouterr()
    assert "***" in out
    assert not any(word in out + err + str(os.listdir("words")) for word in ("zqUser", "zqPass", "zqToken"))


def test_live_streams_go_on_when_one_is_lost_and_end_well_together(
    live_servers: ModuleType, tmp_path: Path
) -> None:
    """One server hangs up after each clip, one was never there, one sends a clip and stays."""
    log, gone = tmp_path / "e.jsonl", threading.Event()

    def steady(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.PARTS_HEADER % b"x")
        while not gone.is_set():
            for picture in live_servers.pictures():
                client.sendall(b"--x\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n")
                time.sleep(0.1)

    def lost(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())

    def events() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def has(stream: str, start: str, times: int = 1) -> bool:
        return (
            sum(e["stream"] == stream and f"{e['kind']} {e['text']}".startswith(start) for e in events())
            >= times
        )

    with live_servers.serving(steady) as one, live_servers.serving(lost) as two:
        with socket.create_server(("127.0.0.1", 0)) as never:
            urls = [f"http://127.0.0.1:{port}/live" for port in (one, two, never.getsockname()[1])]
        options = ("--jsonl", str(log), "--stride", "0.5", "--select", "every", "--decode", "never")
        words = [sys.executable, "-m", "vljepa_apps", "run", "tiny", *urls, *options]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            end_s = time.monotonic() + PATIENCE_S
            wanted = [
                (urls[0], "segment"),
                (urls[1], "segment"),
                (urls[1], "status reconnecting"),
                (urls[2], "status rec"),
            ]
            while not all(has(*each) for each in wanted) and time.monotonic() < end_s:
                time.sleep(0.1)
            before = sum(e["stream"] == urls[0] and e["kind"] == "segment" for e in events())
            while not has(urls[0], "segment", before + 2) and time.monotonic() < end_s:
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        gone.set()
    assert process.returncode == 0, err
    assert log.read_text() == out
    assert all(has(*each) for each in wanted)
    assert has(urls[0], "segment", before + 2)  # it went on while the others were away
    assert not any(event["kind"] == "error" for event in events())
    assert [row.split()[1] for row in err.splitlines()[-3:]] == ["stopped"] * 3
