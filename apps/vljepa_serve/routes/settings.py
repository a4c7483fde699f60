"""The configuration as JSON, without what is secret; a change is written to its file and in force at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from vljepa_runtime.files import plain
from vljepa_runtime.redaction import redact
from vljepa_serve.config import Config
from vljepa_serve.dependencies import ServiceOf
from vljepa_serve.routes.shapes import Strict

__all__ = ["router"]

router = APIRouter(prefix="/api/config", tags=["settings"])
RESTART = {"server": None, "model": ("bundle", "engine", "threads"), "log": ("folder",)}
SECRET = ("secret", "address")


class ConfigChange(Strict):
    """Values by section; null takes one away."""

    server: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    select: dict[str, Any] = Field(default_factory=dict)
    log: dict[str, Any] = Field(default_factory=dict)
    thermal: dict[str, Any] = Field(default_factory=dict)
    sink: list[dict[str, Any]] | None = Field(default=None, max_length=32)


@router.get("")
def config(service: ServiceOf) -> dict[str, Any]:
    """All of it."""
    return _shown(service.config)


@router.patch("")
def change(service: ServiceOf, given: ConfigChange) -> dict[str, Any]:
    """Change some of it; `restart` names what is in force after a restart only."""
    before = service.config
    sections = given.model_dump(exclude={"sink"}, exclude_unset=True)
    sections = {name: values for name, values in sections.items() if values}
    sinks = {} if given.sink is None else {"sink": [_unhidden(each, before) for each in given.sink]}
    after = service.change(lambda file: file.set_all(sections, sinks))
    return {**_shown(after), "restart": _restarts(before, after)}


def _shown(config: Config) -> dict[str, Any]:
    values: dict[str, Any] = plain(config)
    for camera in values["camera"]:
        camera["source"] = redact(camera["source"])
    values["sink"] = [_hidden(each) for each in values["sink"]]
    return values


def _hidden(sink: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _hide(key, value) if isinstance(value, str) and key in SECRET else value
        for key, value in sink.items()
    }


def _hide(key: str, value: str) -> str:
    if value.startswith(("env:", "file:")):
        return value
    return redact(value) if key == "address" else "***"


def _unhidden(sink: Mapping[str, Any], before: Config) -> dict[str, Any]:
    """A receiver that comes back as it was shown keeps what was not shown."""
    for old in before.sink:
        if _hidden(old).get("address") == sink.get("address") and old.get("kind") == sink.get("kind"):
            kept = {key: old[key] for key, value in _hidden(old).items() if sink.get(key) == value}
            return {**sink, **kept}
    return dict(sink)


def _restarts(before: Config, after: Config) -> list[str]:
    found = []
    for section, keys in RESTART.items():
        old, new = plain(getattr(before, section)), plain(getattr(after, section))
        found += [f"{section}.{key}" for key in keys or old if old[key] != new[key]]
    return found
