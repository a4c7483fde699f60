"""No command prints or writes the password, user name or token of its source, whether the stream opens or not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vljepa_apps import main as umbrella
from vljepa_apps.main import main
from vljepa_runtime.sources.live.source import Backoff

SECRETS = ("zqUser", "zqPass", "zqTail", "zqToken", "zqHash")
COMMANDS = {
    "run": [
        "run",
        "tiny",
        "{}",
        "--jsonl",
        "o.jsonl",
        "--srt",
        "o.srt",
        "--save",
        "o.mp4",
        "--decode",
        "never",
    ],
    "embed": ["embed", "tiny", "{}", "--json", "--out", "o.npy"],
    "embed as text": ["embed", "tiny", "{}", "--text", "a ball"],
    "classify": ["classify", "tiny", "{}", "--label", "a ball"],
    "classify as JSON": ["classify", "tiny", "{}", "--label", "a ball", "--json"],
    "ask": ["ask", "tiny", "{}", "What is it?", "--json"],
    "demo": ["demo", "{}", "--out", "d", "--minutes", "0.05"],
    "demo as JSON": ["demo", "{}", "--out", "d", "--json"],
    "bench": ["bench", "tiny", "--source", "{}", "--rounds", "1"],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VLJEPA_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Handler(SimpleHTTPRequestHandler):
    """Serves the folder, whatever the query says."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`127.0.0.1:PORT` with a film of a second as `/clip.mp4`."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "clip.mp4").write_bytes(film())
    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def found_in(folder: Path, *texts: str, words: tuple[str, ...] = SECRETS) -> list[str]:
    """Where a secret came out: in a text, a file or a file's name."""
    places = [("output", text.encode("utf-8", "surrogatepass")) for text in texts]
    places += [
        (str(path), str(path).encode() + path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    ]
    return [f"{word} in {name}" for name, content in places for word in words if word.encode() in content]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_stream_that_opens(
    command: str, server: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"HTTP://zqUser:zqPass%23zqTail@{server}/clip.mp4?token=zqToken&size=3#zqHash"
    assert main([part.format(url) for part in COMMANDS[command]]) == 0
    out, err = capfd.readouterr()
    assert not found_in(here, out, err)
    if command not in ("classify", "demo"):
        assert f"http://***@{server}/clip.mp4?token=***&size=3#***" in out + err


UNREACHABLE = {
    "well written": "http://zqUser:zqPass@127.0.0.1:9/x?token=zqToken#zqHash",
    "# in it": "http://zqUser:zqPass#zqTail@127.0.0.1:9/x",
    "/ in it": "rtsp://zqUser:zqPass/zqTail@127.0.0.1:9/x",
    "? in it": "http://zqUser:zqPass?zqTail@127.0.0.1:9/x",
    "digits first": "http://zqUser:12/zqPass@127.0.0.1:9/x",
    "blanks in it": "http://zqUser:zqPass zqTail@127.0.0.1:9/x",
    "in the path": "http://127.0.0.1:9/user=zqUser_password=zqPass_channel=1_stream=0.sdp?real_stream",
    "options": "http://127.0.0.1:9/x?loginuse=zqUser&loginpas=zqPass&jwt=zqToken",
    "more options": "http://127.0.0.1:9/x?usr=zqUser&PSWD=zqPass;api_key=zqToken",
    "no host": "rtsp://zqUser:zqPass",
    "no scheme": "zqUser:zqPass@127.0.0.1/x",
    "one slash": "rtsp:/zqUser:zqPass@127.0.0.1/x",
    "unknown scheme": "gopher://zqUser:zqPass@127.0.0.1/x",
    "a pipeline": "rtspsrc location=rtsp://zqUser:zqPass@127.0.0.1/ user-pw=zqTail ! appsink",
}
ANY = ("run", "embed", "classify", "ask", "demo", "bench")


@pytest.mark.parametrize("how", UNREACHABLE)
def test_a_stream_that_does_not_open(how: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for command in ANY if how in ("well written", "in the path", "no scheme") else ("run", "classify"):
        assert main([part.format(UNREACHABLE[how]) for part in COMMANDS[command]]) == 1
        out, err = capfd.readouterr()
        assert err.startswith("vljepa: ")
        assert err.count("\n") == 1
        assert not found_in(here, out, err)


def test_a_camera_that_never_answers(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Backoff, "wait_s", lambda self, attempt: 0.01)
    url = "rtsp://zqUser:zqPass@127.0.0.1:9/zqUser/x?auth=zqToken".replace("/zqUser/", "/live/")
    assert main(["run", "tiny", url, "--jsonl", "o.jsonl"]) == 1
    out, err = capfd.readouterr()
    assert '"kind": "error"' in out
    assert "rtsp://***@127.0.0.1:9/live/x?auth=***" in err
    assert not found_in(here, out, err)


MISPLACED = {
    "run": ["run", "{}", "tiny"],
    "inspect": ["inspect", "{}"],
    "verify": ["verify", "tiny", "--against", "{}"],
    "compare": ["compare", "{}", "--rounds", "0", "--tasks", "none"],
    "doctor": ["doctor", "{}"],
    "demo": ["demo", "--bundle", "{}"],
    "engine": ["embed", "tiny", "--text", "x", "--engine", "{}"],
    "labels": ["classify", "tiny", "x.mp4", "--labels", "{}"],
    "output": ["embed", "tiny", "x.mp4", "--out", "{}"],
}


@pytest.mark.parametrize("where", MISPLACED)
def test_an_address_in_the_wrong_place(where: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([part.format("rtsp://zqUser:zqPass@cam/x") for part in MISPLACED[where]]) == 1
    out, err = capfd.readouterr()
    assert "***@cam/x" in out + err
    assert not found_in(here, out, err)


@pytest.mark.parametrize(
    "argv",
    [
        ["embed", "tiny", "clip.mp4", "rtsp://zqUser:zqPass@cam/x"],
        ["embed", "tiny", "clip.mp4", "rtsp://zqUser:zqPass zqTail@cam/x?token=zqToken"],
        ["run", "tiny", "clip.mp4", "--stride", "http://cam/?token=zqPass zqToken"],
        ["run", "tiny", "clip.mp4", "--no-such-option=rtsp://zqUser:zqPass@cam/x"],
        ["embed", "tiny", "--seconds", "rtsp://zqUser:zqPa'ss@cam/x"],
        ["rtsp://zqUser:zqPass@cam/x"],
        ["zqUser:zqPass@cam"],
    ],
    ids=lambda argv: argv[-1][:24],
)
def test_usage_errors(argv: list[str], here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(argv)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == umbrella.EXIT_USAGE
    out, err = capfd.readouterr()
    assert "***" in err
    assert not found_in(here, out, err)


@pytest.mark.parametrize("how", ["well written", "/ in it", "options"])
def test_a_traceback_is_clean(how: str, here: Path) -> None:
    command = [sys.executable, "-m", "vljepa_apps", "classify", "tiny", UNREACHABLE[how], "--label", "a ball"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "VLJEPA_DEBUG": "1"}
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert ".SourceError: " in done.stderr or ".UnreachableError: " in done.stderr
    assert not found_in(here, done.stdout, done.stderr)


def test_a_foreign_error_in_a_traceback_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("no 'rtsp://zqUser:zqPass@cam/x' here")
    umbrella.print_without_secrets(ValueError, error, None)
    err = capsys.readouterr().err
    assert "rtsp://***@cam/x" in err
    assert "zqPass" not in err


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.from_regex(r"zq[0-9]{2}x", fullmatch=True), min_size=2, max_size=3, unique=True),
    st.lists(st.sampled_from("#/?@:% ;!$,+~*'(){}\"\\.-_"), min_size=2, max_size=2),
    st.sampled_from(["http://me:{}@127.0.0.1:9/x", "http://127.0.0.1:9/a?pwd={}&b=1", "{}:{}@127.0.0.1/x"]),
    st.sampled_from(["run", "embed", "classify", "ask"]),
)
def test_whatever_it_is_made_of(
    model: Any,
    here: Path,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    marks: list[str],
    form: str,
    command: str,
) -> None:
    secret = words[0] + "".join(mark + word for mark, word in zip(marks, words[1:]))
    url = form.format(*[secret] * form.count("{}"))
    main([part.format(url) if part == "{}" else part for part in COMMANDS[command]])
    out, err = capfd.readouterr()
    assert not found_in(here, out, err, words=tuple(words))
