"""What exists under the very name is that; only then is a name read as a camera, a URL, a pipeline, a home."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.sources import Frame, naming, open_source, source_name
from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.naming import pipeline_of, resolve

BYTES = os.fsdecode(b"caf\xe9.png")  # a name in latin-1, as older cameras write
ODD_NAMES = [
    *(
        "~$clip.png",
        "~.png",
        "~nobody-of-that-name.png",
        "wow ! nice.png",
        " blanks .png ",
        "-dash.png",
        "--stride.png",
    ),
    *(
        "0",
        "17",
        "rtsp:",
        "rtsp:x.png",
        "file:x.png",
        "100%.png",
        "100%25.png",
        "a%20b.png",
        "a#b?c.png",
        "*.png",
        "[a].png",
    ),
    *(
        "key=frame.png",
        "password=1.png",
        "a@b.png",
        "me:you@here.png",
        "line\nbreak.png",
        "\u202etxt.png",
        "café.png",
        BYTES,
    ),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path


def put(name: str) -> None:
    data = cv2.imencode(".png", np.full((8, 12, 3), 100, np.uint8))[1].tobytes()
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data)


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_what_exists_is_that(name: str) -> None:
    put(name)
    assert resolve(name) == Path(name)
    assert resolve(Path(name)) == Path(name)
    shown = source_name(name)
    assert shown == (name if name != BYTES else "caf\\xe9.png")
    assert shown.encode()
    if name.strip().endswith(".png"):
        with open_source(name) as source:
            assert source.name == shown
            assert [item.image.shape for item in source if isinstance(item, Frame)] == [(8, 12, 3)]


@pytest.mark.parametrize("name", [*ODD_NAMES, "rtsp://cam", "rtsp://u:p@cam/x"], ids=ascii)
def test_a_folder_of_that_name_is_a_folder(name: str) -> None:
    put(f"{name}/1.png")
    with open_source(name) as source:
        assert source.name == source_name(name)
        assert sum(isinstance(item, Frame) for item in source) == 1


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("~/clip.png", "home/clip.png"),
        (" clip.png\t", "clip.png"),
        (" ~/clip.png\n", "home/clip.png"),
        ("file:clip.png", "clip.png"),
        ("file://clip.png", "clip.png"),
        ("FILE:///{here}/clip.png", "clip.png"),
        ("file://localhost{here}/clip.png", "clip.png"),
        ("file:{here}/clip.png", "clip.png"),
        ("file://{here}/a%20b.png", "a b.png"),
        ("file://{here}/100%.png", "100%.png"),
        ("file://{here}/a%20b.png", "a%20b.png"),
        ("file://a#b?c.png", "a#b?c.png"),
        ("file://~/clip.png", "home/clip.png"),
    ],
)
def test_other_ways_to_name_a_file(here: Path, name: str, there: str) -> None:
    put(there)
    found = resolve(name.format(here=here))
    assert isinstance(found, Path)
    assert found.samefile(there)


def test_paths_from_home() -> None:
    put("home/clip.png")
    assert resolve(Path("~/clip.png")) == Path("home/clip.png").absolute()
    put("~/clip.png")
    assert resolve(Path("~/clip.png")) == resolve("~/clip.png") == Path("~/clip.png")


def test_a_link_to_a_camera_is_a_camera(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "DEVICE", re.compile(f"{re.escape(os.path.realpath(here))}/video[0-9]+"))
    put("video0")
    Path("usb-maker-index0").symlink_to("video0")
    with pytest.raises(
        SourceError, match="usb-maker-index0 does not open: it is missing, busy or not permitted"
    ):
        open_source("usb-maker-index0")


def test_cameras_and_urls() -> None:
    assert [resolve(spec) for spec in (0, "0", " 2 ", np.int64(3), np.uint8(4))] == [0, 0, 2, 3, 4]
    assert resolve("/dev/video97") == Path("/dev/video97")
    address = resolve(" HTTP://u:p@cam/x ")
    assert isinstance(address, Address)
    assert address.secret_url() == "http://u:p@cam/x"
    pipeline = resolve("videotestsrc ! appsink")
    assert isinstance(pipeline, Address)
    assert pipeline.scheme == ""
    named = resolve(" GST:rtspsrc location=rtsp://h/x user-pw=hunter2 ")
    assert isinstance(named, Address)
    assert "hunter2" not in str(named)
    assert pipeline_of(named) == "rtspsrc location=rtsp://h/x user-pw=hunter2"
    assert source_name("rtsp://u:p@cam/x") == "rtsp://***@cam/x"
    assert source_name(1) == "1"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("~/clip.mp4", "no such file: ~/clip.mp4"),
        ("~nobody-of-that-name/clip.mp4", "no such file: ~nobody"),
        ("*.mp4", r"no such file: \*.mp4; a pattern is no source"),
        ("clips/[0-9]?.mp4", "a pattern is no source"),
        ("file://clip.mp4", "no such file: clip.mp4"),
        ("file:", "no such file"),
        ("x" * 5000, "no such file: xxx"),
        ("a\0b.mp4", "no such file"),
        ("-1", "no such file: -1"),
        ("²", "no such file"),
        (" ", "the source is empty"),
        ("rtsp:/cam/live", "expected rtsp://HOST/PATH, got rtsp:/cam/live: two slashes"),
        ("HTTP:cam/live", "expected http://HOST/PATH"),
        ("me:secret@10.0.0.5/live", r"no such file: \*\*\*@10.0.0.5/live; a URL begins with its scheme"),
        ("/user=me_password=secret_channel=1", r"password=\*\*\*_channel=1"),
        ("rtsp:/me:secret@cam/x", r"got \*\*\*@cam/x"),
        (Path("rtsp://me:secret@cam/x"), r"no such file: \*\*\*@cam/x"),
        (Path("no.mp4"), "no such file: no.mp4"),
        (Path("~/no.mp4"), "no such file: ~/no.mp4"),
        ("wow ! no.mp4", "wow ! no.mp4 (is no file here|does not open: it is no file and no pipeline)"),
        ("gst:no-such-element password=secret", r"^gst:no-such-element password=\*\*\* "),
        (Path("0"), "no such file: 0"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_nothing_has_that_name(spec: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        open_source(spec)
    assert "secret" not in str(caught.value)


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"clip.mp4"


@pytest.mark.parametrize(
    "spec",
    [
        None,
        True,
        np.True_,
        -1,
        np.int32(-2),
        1.5,
        b"clip.mp4",
        BytesPath(),
        ["clip.mp4"],
        ("0",),
        {},
        object(),
        np.zeros(2),
    ],
    ids=lambda spec: ascii(spec).partition(" object at ")[
        0
    ],  # an address would give each process other names
)
def test_what_is_no_name_at_all(spec: Any) -> None:
    with pytest.raises(InputError, match="expected a"):
        open_source(spec)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may look everywhere")
def test_a_closed_folder_says_so() -> None:
    put("closed/clip.png")
    Path("closed").chmod(0)
    try:
        with pytest.raises(SourceError, match=r"cannot look at closed/clip.png: Permission denied"):
            open_source("closed/clip.png")
    finally:
        Path("closed").chmod(0o700)


def test_a_pure_path_is_a_path() -> None:
    put("clip.png")
    assert resolve(PurePath("clip.png")) == Path("clip.png")
