"""What the configuration says, read strictly: unknown keys, missing values and impossible numbers are refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from vljepa_runtime import InputError, OnlineSelection
from vljepa_runtime.alerts import Alert
from vljepa_runtime.files import AtMost, check_record
from vljepa_runtime.files.values import Name, PositiveNumber, Text, number, wrong
from vljepa_runtime.sources import Address, resolve

__all__ = [
    "AlertConfig",
    "CameraConfig",
    "Config",
    "LogConfig",
    "ModelConfig",
    "SelectConfig",
    "ServerConfig",
    "StatesConfig",
    "free_id",
    "is_slug",
    "name_of",
]

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
MAX_CAMERAS = 64
MAX_ALERTS = 256
MAX_QUERIES = 8
MAX_SOURCE = 2000  # characters
LONGEST_STEM = 28  # of an id, which may get a number
MAX_NAME = 100


def is_slug(value: str) -> bool:
    """Whether a text may be an id: it is a part of addresses, of file names and of names in the log."""
    return SLUG.fullmatch(value) is not None


def free_id(name: str, taken: Collection[str]) -> str:
    """An id that is made from a name and that nothing has.

    Examples:
        >>> from vljepa_serve.config import free_id
        >>> free_id("Café, back door", ["cafe-back-door"])
        'cafe-back-door-2'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_STEM].strip("-") or "camera"
    found, number = stem, 1
    while found in taken:
        number += 1
        found = f"{stem}-{number}"
    return found


def name_of(source: str) -> str:
    """What a camera is called that nobody named; never shows a password.

    Examples:
        >>> from vljepa_serve.config import name_of
        >>> name_of("0"), name_of("rtsp://admin:hunter2@10.0.0.5/live"), name_of("clip.mp4")
        ('Camera 0', '10.0.0.5', 'clip')
    """
    found = resolve(source)
    if isinstance(found, int):
        return f"Camera {found}"
    if isinstance(found, Address):
        return found.host or "Pipeline"
    return found.stem[:MAX_NAME].strip() or "Camera"


def _slug(value: object, where: str) -> str:
    if not isinstance(value, str) or not is_slug(value):
        raise wrong(where, "an id of 1 to 32 small letters, digits and hyphens, such as back-door", value)
    return value


def _source(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_SOURCE:
        raise wrong(where, f"a source of 1 to {MAX_SOURCE} characters", value)
    if any(character < " " or character == "\x7f" for character in value):
        raise wrong(where, "a source of one line", value)
    return value


def _days(value: object, where: str) -> float:
    if not 0 < (found := number(value, where)) <= 3650:
        raise wrong(where, "days above 0, at most 3650", value)
    return found


def _hours(value: object, where: str) -> float:
    if not 0 <= (found := number(value, where)) <= 24 * 365:
        raise wrong(where, "hours from 0 to 8760", value)
    return found


def _port(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 16:
        raise wrong(where, "a port from 0 to 65535", value)
    return value


def _pause(value: object, where: str) -> float:
    if not 0 <= (found := number(value, where)) <= 3600:
        raise wrong(where, "seconds from 0 to 3600", value)
    return found


def _stride(value: object, where: str) -> float:
    if not 0.05 <= (found := number(value, where)) <= 3600:
        raise wrong(where, "seconds from 0.05 to 3600", value)
    return found


Slug = Annotated[str, _slug]
Queries = Annotated[tuple[Text, ...], AtMost(MAX_QUERIES)]
Cameras = Annotated[tuple[Slug, ...], AtMost(MAX_CAMERAS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the page is; a change needs a restart.

    Attributes:
        host: Address to listen at.
        port: 0 takes a free one.
        token_file: Holds the token; made where it is not there and one is needed.
        tls_cert: Certificates, PEM.
        tls_key: Its key, PEM.
        names: Host names beside the addresses by which browsers may call it.
    """

    host: Name = "127.0.0.1"
    port: Annotated[int, _port] = 8080
    token_file: Name | None = None
    tls_cert: Name | None = None
    tls_key: Name | None = None
    names: Annotated[tuple[Name, ...], AtMost(32)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What predicts; a change of bundle, engine or threads needs a restart.

    Attributes:
        bundle: A folder, a file, or a shipped name.
        engine: See `vljepa_runtime.load`.
        threads: Of a CPU; None lets the engine choose.
        queries: What every window of every camera is asked; empty asks the bundle's caption prompt.
        stride_s: Seconds between windows.
    """

    bundle: Name = "tiny"
    engine: Name = "auto"
    threads: Annotated[int, AtMost(1024)] | None = None
    queries: Queries = ()
    stride_s: Annotated[float, _stride] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectConfig:
    """When meaning is put into words; see `OnlineSelection`.

    Attributes:
        threshold: Cosine distance that opens a change.
        min_gap_s: Shortest time between decodings.
        per_minute: Budget of decodings of each camera; None has none.
    """

    threshold: float = 0.02
    min_gap_s: float = 0.5
    per_minute: float | None = None

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        self.policy()

    def policy(self) -> OnlineSelection:
        """The same for the runtime."""
        return OnlineSelection(threshold=self.threshold, min_gap_s=self.min_gap_s, per_minute=self.per_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is kept, for how long.

    Attributes:
        folder: Of the log; None takes the folder of this file. A change needs a restart.
        keep_days: Windows, words and small pictures older than this go; None keeps them.
        keep_gb: The oldest go until the log takes no more; None sets no limit.
        thin_days: Of what is older, one window is kept of those in a row that say the same; None keeps all.
        video_hours: How far back encoded video of each camera is kept; 0 keeps none.
        video_gb: What the video of all cameras may take together, and what clips may take.
    """

    folder: Name | None = None
    keep_days: Annotated[float, _days] | None = None
    keep_gb: PositiveNumber | None = None
    thin_days: Annotated[float, _days] | None = None
    video_hours: Annotated[float, _hours] = 24.0
    video_gb: PositiveNumber = 20.0


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
        queries: What its windows are asked beside those of all cameras.
    """

    id: Slug
    name: Name
    source: Annotated[str, _source]
    on: bool = True
    fps: PositiveNumber | None = None
    loop: bool = False
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
        threshold: Of the score.
        hold_s: How long it must hold.
        cool_down_s: Silence after its end.
        look_back_s: How much its clip shows of what was before.
        on: Whether it is told.
    """

    id: Slug
    name: Name
    query: Text
    rivals: Annotated[tuple[Text, ...], AtMost(64)] = ()
    cameras: Cameras = ()
    threshold: float = 0.5
    hold_s: float = 1.0
    cool_down_s: float = 10.0
    look_back_s: Annotated[float, _pause] = 10.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it.

    Examples:
        >>> from vljepa_serve.config import CameraConfig, Config
        >>> config = Config(camera=[CameraConfig(id="door", name="Door", source="0")])
        >>> config.camera[0].on, config.model.bundle, config.server.host
        (True, 'tiny', '127.0.0.1')
    """

    server: ServerConfig = field(default_factory=ServerConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    log: LogConfig = field(default_factory=LogConfig)
    camera: Annotated[tuple[CameraConfig, ...], AtMost(MAX_CAMERAS)] = ()
    alert: Annotated[tuple[AlertConfig, ...], AtMost(MAX_ALERTS)] = ()
    states: Annotated[tuple[StatesConfig, ...], AtMost(MAX_CAMERAS)] = ()
    sink: Annotated[tuple[Mapping[Name, Any], ...], AtMost(32)] = ()

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        for kind, entries in (("camera", self.camera), ("alert", self.alert), ("states", self.states)):
            _check_ids(kind, [entry.id for entry in entries])
        known = {camera.id for camera in self.camera}
        watching: tuple[AlertConfig | StatesConfig, ...] = (*self.alert, *self.states)
        for each in watching:
            if unknown := sorted({*each.cameras} - known):
                raise InputError(
                    f"{each.id}: expected cameras that are configured, got {unknown[0]}; known: "
                    f"{', '.join(sorted(known)) or 'none'}"
                )


def _check_ids(kind: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise InputError(f"{kind}: expected an id for each, got {each} twice")
        seen.add(each)
