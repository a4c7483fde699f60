"""Cameras that are plugged into this machine, as the kernel names them: nothing is opened, so none is disturbed."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["VideoDevice", "video_devices"]

FOLDER = Path("/sys/class/video4linux")  # where it is not there, there are none
NAME = re.compile(r"video(\d{1,4})")
LONGEST = 100  # characters of a name


@dataclass(frozen=True, slots=True, order=True)
class VideoDevice:
    """A camera.

    Attributes:
        number: That of its device.
        name: What its maker calls it.
    """

    number: int
    name: str

    @property
    def source(self) -> str:
        """As a camera of the configuration has it."""
        return f"/dev/video{self.number}"


def video_devices() -> list[VideoDevice]:
    """Those of Linux, by their numbers; of a camera with several devices the first one, which gives pictures."""
    found = []
    for path in FOLDER.glob("video*"):
        if (number := NAME.fullmatch(path.name)) and _text(path / "index", "0") == "0":
            found.append(VideoDevice(int(number[1]), _text(path / "name", "camera")))
    return sorted(found)


def _text(path: Path, unknown: str) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()[:LONGEST] or unknown
    return unknown
