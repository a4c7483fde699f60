"""What the options of `vljepa serve` make of the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("tomlkit")
pytest.importorskip("fastapi")

from vljepa_apps.commands import serve
from vljepa_apps.main import main, parser_of
from vljepa_serve.config import CameraConfig, read_config


def cameras(folder: Path, *sources: str) -> dict[str, CameraConfig]:
    """The cameras that `--source` adds, by their sources."""
    options = [word for source in sources for word in ("--source", source)]
    args = parser_of("serve", serve).parse_args(["--log", str(folder), *options])
    serve._configured(args, args.log)
    written = read_config((folder / "serve.toml").read_text(encoding="utf-8"))
    return {camera.source: camera for camera in written.camera}


@pytest.mark.parametrize(
    ("source", "loops"),
    [
        (os.devnull, False),  # a device, as /dev/video0 is
        ("0", False),
        ("rtsp://u:hunter2@10.0.0.7/door", False),
        ("gst:videotestsrc ! " + "identity ! " * 60 + "queue", False),  # longer than a name of a file may be
        ("clip.mp4", True),
        ("folder", True),
    ],
)
def test_what_has_an_end_begins_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, loops: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    Path("folder").mkdir()
    assert cameras(tmp_path / "log", source, source)[source].loop is loops


def test_a_source_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--log", str(tmp_path), "--source", str(tmp_path / "no.mp4")]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "no such file" in said
