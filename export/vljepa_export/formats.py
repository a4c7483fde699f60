"""The formats a checkpoint can be exported to: the one table behind the command, the documentation and compare.

Plain data: reading it imports no engine, no converter and no torch. A new format is an entry here and its module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vljepa_export.errors import ExportError
from vljepa_quant import Precision, precisions_of
from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.suggestions import did_you_mean

if TYPE_CHECKING:
    from vljepa_export.targets.protocol import Target

__all__ = ["FORMATS", "Format", "find_format", "load_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One row.

    Attributes:
        name: As in `--format` and as `target` in a bundle's manifest.
        aliases: Other words for it.
        suffix: Of a graph's file in the bundle.
        builds_on: Where the bundle can be written.
        runs_on: What can run it.
        engines: Engines of the runtime that load it, the usual one first.
        streamed: False where a checkpoint of any size is measured end to end, and has to fit into memory for that.
        fuses_attention: True where attention over many tokens can be one node of a graph.
        free_shapes: True where batch, tokens and text may have any size; otherwise token budgets are built.
        module: The converter, `vljepa_export.targets.protocol.Target`.
        built_on_device: True where a bundle holds what `vljepa build` makes engines of on the device that runs them.
        needs: Package to import and the extra that brings it, beyond what every export needs.
    """

    name: str
    aliases: tuple[str, ...] = ()
    suffix: str
    builds_on: str
    runs_on: str
    engines: tuple[str, ...]
    free_shapes: bool
    streamed: bool = False
    fuses_attention: bool = False
    built_on_device: bool = False
    module: str
    needs: tuple[tuple[str, str], ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """Packages whose versions a bundle records."""
        return tuple(package for package, _ in self.needs)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Accepted by `--precision`, the default first."""
        return tuple(precisions_of(self.name))

    def precision(self, name: str) -> Precision:
        """A precision by its name.

        Raises:
            ExportError: the format has no such precision.
        """
        rows = precisions_of(self.name)
        if name not in rows:
            hint = did_you_mean(name, rows, lead=": ") or f": choose from {', '.join(rows)}"
            raise ExportError(f"there is no precision {name!r} for {self.name}{hint}")
        return rows[name]


FORMATS: Mapping[str, Format] = {
    row.name: row
    for row in (
        Format(
            name="onnx",
            aliases=("ort", "onnxruntime"),
            suffix=".onnx",
            builds_on="any machine",
            runs_on="CPUs and, through ONNX Runtime's providers, GPUs",
            engines=("onnxruntime", "openvino"),
            free_shapes=True,
            streamed=True,
            fuses_attention=True,
            module="vljepa_export.targets.onnx",
        ),
        Format(
            name="openvino",
            aliases=("ov", "ir"),
            suffix=".xml",
            builds_on="any machine",
            runs_on="x86 and ARM CPUs, Intel GPUs and NPUs",
            engines=("openvino",),
            free_shapes=True,
            streamed=True,
            module="vljepa_export.targets.openvino",
            needs=(("openvino", "openvino-export"), ("nncf", "openvino-export")),
        ),
        Format(
            name="tensorrt",
            aliases=("trt", "engine"),
            suffix=".onnx",
            builds_on="any machine; the engine itself where it runs, by `vljepa build`",
            runs_on="Jetson and discrete NVIDIA GPUs",
            engines=("tensorrt", "tensorrt-rtx"),
            free_shapes=False,
            streamed=True,
            built_on_device=True,
            module="vljepa_export.targets.tensorrt",
        ),
        Format(
            name="tensorrt-rtx",
            aliases=("rtx", "trt-rtx"),
            suffix=".engine",
            builds_on="Linux and Windows on x86, without a GPU",
            runs_on="NVIDIA RTX GPUs",
            engines=("tensorrt-rtx",),
            free_shapes=False,
            streamed=True,
            module="vljepa_export.targets.tensorrt_rtx",
            needs=(("tensorrt_rtx", "tensorrt-rtx"),),
        ),
        Format(
            name="coreml",
            aliases=("mlpackage", "mlprogram"),
            suffix=".mlpackage",
            builds_on="macOS and Linux on x86",
            runs_on="macOS and iOS: CPU, GPU and Neural Engine",
            engines=("coreml",),
            free_shapes=False,
            module="vljepa_export.targets.coreml",
            needs=(("coremltools", "coreml"),),
        ),
    )
}


def find_format(name: str) -> Format:
    """A row by its name or one of its aliases.

    Raises:
        ExportError: there is none.
    """
    known = {alias: row for row in FORMATS.values() for alias in (row.name, *row.aliases)}
    if name in known:
        return known[name]
    raise ExportError(
        f"expected format {' | '.join(FORMATS)}, got {name!r}{did_you_mean(name, known, lead=': ')}"
    )


def load_target(row: Format) -> Target:
    """Import the converter of a format.

    Raises:
        MissingExtraError: a library that it needs is not installed.
        ExportError: this version has no such converter.
    """
    for package, extra in row.needs:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
    try:
        module: Target = import_module(row.module)
    except ModuleNotFoundError as error:
        if error.name != row.module:
            raise
        raise ExportError(
            f"this version cannot write {row.name} bundles, {row.module} is not part of it: upgrade vljepa-edge, "
            f"or choose one of {', '.join(other for other in FORMATS if other != row.name)}"
        ) from error
    return module
