"""`vljepa index`, `search` and `log`: a folder of recordings into a log, moments out of it, and what is let go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

import vljepa_runtime as vj
from vljepa_apps import arguments
from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.world import Split, make_stream
from vljepa_log import LogReader

NAMES = ("a.mp4", "Tür 1@5.mp4")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos with times by which they can be told apart, and what is none."""
    folder = tmp_path_factory.mktemp("recordings")
    for seed, name in enumerate(NAMES, start=3):
        write_video(make_stream(seed, Split.TEST, minutes=0.1, size=96, fps=8), folder / name, fps=8)
        os.utime(folder / name, (1_700_000_000 + 1000 * seed,) * 2)
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def log(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of them."""
    place = tmp_path_factory.mktemp("logs") / "LOG"
    assert main(["index", str(recordings), "--out", str(place)]) == 0
    return place


@pytest.fixture(autouse=True, scope="module")
def one_model() -> Iterator[None]:
    """Loaded once for all commands."""
    model = vj.load("tiny", threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arguments, "load_model", lambda args: model)
        yield


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """What `vljepa search --json` prints."""
    capsys.readouterr()
    assert main(["search", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence with which a command ends."""
    capsys.readouterr()
    try:
        code = main(list(arguments))
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code in (1, 2)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def test_what_is_done_is_skipped_and_what_cannot_be_read_is_told(
    log: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    capsys.readouterr()
    sources = [str(recordings), str(broken), str(tmp_path / "missing.mp4")]
    assert main(["index", *sources, "--out", str(log), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["log"] == str(log)
    *videos, bad, missing = document["sources"]
    assert {Path(each["stream"]).name for each in videos} == set(NAMES)
    assert all(each["skipped"] and not each["windows"] and not each["error"] for each in videos)
    assert bad["error"]
    assert "missing.mp4" in missing["error"]
    with LogReader(log) as reader:
        assert len(reader.streams()) == 2


def test_words_find_moments(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = tmp_path / "pictures"
    moments = found(capsys, str(log), "a red ball falls", "--k", "3", "--thumbnails", str(pictures))
    assert 0 < len(moments) <= 3
    assert list(moments[0]) == ["stream", "start_s", "end_s", "time", "score", "weak", "text", "unknown"]
    assert [each["score"] for each in moments] == sorted((each["score"] for each in moments), reverse=True)
    shown = sorted(pictures.iterdir())
    assert [path.name for path in shown] == [f"{n:02}.jpg" for n in range(1, len(moments) + 1)]
    assert cv2.imread(str(shown[0])).shape == (96, 96, 3)
    assert main(["search", str(log), "a red ball falls", "--k", "1"]) == 0
    assert f"{moments[0]['score']:.3f}" in capsys.readouterr().out


def test_what_was_never_there_is_found_weakly(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = make_stream(3, Split.TEST, minutes=0.1, size=96, fps=8).events[0].text
    assert found(capsys, str(log), shown, "--k", "1")[0]["weak"] is False
    never = "a hand shows the digit seven"
    assert [each["weak"] for each in found(capsys, str(log), never, "--k", "2")] == [True, True]
    for words, said in ((shown, "of them"), (never, "Nothing fits well: all are below 0.")):
        assert main(["search", str(log), words]) == 0
        assert said in capsys.readouterr().out
    assert found(capsys, str(log), "ball", "--k", "1")[0]["weak"] is None


def test_a_finer_stride_over_what_was_indexed_is_told(
    log: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = ["index", str(recordings / NAMES[0]), "--out", str(log), "--stride"]
    for stride, stored, said in (
        ("0.5", 1.0, "a window each 1 s"),
        ("1", None, "before\n"),
        ("2", None, "before\n"),
    ):
        capsys.readouterr()
        assert main([*index, stride]) == 0
        assert f"was indexed {said}" in capsys.readouterr().out.replace("before, a", "a")
        assert main([*index, stride, "--json"]) == 0
        (source,) = json.loads(capsys.readouterr().out)["sources"]
        assert (source["windows"], source["skipped"]) == (0, True)
        assert source["stored_stride_s"] == (stored and pytest.approx(stored, abs=0.05))


def test_a_moment_or_a_picture_finds_itself(
    log: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = str(recordings / NAMES[1])
    (best,) = found(capsys, str(log), "--like", f"{stream}@4", "--k", "1")
    assert best["stream"] == stream
    assert best["start_s"] <= 4 <= best["end_s"]
    assert best["score"] > 0.999
    (best,) = found(capsys, str(log), "--picture", str(recordings / NAMES[0]), "--k", "1")
    assert best["stream"] == str(recordings / NAMES[0])


def test_streams_and_times_narrow_a_search(
    log: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first video ended at 2023-11-14T23:03:20 UTC, the second 1,000 s later."""
    first, second = (str(recordings / name) for name in NAMES)
    everything = [str(log), "a ball", "--k", "50"]
    assert {each["stream"] for each in found(capsys, *everything)} == {first, second}
    for options, expected in (
        (["--stream", second], {second}),
        (["--stream", first, "--stream", second], {first, second}),
        (["--stream", "none"], set()),
        (["--to", "2023-11-14T23:10:00Z"], {first}),
        (["--from", "2023-11-15T00:10:00+01:00"], {second}),
        (["--from", "2023-11-15T00:10:00+01:00", "--stream", first], set()),
    ):
        assert {each["stream"] for each in found(capsys, *everything, *options)} == expected


def test_a_log_that_was_asked_twice_is_searched_for_either(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = ["index", str(recordings / NAMES[0]), "--out", str(tmp_path / "LOG")]
    for asked in ([], ["--query", "What colour?"]):
        capsys.readouterr()
        assert main([*index, *asked, "--json"]) == 0
        (source,) = json.loads(capsys.readouterr().out)["sources"]
        assert source["windows"] > 0
        assert not source["skipped"]
    wanted = [str(tmp_path / "LOG"), "a ball", "--k", "50"]
    both = found(capsys, *wanted)
    one = found(capsys, *wanted, "--query", "What colour?")
    assert 0 < len(one) < len(both)
    assert found(capsys, *wanted, "--query", "What else?") == []


def test_a_search_that_means_nothing_says_so(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["search", str(log), "a ball", "--stream", "none"]) == 0
    assert "nothing in the log is meant" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "expected WORDS, --like STREAM@S, --picture SOURCE"),
        (["a ball", "--like", "a@1"], "one of them"),
        ([""], "expected WORDS"),
        ([" "], "expected WORDS"),
        (["--state", "open", "--states", "none.json", "--query", "What?"], "leave out --query"),
        (["--like", "no time"], "expected STREAM@SECONDS"),
        (["--like", "a@soon"], "expected a number, got 'soon'"),
        (["--like", "a@nan"], "expected a number of at least 0"),
        (["--like", "@1"], "expected STREAM@SECONDS"),
        (["--like", "nowhere@1"], "no windows of nowhere"),
        (["a ball", "--from", "yesterday"], "expected a time such as"),
        (["a ball", "--from", "0001-01-01"], "expected a time such as"),
        (["a ball", "--from", "2026-01-02", "--to", "2026-01-01"], "expected --from before --to"),
        (["a ball", "--k", "0"], "expected a whole number above 0"),
        (["--picture", "nowhere.png"], "nowhere.png"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_one_sentence(
    log: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert said in refused(capsys, "search", str(log), *options)


def test_what_is_no_log_of_this_model_is_refused(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "holds no log" in refused(capsys, "search", str(tmp_path), "a ball")
    assert "holds no log" in refused(capsys, "log", str(tmp_path / "none"))
    assert "holds no log" in refused(capsys, "log", str(tmp_path / "none"), "--keep", "1d")
    monkeypatch.setattr("vljepa_log.reader.identity_of", lambda manifest: {"embedding_dim": "256"})
    assert "was written by another model" in refused(capsys, "search", str(log), "a ball")


def test_a_log_says_what_it_holds_and_lets_go(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "LOG")
    assert main(["index", str(recordings), "--out", place, "--max-seconds", "3"]) == 0
    capsys.readouterr()
    assert main(["log", place]) == 0
    assert "2023-11-" in capsys.readouterr().out
    assert main(["log", place, "--thin-after", "1s", "--tidy", "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert kept["windows"] + kept["removed"]["thinned"] == 4
    assert kept["bytes"] > 0
    assert main(["log", place, "--keep", "1d", "--max-size", "1GB", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["windows"], document["streams"]) == (0, [])
    assert document["removed"]["windows"] == kept["windows"]
    assert found(capsys, place, "a ball") == []


@pytest.mark.parametrize(
    ("option", "value"),
    [("--keep", "30"), ("--keep", "-1d"), ("--keep", "nand"), ("--keep", "1y"), ("--keep", ""), ("--thin-after", "0s"),
     ("--max-size", "2XB"), ("--max-size", "infGB"), ("--max-size", "GB"), ("--max-size", "1e30GB")],
)  # fmt: skip
def test_what_is_no_age_or_size_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    for command in (["log", str(tmp_path)], ["index", "a.mp4", "--out", str(tmp_path)]):
        assert "expected a" in refused(capsys, *command, f"{option}={value}")
