"""Cameras of this machine, as the kernel lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import Running

from vljepa_serve import devices
from vljepa_serve.devices import VideoDevice, video_devices


def list_device(folder: Path, device: str, **files: str) -> None:
    (folder / device).mkdir(parents=True)
    for name, text in files.items():
        (folder / device / name).write_text(text + "\n")


def test_each_camera_is_listed_once_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "FOLDER", tmp_path)
    list_device(tmp_path, "video10", index="0", name="Kamera für 5 €")
    list_device(tmp_path, "video0", index="0", name="Integrated Camera")
    list_device(tmp_path, "video1", index="1", name="Integrated Camera")  # what it says of its pictures
    list_device(tmp_path, "video2", index="0", name="x" * 500)
    list_device(tmp_path, "v4l-subdev0", name="sensor")
    list_device(tmp_path, "videoX", index="0", name="none")
    list_device(tmp_path, "video3")
    assert video_devices() == [
        VideoDevice(0, "Integrated Camera"),
        VideoDevice(2, "x" * 100),
        VideoDevice(3, "camera"),
        VideoDevice(10, "Kamera für 5 €"),
    ]
    monkeypatch.setattr(devices, "FOLDER", tmp_path / "not there")
    assert video_devices() == []


def test_the_page_is_told_which_there_are(
    server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_device(tmp_path, "video4", index="0", name="A camera")
    monkeypatch.setattr(devices, "FOLDER", tmp_path)
    assert server.get("/api/cameras/devices") == [{"source": "/dev/video4", "name": "A camera"}]
