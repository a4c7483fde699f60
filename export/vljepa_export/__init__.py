"""Checkpoint in, bundle out: every graph exported, made small and compared with torch before anything is written.

    from vljepa_export import export_bundle
    report = export_bundle("tiny", "tiny.vljepa", format="openvino", precision="int8")

Names are imported when they are first used: the table of formats costs no torch and no onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vljepa_export.bundle_export import export_bundle as export_bundle
    from vljepa_export.errors import ExportError as ExportError
    from vljepa_export.errors import GraphContractError as GraphContractError
    from vljepa_export.errors import ParityError as ParityError
    from vljepa_export.export_report import ExportReport as ExportReport
    from vljepa_export.export_report import GraphReport as GraphReport
    from vljepa_export.formats import FORMATS as FORMATS

_HOMES = {
    "FORMATS": "formats",
    "ExportError": "errors",
    "ExportReport": "export_report",
    "GraphContractError": "errors",
    "GraphReport": "export_report",
    "ParityError": "errors",
    "export_bundle": "bundle_export",
}

__all__ = [
    "FORMATS",
    "ExportError",
    "ExportReport",
    "GraphContractError",
    "GraphReport",
    "ParityError",
    "export_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
