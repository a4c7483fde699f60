"""Engines by name: `auto`, `FAMILY[:DEVICE]`, or a word such as `cuda`. One more is a file beside this and a row below.

An engine's module is imported when the engine is named, and its library when it is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from vljepa_runtime.arguments import choice, whole
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines.protocol import Detailed, Engine, Graph
from vljepa_runtime.errors import (
    DeviceMissingError,
    EngineError,
    InputError,
    LibraryMissingError,
)
from vljepa_runtime.suggestions import did_you_mean
from vljepa_runtime.targets import TARGETS

__all__ = [
    "Family",
    "available_engines",
    "engine_names",
    "families",
    "open_engine",
]

MOST_THREADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of engine.

    Attributes:
        name: The part of an engine's name before the colon.
        module: In this package; it has `available_devices() -> tuple[str, ...]` and the class.
        opens: Name of the class: `(device, *, threads)` gives an `Engine`.
        devices: The default first; one empty name where there is nothing to choose.
        targets: Bundles that it loads, as `Manifest.target` says.
        aliases: What people say instead, and the device that it means. Of several families with one word, the first
            that loads the bundle is meant.
    """

    name: str
    module: str
    opens: str
    devices: tuple[str, ...] = ("",)
    targets: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """`FAMILY:DEVICE` each, or `FAMILY` alone."""
        return tuple(f"{self.name}:{device}" if device else self.name for device in self.devices)

    def available_devices(self) -> tuple[str, ...]:
        """Devices whose library is installed here; one may still fail to start."""
        try:
            found: tuple[str, ...] = self._module().available_devices()
        except EngineError:
            return ()
        return found

    def open(self, device: str, *, threads: int | None) -> Engine:
        """Start a device.

        Raises:
            DeviceMissingError: it is not there.
            LibraryMissingError: its library is not installed, or this version has no such engine.
        """
        engine: Engine = getattr(self._module(), self.opens)(device or self.devices[0], threads=threads)
        return engine

    def _module(self) -> Any:
        name = f"vljepa_runtime.engines.{self.module}"
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise LibraryMissingError(
                f"{self.name}: this version has no such engine: upgrade vljepa-edge"
            ) from error


_FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="onnxruntime",
            module="onnxruntime",
            opens="OnnxRuntimeEngine",
            devices=("cpu", "cuda", "cuda-graph", "tensorrt", "nvtensorrtrtx", "coreml"),
            targets=("onnx",),
            aliases={"cpu": "cpu", "ort": "cpu", "cuda": "cuda", "gpu": "cuda"},
        ),
        Family(
            name="openvino",
            module="openvino",
            opens="OpenVinoEngine",
            devices=("cpu", "gpu", "npu"),
            targets=("openvino", "onnx"),
            aliases={"cpu": "cpu", "ov": "cpu", "gpu": "gpu", "npu": "npu"},
        ),
        Family(
            name="tensorrt",
            module="tensorrt",
            opens="TensorRtEngine",
            targets=("tensorrt",),
            aliases={"trt": "", "cuda": "", "gpu": ""},
        ),
        Family(
            name="tensorrt-rtx",
            module="tensorrt_rtx",
            opens="TensorRtRtxEngine",
            targets=("tensorrt-rtx", "tensorrt"),
            aliases={"rtx": "", "trt-rtx": "", "cuda": "", "gpu": ""},
        ),
        Family(
            name="coreml",
            module="coreml",
            opens="CoreMlEngine",
            devices=("all", "cpu", "gpu", "ane"),
            targets=("coreml",),
            aliases={"cpu": "cpu", "gpu": "gpu", "ane": "ane"},
        ),
    )
}


@dataclass(frozen=True, slots=True)
class _Fallback:
    """An engine that runs instead of another, and says so."""

    engine: Engine
    reason: str

    @property
    def name(self) -> str:
        """What really runs."""
        return self.engine.name

    @property
    def detail(self) -> str:
        """What really runs, and why."""
        own = f"{self.engine.detail}; " if isinstance(self.engine, Detailed) else ""
        return f"{own}a fall-back: {self.reason}"

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`."""
        return self.engine.load(bundle, graph_name)


def families() -> tuple[Family, ...]:
    """All kinds of engines."""
    return tuple(_FAMILIES.values())


def engine_names() -> tuple[str, ...]:
    """Every name that `open_engine` knows, besides `auto`.

    Examples:
        >>> import vljepa_runtime as vj
        >>> vj.engine_names()
        ('onnxruntime:cpu', 'onnxruntime:cuda', ..., 'openvino:cpu', ..., 'tensorrt', ...)
    """
    return tuple(name for family in _FAMILIES.values() for name in family.names)


def available_engines() -> tuple[str, ...]:
    """The names whose libraries are installed here; a device may still fail to start."""
    return tuple(
        f"{family.name}:{device}" if device else family.name
        for family in _FAMILIES.values()
        for device in family.available_devices()
    )


def open_engine(
    name: str = "auto",
    *,
    allow_fallback: bool = False,
    threads: int | None = None,
    target: str = "onnx",
    made_for: str = "",
) -> Engine:
    """Open an engine.

    Args:
        name: `auto`, `FAMILY[:DEVICE]` such as `onnxruntime:cuda`, or a word for one that loads the bundle: `cpu`,
            `cuda`, `gpu`, `npu`, `trt` and others (`Family.aliases`).
        allow_fallback: Take the best other engine when the named one is not available; `describe` then says so.
        threads: Threads on a CPU; None lets the engine choose.
        target: What the bundle to be loaded is made for, which decides what `auto` and a fall-back may be.
        made_for: Its device, `cpu` or `gpu`, where it is fast on one alone: `auto` and a fall-back try that first.

    Returns:
        The engine; its `name` is what really runs.

    Raises:
        InputError: no engine has that name, or `threads` is below 1.
        DeviceMissingError: the engine is not available here.
        LibraryMissingError: the engine's library is not installed.

    Examples:
        >>> import vljepa_runtime as vj
        >>> vj.open_engine("onnxruntime:cpu").name, vj.open_engine("cpu").name
        ('onnxruntime:cpu', 'onnxruntime:cpu')
        >>> vj.open_engine("tensort")
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: no engine is called 'tensort': did you mean 'tensorrt'? known: ...
    """
    if threads is not None:
        threads = whole(threads, "threads", least=1, most=MOST_THREADS)
    if not isinstance(name, str):
        raise InputError(
            f"expected an engine's name as text, got {name!r}: known: auto, {', '.join(engine_names())}"
        )
    choice(target, "target", TARGETS)
    if name == "auto":
        return _best(target, threads, made_for)
    family, device = _split(name, target)
    try:
        return family.open(device, threads=threads)
    except EngineError as error:
        if not allow_fallback:
            raise
        reason = str(error).partition(", or pass allow_fallback")[0]
        return _Fallback(_best(target, threads, made_for), f"{name} was asked for and is not here ({reason})")


def _best(target: str, threads: int | None, made_for: str) -> Engine:
    failures: list[EngineError] = []
    # What is made for CPUs runs there also where a GPU is; anything else tries the GPU first.
    for name in sorted(
        TARGETS[target].engines, key=lambda name: made_for == "cpu" and not name.endswith(":cpu")
    ):
        family, device = _split(name, target)
        try:
            if target == "onnx" and device not in family.available_devices():
                continue
            return family.open(device, threads=threads)
        except EngineError as error:
            failures.append(error)
    missing = all(isinstance(failure, LibraryMissingError) for failure in failures)
    kind = LibraryMissingError if missing else DeviceMissingError
    reasons = "; ".join(map(str, failures)) or "none is installed"
    raise kind(
        f"no engine for {target} bundles starts here ({reasons}): "
        "install one, or export the checkpoint for a target that runs here"
    )


def _split(name: str, target: str) -> tuple[Family, str]:
    word, colon, device = name.partition(":")
    if word in _FAMILIES:
        family = _FAMILIES[word]
        if not colon:
            return family, family.devices[0]
        if device and device in family.devices:
            return family, device
    called = [family for family in _FAMILIES.values() if name in family.aliases]
    if called:
        family = next((family for family in called if target in family.targets), called[0])
        return family, family.aliases[name] or family.devices[0]
    aliases = dict.fromkeys(alias for family in _FAMILIES.values() for alias in family.aliases)
    known = ("auto", *aliases, *_FAMILIES, *engine_names())
    hint = did_you_mean(name.lower(), known, lead=" ")
    raise InputError(f"no engine is called {name!r}:{hint} known: auto, {', '.join(engine_names())}")
