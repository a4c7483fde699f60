"""Run a VL-JEPA bundle on a device: frames in; embeddings, labels, answers and events out. No torch.

    import vljepa_runtime as vj

    model = vj.load("tiny")
    with model.session(query="What is happening?") as session:
        for event in session.run(vj.open_source("clip.mp4")):
            print(event.to_json())

Names are imported when they are first used, so that a command that needs few of them starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vljepa_runtime.bundle import Bundle as Bundle
    from vljepa_runtime.bundle import write_bundle as write_bundle
    from vljepa_runtime.bundle.manifest import Manifest as Manifest
    from vljepa_runtime.clip_reader import read_clip as read_clip
    from vljepa_runtime.engines import engine_names as engine_names
    from vljepa_runtime.engines import open_engine as open_engine
    from vljepa_runtime.errors import BundleError as BundleError
    from vljepa_runtime.errors import DeviceMissingError as DeviceMissingError
    from vljepa_runtime.errors import EngineError as EngineError
    from vljepa_runtime.errors import GraphRefusedError as GraphRefusedError
    from vljepa_runtime.errors import InputError as InputError
    from vljepa_runtime.errors import LibraryMissingError as LibraryMissingError
    from vljepa_runtime.errors import MissingEngineExtraError as MissingEngineExtraError
    from vljepa_runtime.errors import MissingExtraError as MissingExtraError
    from vljepa_runtime.errors import OutputError as OutputError
    from vljepa_runtime.errors import RunError as RunError
    from vljepa_runtime.errors import SourceError as SourceError
    from vljepa_runtime.errors import VljepaError as VljepaError
    from vljepa_runtime.errors import WrongTargetError as WrongTargetError
    from vljepa_runtime.events import Event as Event
    from vljepa_runtime.model import Model as Model
    from vljepa_runtime.model import Scored as Scored
    from vljepa_runtime.model import load as load
    from vljepa_runtime.patches import Clip as Clip
    from vljepa_runtime.patches import Preprocess as Preprocess
    from vljepa_runtime.selection import EveryWindow as EveryWindow
    from vljepa_runtime.selection import OfflineWard as OfflineWard
    from vljepa_runtime.selection import OnlineSelection as OnlineSelection
    from vljepa_runtime.selection import Uniform as Uniform
    from vljepa_runtime.selection import parse_policy as parse_policy
    from vljepa_runtime.session import Session as Session
    from vljepa_runtime.session import SessionStats as SessionStats
    from vljepa_runtime.sources import Frame as Frame
    from vljepa_runtime.sources import open_source as open_source

_HOMES = {
    "Bundle": "bundle",
    "BundleError": "errors",
    "Clip": "patches",
    "DeviceMissingError": "errors",
    "EngineError": "errors",
    "Event": "events",
    "EveryWindow": "selection",
    "Frame": "sources",
    "GraphRefusedError": "errors",
    "InputError": "errors",
    "LibraryMissingError": "errors",
    "Manifest": "bundle.manifest",
    "MissingEngineExtraError": "errors",
    "MissingExtraError": "errors",
    "Model": "model",
    "OfflineWard": "selection",
    "OnlineSelection": "selection",
    "OutputError": "errors",
    "Preprocess": "patches",
    "RunError": "errors",
    "Scored": "model",
    "Session": "session",
    "SessionStats": "session",
    "SourceError": "errors",
    "Uniform": "selection",
    "VljepaError": "errors",
    "WrongTargetError": "errors",
    "engine_names": "engines",
    "load": "model",
    "open_engine": "engines",
    "open_source": "sources",
    "parse_policy": "selection",
    "read_clip": "clip_reader",
    "write_bundle": "bundle",
}

__all__ = [
    "Bundle",
    "BundleError",
    "Clip",
    "DeviceMissingError",
    "EngineError",
    "Event",
    "EveryWindow",
    "Frame",
    "GraphRefusedError",
    "InputError",
    "LibraryMissingError",
    "Manifest",
    "MissingEngineExtraError",
    "MissingExtraError",
    "Model",
    "OfflineWard",
    "OnlineSelection",
    "OutputError",
    "Preprocess",
    "RunError",
    "Scored",
    "Session",
    "SessionStats",
    "SourceError",
    "Uniform",
    "VljepaError",
    "WrongTargetError",
    "engine_names",
    "load",
    "open_engine",
    "open_source",
    "parse_policy",
    "read_clip",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
