"""Checkpoint in, bundle out: every graph exported, made small and compared with torch before anything is written.

from vljepa_export import export_bundle
report = export_bundle("tiny", "tiny.vljepa", precision="int8")
"""

from __future__ import annotations

from vljepa_export.bundle_export import ExportReport, GraphReport, export_bundle
from vljepa_export.errors import ExportError, GraphContractError, ParityError

__all__ = ["ExportError", "ExportReport", "GraphContractError", "GraphReport", "ParityError", "export_bundle"]
