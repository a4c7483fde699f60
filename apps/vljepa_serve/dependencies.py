"""What routes ask for: the service, its model, its log, its configuration. `Annotated` names that FastAPI fills in.

@router.get("/api/streams")
def streams(log: LogOf) -> list[str]:
    return [each.name for each in log.streams()]
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from vljepa_log import LogReader
from vljepa_runtime import Model
from vljepa_serve.access import Access
from vljepa_serve.archive import Archive, Workers
from vljepa_serve.config import Config
from vljepa_serve.service import Service

__all__ = [
    "AccessOf", "ArchiveOf", "ConfigOf", "DecodingOf", "LogOf", "ModelOf", "ReadingOf", "ServiceOf",
]  # fmt: skip


def _service(connection: HTTPConnection) -> Service:
    return cast(Service, connection.app.state.service)


ServiceOf = Annotated[Service, Depends(_service)]


def _model(service: ServiceOf) -> Model:
    return service.model


def _log(service: ServiceOf) -> LogReader:
    return service.log


def _config(service: ServiceOf) -> Config:
    return service.config


def _archive(service: ServiceOf) -> Archive:
    return service.archive


def _reading(service: ServiceOf) -> Workers:
    return service.reading


def _decoding(service: ServiceOf) -> Workers:
    return service.decoding


def _access(connection: HTTPConnection) -> Access:
    return cast(Access, connection.app.state.access)


AccessOf = Annotated[Access, Depends(_access)]
ModelOf = Annotated[Model, Depends(_model)]
LogOf = Annotated[LogReader, Depends(_log)]
ConfigOf = Annotated[Config, Depends(_config)]
ArchiveOf = Annotated[Archive, Depends(_archive)]
ReadingOf = Annotated[Workers, Depends(_reading)]
DecodingOf = Annotated[Workers, Depends(_decoding)]
