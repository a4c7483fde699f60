"""`vljepa run`: one JSON event a line on stdout, everything else on stderr, files whole or absent."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from vljepa_apps.main import main
from vljepa_runtime.errors import SourceError
from vljepa_runtime.events import Event
from vljepa_runtime.sources import Hints
from vljepa_runtime.sources.pictures.folder import FolderSource


def events_of(text: str) -> list[Event]:
    return [Event.from_json(line) for line in text.splitlines()]


def at_frame_5(monkeypatch: pytest.MonkeyPatch, act: Callable[[Any], None]) -> None:
    """Let something happen while the sixth picture is read."""
    plain = FolderSource.frames

    def eventful(self: FolderSource, hints: Hints) -> Iterator[Any]:
        for item in plain(self, hints):
            if getattr(item, "index", None) == 5:
                act(item)
            yield item

    monkeypatch.setattr(FolderSource, "frames", eventful)


def test_events_on_stdout_and_a_summary_on_stderr(
    model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "toy", str(pictures)]) == 0
    out, err = capsys.readouterr()
    events = events_of(out)
    assert [event.kind for event in events] == ["status", "segment", "segment", "segment"]
    assert [event.text for event in events[1:]] == ["frame 0", "frame 4", "frame 8"]
    assert err == "12 windows, 3 decodings, 75% saved, p50 1.5 ms a window\n"
    assert model.sessions[0].closed


def test_options_reach_the_session(model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--query",
        "What?",
        "--query",
        "Who?",
        "--stride",
        "0.5",
        "--decode",
        "never",
        "--select",
        "every",
    ]
    assert main(["run", "toy", str(pictures), *options]) == 0
    got = model.sessions[0].options
    assert got["query"] == ["What?", "Who?"]
    assert (got["stride_s"], got["decode"]) == (0.5, "never")
    assert type(got["select"]).__name__ == "EveryWindow"


def test_labels_reach_the_session(model: Any, pictures: Path, tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("nobody\na cat\n")
    options = ["--label", "a cat", "--labels", str(names), "--min-score", "0.4", "--embeddings"]
    assert main(["run", "toy", str(pictures), *options]) == 0
    got = model.sessions[0].options
    assert got["labels"] == ("a cat", "nobody")
    assert (got["min_score"], got["embeddings"], got["select"]) == (0.4, True, None)


def test_append_goes_on_where_the_last_run_ended(model: Any, pictures: Path, tmp_path: Path) -> None:
    log = tmp_path / "e.jsonl"
    append = ["run", "toy", str(pictures), "--jsonl", str(log), "--append"]
    assert main(append) == 0
    first = log.read_text()
    log.write_text(first + '{"v": 2, "half a li')  # a writer that was killed
    assert main(append) == 0
    lines = log.read_text().splitlines()
    assert len(lines) == 2 * len(first.splitlines()) + 1
    assert lines[-len(first.splitlines()) - 1] == '{"v": 2, "half a li'
    assert events_of("\n".join(lines[-3:]))


def test_append_and_force_contradict(model: Any, pictures: Path, tmp_path: Path) -> None:
    log = tmp_path / "e.jsonl"
    log.write_text("kept\n")
    assert main(["run", "toy", str(pictures), "--jsonl", str(log), "--append", "--force"]) == 1
    assert log.read_text() == "kept\n"


def test_outputs_hold_what_stdout_said(
    model: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonl, srt, video = tmp_path / "e.jsonl", tmp_path / "e.srt", tmp_path / "e.mp4"
    assert (
        main(["run", "toy", str(pictures), "--jsonl", str(jsonl), "--srt", str(srt), "--save", str(video)])
        == 0
    )
    assert jsonl.read_text() == capsys.readouterr().out
    assert srt.read_text().count("-->") == 3
    assert "frame 4" in srt.read_text()
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert sum(1 for _ in container.decode(stream)) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.jsonl", "e.mp4", "e.srt"]


def test_nothing_is_overwritten_without_force(
    model: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonl = tmp_path / "e.jsonl"
    jsonl.write_text("mine")
    assert main(["run", "toy", str(pictures), "--jsonl", str(jsonl)]) == 1
    out, err = capsys.readouterr()
    assert (out, jsonl.read_text()) == ("", "mine")
    assert "--force" in err
    assert model.sessions == []
    assert main(["run", "toy", str(pictures), "--jsonl", str(jsonl), "--force"]) == 0
    assert jsonl.read_text() == capsys.readouterr().out


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (["--jsonl", "x", "--srt", "x"], "got one twice"),
        (["--srt", "-"], "got -: standard output is /dev/stdout"),
        (["--srt", "no-such-folder/x.srt"], "no-such-folder does not exist"),
        (["--save", "."], "is a folder"),
    ],
    ids=["twice", "standard output", "no folder", "a folder"],
)
def test_impossible_outputs_stop_before_any_work(
    outputs: list[str],
    message: str,
    model: Any,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "toy", str(pictures), *outputs]) == 1
    assert message in capsys.readouterr().err
    assert model.sessions == []


@pytest.mark.parametrize("kind", ["--jsonl", "--srt", "--save"])
def test_the_source_is_never_an_output(
    kind: str, model: Any, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, other = tmp_path / "clip.png", tmp_path / "other.png"
    clip.write_bytes(next(pictures.iterdir()).read_bytes())
    os.link(clip, other)
    for name, output in ((clip, clip), (clip, other), (clip.as_uri(), clip)):
        assert main(["run", "toy", str(name), kind, str(output), "--force"]) == 1
        assert "is what is to be read" in capsys.readouterr().err
    assert clip.read_bytes().startswith(b"\x89PNG")
    assert model.sessions == []


def test_a_device_may_take_two_outputs(model: Any, pictures: Path) -> None:
    assert main(["run", "toy", str(pictures), "--jsonl", os.devnull, "--srt", os.devnull]) == 0


def test_max_seconds_ends_the_source_early(
    model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "toy", str(pictures), "--max-seconds", "1"]) == 0
    assert capsys.readouterr().err.startswith("4 windows, 1 decodings")


def test_a_failure_mid_stream_keeps_what_was_written(
    model: Any,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(item: Any) -> None:
        raise SourceError("the stream ended in the middle of a picture")

    at_frame_5(monkeypatch, broken)
    jsonl, srt = tmp_path / "e.jsonl", tmp_path / "e.srt"
    assert main(["run", "toy", str(pictures), "--jsonl", str(jsonl), "--srt", str(srt)]) == 1
    out, err = capsys.readouterr()
    assert [event.text for event in events_of(out)[1:]] == ["frame 0", "frame 4"]
    assert jsonl.read_text() == out
    assert srt.read_text().count("-->") == 2
    assert err.splitlines()[-1] == "vljepa: the stream ended in the middle of a picture"
    assert "Traceback" not in err


@pytest.fixture
def keyboard() -> Iterator[None]:
    """SIGINT as a terminal has it; a shell's background job starts with it ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("keyboard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_an_interrupt_finishes_the_files(
    number: signal.Signals,
    model: Any,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_frame_5(monkeypatch, lambda item: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    video = tmp_path / "e.mp4"
    assert main(["run", "toy", str(pictures), "--save", str(video)]) == 130
    assert signal.getsignal(signal.SIGTERM) == before
    out, err = capsys.readouterr()
    assert len(events_of(out)) >= 3
    assert err.startswith(("5 windows", "6 windows"))
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 5


@pytest.mark.parametrize("text", ["sometimes", "uniform:0", "ward:x"])
def test_an_unknown_policy_is_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "toy", "clip.mp4", "--select", text])
    assert stopped.value.code == 2
    assert "--select" in capsys.readouterr().err


def test_a_hardware_decoder_has_to_be_known(
    model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "toy", str(pictures), "--hwaccel", "nvidia"]) == 1
    assert "expected hwaccel as none, auto or what this FFmpeg was built for" in capsys.readouterr().err
    assert main(["run", "toy", str(pictures), "--hwaccel", "auto"]) == 0


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    words = (
        "--query --engine --threads --allow-fallback --select --stride --decode --jsonl --srt --save --force"
    )
    assert [word for word in words.split() if word not in out] == []


def test_the_first_line_is_a_status_event(
    model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "toy", str(pictures)])
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["kind"], first["v"]) == ("status", 3)


@pytest.mark.parametrize(
    ("options", "told"),
    [([], 1), (["--label", "a cat"], 0), (["--decode", "never"], 0), (["--quiet"], 0)],
    ids=["plain", "labels", "never", "quiet"],
)
def test_a_bundle_without_words_is_told(
    options: list[str],
    told: int,
    model: Any,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(model, "has_decoder", False)
    assert main(["run", "toy", str(pictures), *options]) == 0
    err = capsys.readouterr().err
    assert err.count("note: toy has no Y-decoder, so segments come without words: pass --label") == told
    assert ("windows" in err) == ("--quiet" not in options)
