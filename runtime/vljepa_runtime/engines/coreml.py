"""Core ML's own runtime on macOS, through coremltools, on chosen compute units. Built, not run: see docs/devices.md.

coremltools and not pyobjc: it is what checked the package when it was written, and it tells where operations would run.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines.coreml_tools import coremltools, quiet
from vljepa_runtime.engines.fixed_shapes import FixedFunction, FixedGraph, Slot
from vljepa_runtime.engines.graph_files import unpack
from vljepa_runtime.engines.protocol import Array, Graph, require_target
from vljepa_runtime.errors import (
    DeviceMissingError,
    GraphRefusedError,
    MissingEngineExtraError,
    RunError,
)
from vljepa_runtime.graphs.checking import checked_graph

__all__ = ["COMPUTE_UNITS", "CoreMlEngine", "available_devices", "package_functions", "unpack_package"]

# Device name -> coremltools' name of the compute units, the default first.
COMPUTE_UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ane": "CPU_AND_NE"}
# Devices that may be left unused in silence -> the class that a compute plan shows for them.
_PLAN_CLASSES = {"gpu": "MLGPUComputeDevice", "ane": "MLNeuralEngineComputeDevice"}
_TYPES = {65568: "float32", 65552: "float16", 131104: "int32"}  # FeatureTypes.proto, ArrayFeatureType


def available_devices() -> tuple[str, ...]:
    """Compute units that can be asked for here: all of them on a Mac with coremltools, else none."""
    if sys.platform != "darwin" or find_spec("coremltools") is None:
        return ()
    return tuple(COMPUTE_UNITS)


class CoreMlEngine:
    """Loads `.mlpackage` graphs on one choice of compute units.

    Args:
        device: A key of `COMPUTE_UNITS`; empty for `all`.
        threads: Not used: Core ML chooses.

    Raises:
        DeviceMissingError: this is not a Mac.
        MissingEngineExtraError: coremltools is not installed.
    """

    def __init__(self, device: str = "all", *, threads: int | None = None) -> None:
        self._device = device or "all"
        self.name = f"coreml:{self._device}"
        if sys.platform != "darwin":
            raise DeviceMissingError(
                f"{self.name}: Core ML runs on macOS, this is {sys.platform}: take the bundle to a Mac, export with "
                "--format onnx for this machine, or pass allow_fallback=True (--allow-fallback)"
            )
        if find_spec("coremltools") is None:
            raise MissingEngineExtraError("coremltools", "coreml")

    @property
    def detail(self) -> str:
        """The system's version, on which Core ML's depends, and the compute units."""
        return f"Core ML of macOS {platform.mac_ver()[0]}, compute units {COMPUTE_UNITS[self._device]}"

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`."""
        spec = bundle.graph(graph_name)
        require_target(self.name, bundle, "coreml")
        program = _MacProgram(bundle, graph_name, self._device)
        return FixedGraph(graph_name, spec, program, engine=self.name)


def unpack_package(bundle: Bundle, graph_name: str, folder: Path) -> Path:
    """Write a graph's package into a folder of our own: what the bundle lists, hashed, and nothing that lies beside it.

    Returns:
        The `.mlpackage` folder.

    Raises:
        BundleError: the files are not one package, or it refers to something else.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_runtime import Bundle
        >>> from vljepa_runtime.engines import unpack_package
        >>> with Bundle.open("tiny") as bundle:  # whose graphs are ONNX files
        ...     folder = unpack_package(bundle, "y_decoder_step", Path("unpacked"))
        >>> sorted(path.name for path in folder.iterdir())
        ['y_decoder.weights', 'y_decoder_step.onnx']
    """
    checked_graph(bundle, graph_name)
    return unpack(bundle, bundle.graph(graph_name), folder).parent


class _MacProgram:
    """A package in Core ML; each function is a model of its own, loaded when it is first wanted."""

    def __init__(self, bundle: Bundle, graph_name: str, device: str) -> None:
        self._what, self._device = f"{bundle.name}/{graph_name}", device
        self._lock = threading.Lock()  # Core ML promises nothing about predictions from several threads
        self._folder = tempfile.TemporaryDirectory(prefix="vljepa-")
        self._package = unpack_package(bundle, graph_name, Path(self._folder.name))
        description = coremltools().models.utils.load_spec(str(self._package)).description
        self.functions = package_functions(description)
        self._several = bool(description.functions)
        self._models: dict[str, Any] = {}
        # One is loaded now: a package that this system refuses should say so before the first frame.
        first = description.defaultFunctionName or "main"
        self.placement = self._checked_placement(self._model(first))

    def predict(self, function: str, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """See `FixedProgram.predict`."""
        with self._lock:
            model = self._model(function)
            try:
                result: Mapping[str, Array] = model.predict(dict(feeds))
            except Exception as error:  # the bindings raise bare RuntimeError and Exception
                raise RunError(f"{self._what} failed in Core ML: {error}") from error
        return result

    def _model(self, function: str) -> Any:
        if function not in self._models:
            self._models[function] = self._load(function if self._several else None)
        return self._models[function]

    def _load(self, function: str | None) -> Any:
        ct = coremltools()
        units = getattr(ct.ComputeUnit, COMPUTE_UNITS[self._device])
        try:
            with quiet():
                return ct.models.MLModel(str(self._package), compute_units=units, function_name=function)
        except Exception as error:  # as above
            raise GraphRefusedError(
                f"Core ML refused {self._what}: {error}: check that this macOS is as new as the bundle's target"
            ) from error

    def _checked_placement(self, model: Any) -> Mapping[str, int]:
        """How many operations Core ML plans per device; empty before macOS 14.4, which cannot tell.

        Raises:
            GraphRefusedError: none on the device that was asked for.
        """
        try:
            plans = coremltools("models.compute_plan")
            units = getattr(coremltools().ComputeUnit, COMPUTE_UNITS[self._device])
            plan = plans.MLComputePlan.load_from_path(model.get_compiled_model_path(), units)
            functions = plan.model_structure.program.functions.values()
        except Exception:  # an older macOS or coremltools: placement stays unknown, and is shown as such
            return {}
        counts: Counter[str] = Counter()
        for operation in (item for each in functions for item in each.block.operations):
            usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
            if usage is not None:
                counts[type(usage.preferred_compute_device).__name__] += 1
        wanted = _PLAN_CLASSES.get(self._device)
        if wanted and counts and not counts[wanted]:
            raise GraphRefusedError(
                f"{self._what}: Core ML would run no operation on {self._device}, but {dict(counts)}: "
                "choose coreml:all, or pass allow_fallback=True (--allow-fallback)"
            )
        return dict(counts)


def package_functions(description: Any) -> dict[str, FixedFunction]:
    """The functions of a model description; a package with one function calls it `main`."""
    if not description.functions:
        return {"main": _function(description)}
    return {item.name: _function(item) for item in description.functions}


def _function(description: Any) -> FixedFunction:
    kinds = ((item.name, item.type.multiArrayType) for item in description.input)
    slots = {name: Slot(_TYPES.get(kind.dataType, "unknown"), tuple(kind.shape)) for name, kind in kinds}
    return FixedFunction(slots, tuple(item.name for item in description.output))
