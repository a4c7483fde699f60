"""Entries of the configuration, of which there may be many: cameras, alerts, taught states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from vljepa_runtime import InputError
from vljepa_runtime.alerts import Alert
from vljepa_runtime.files import AtMost, check_record
from vljepa_runtime.files.values import Name, PositiveNumber, Text, within, wrong
from vljepa_serve.config.ids import Slug
from vljepa_serve.config.sections import Queries

__all__ = ["MAX_CAMERAS", "AlertConfig", "CameraConfig", "Receiver", "StatesConfig"]

MAX_CAMERAS = 64
MAX_SOURCE = 2000  # characters
Receiver = Literal["mqtt", "webhook"]


def _source(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_SOURCE:
        raise wrong(where, f"a source of 1 to {MAX_SOURCE} characters", value)
    if any(character < " " or character == "\x7f" for character in value):
        raise wrong(where, "a source of one line", value)
    return value


Cameras = Annotated[tuple[Slug, ...], AtMost(MAX_CAMERAS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """A stream that is watched.

    Attributes:
        id: Its name in addresses, events and the log; made from `name` by the page.
        name: For people.
        source: Camera number, device, file, folder, address or pipeline; see `vljepa_runtime.open_source`.
        on: Whether it is watched.
        fps: Pictures a second of a folder of pictures.
        loop: Whether a file or folder begins again at its end.
        hwaccel: What decodes a file or a stream of the network: none, auto or a type of device; see `open_source`.
        queries: What its windows are asked beside those of all cameras.
    """

    id: Slug
    name: Name
    source: Annotated[str, _source]
    on: bool = True
    fps: PositiveNumber | None = None
    loop: bool = False
    hwaccel: Name = "none"
    queries: Queries = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertConfig:
    """Something to be told; see `vljepa_runtime.alerts.Alert` for what its numbers mean.

    Attributes:
        id: Its name in addresses.
        name: For people.
        query: What shall be told, in words.
        rivals: What else may be seen.
        cameras: Ids; empty for all.
        threshold: Of the score; None takes what the words say (see `with_threshold`).
        hold_s: How long it must hold.
        cool_down_s: Silence after its end.
        look_back_s: How much its clip shows of what was before.
        send_to: Kinds of receivers that are told; None tells all, none the page alone.
        on: Whether it is told.
    """

    id: Slug
    name: Name
    query: Text
    rivals: Annotated[tuple[Text, ...], AtMost(64)] = ()
    cameras: Cameras = ()
    threshold: float | None = None
    hold_s: float = 1.0
    cool_down_s: float = 10.0
    look_back_s: Annotated[float, within(0, 3600, "seconds")] = 10.0
    send_to: Annotated[tuple[Receiver, ...], AtMost(8)] | None = None
    on: bool = True

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        self.rule()

    def rule(self) -> Alert:
        """The same for the runtime."""
        return Alert(
            text=self.query,
            against=self.rivals,
            threshold=self.threshold,
            hold_s=self.hold_s,
            cool_down_s=self.cool_down_s,
        )

    def watches(self, camera: str) -> bool:
        """Whether it looks at a camera."""
        return self.on and (not self.cameras or camera in self.cameras)

    def tells(self, receiver: str) -> bool:
        """Whether receivers of a kind are told."""
        return self.send_to is None or receiver in self.send_to


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesConfig:
    """States that somebody taught.

    Attributes:
        id: Their name in addresses.
        name: For people.
        file: What `vljepa teach` or the page wrote; beside the configuration unless it is a whole path.
        cameras: Ids; empty for all.
    """

    id: Slug
    name: Name
    file: Name
    cameras: Cameras = ()

    def watches(self, camera: str) -> bool:
        """Whether they are told of a camera."""
        return not self.cameras or camera in self.cameras
