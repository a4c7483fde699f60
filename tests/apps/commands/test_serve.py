"""What the options of `vljepa serve` make of the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("tomlkit")
pytest.importorskip("fastapi")

import vljepa_runtime as vj
from vljepa_apps.commands import serve
from vljepa_apps.main import main, parser_of
from vljepa_runtime.bundle import fingerprint_of
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


def test_the_selection_of_a_profile_takes_the_place_of_another(tmp_path: Path) -> None:
    fingerprint = fingerprint_of(vj.Bundle.open("tiny").manifest)
    for limit in ({"boundary": 0.7}, {"threshold": 0.3}, {"boundary": 0.6}):
        selection = vj.TunedSelection(query="What?", per_minute=6, found_per_minute=5, **limit)
        profile = vj.DeviceProfile(bundle="tiny", fingerprint=fingerprint, selection=selection)
        profile.save(tmp_path / "profile.json")
        args = parser_of("serve", serve).parse_args(
            ["--log", str(tmp_path), "--profile", str(tmp_path / "profile.json")]
        )
        select = serve._configured(args, args.log).config.select
        assert {"threshold": select.threshold, "boundary": select.boundary} == {
            "threshold": None,
            "boundary": None,
        } | limit
        policy = select.policy()
        assert (policy.threshold, policy.boundary) == (limit.get("threshold"), limit.get("boundary", 0.1))


@pytest.mark.parametrize(
    "given", [(), ("--threads", "1", "--engine", "openvino:cpu")], ids=["alone", "options"]
)
def test_a_profile_becomes_configuration(tmp_path: Path, given: tuple[str, ...]) -> None:
    fingerprint = fingerprint_of(vj.Bundle.open("tiny").manifest)
    selection = vj.TunedSelection(query="What?", threshold=0.3, per_minute=6, found_per_minute=5)
    vj.DeviceProfile(
        bundle="tiny", fingerprint=fingerprint, engine="onnxruntime:cpu", threads=2, stride_s=0.5, tokens="static",
        carry_s=30, selection=selection,
    ).save(tmp_path / "profile.json")  # fmt: skip
    options = ["--log", str(tmp_path / "log"), "--profile", str(tmp_path / "profile.json"), *given]
    args = parser_of("serve", serve).parse_args(options)
    config = serve._configured(args, args.log).config
    model = config.model
    assert (model.stride_s, model.tokens, model.carry_s, config.select.threshold) == (0.5, "static", 30, 0.3)
    assert (model.engine, model.threads) == (("openvino:cpu", 1) if given else ("onnxruntime:cpu", 2))


def test_a_profile_of_another_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vj.DeviceProfile(bundle="door", fingerprint="0" * 64).save(tmp_path / "profile.json")
    assert main(["serve", "--log", str(tmp_path / "log"), "--profile", str(tmp_path / "profile.json")]) == 1
    assert "of another bundle" in capsys.readouterr().err
