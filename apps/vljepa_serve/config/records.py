"""What the configuration says, read strictly: unknown keys, missing values and impossible numbers are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from vljepa_runtime import InputError
from vljepa_runtime.files import AtMost, check_record
from vljepa_runtime.files.values import Name
from vljepa_serve.config.entries import MAX_CAMERAS, AlertConfig, CameraConfig, StatesConfig
from vljepa_serve.config.sections import LogConfig, ModelConfig, SelectConfig, ServerConfig, ThermalConfig

__all__ = ["Config"]

MAX_ALERTS = 256


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
    thermal: ThermalConfig = field(default_factory=ThermalConfig)
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
