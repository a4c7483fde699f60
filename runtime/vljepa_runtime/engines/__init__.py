"""Engines by name: `auto`, or `FAMILY[:DEVICE]`. Adding one is a file beside this and an entry below."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from vljepa_runtime.engines.onnxruntime import PROVIDERS, OnnxRuntimeEngine, available_devices
from vljepa_runtime.engines.protocol import Engine, Graph, check_feeds
from vljepa_runtime.errors import EngineError, InputError

__all__ = ["Engine", "Graph", "available_engines", "check_feeds", "engine_names", "open_engine"]

# Family -> (devices, the default first; those usable here; how to open one).
_Opener = Callable[[str, "int | None"], Engine]
_FAMILIES: dict[str, tuple[tuple[str, ...], Callable[[], tuple[str, ...]], _Opener]] = {
    "onnxruntime": (
        tuple(PROVIDERS),
        available_devices,
        lambda device, threads: OnnxRuntimeEngine(device, threads=threads),
    ),
}
# What `auto` tries, in this order. TensorRT builds for minutes and Core ML's provider is
# reported slower than the CPU on a ViT, so both run only when named.
_AUTO = ("onnxruntime:cuda", "onnxruntime:cpu")


def engine_names() -> tuple[str, ...]:
    """Every name that `open_engine` knows, besides `auto`."""
    return tuple(f"{family}:{device}" for family, (devices, _, _) in _FAMILIES.items() for device in devices)


def available_engines() -> tuple[str, ...]:
    """The names whose libraries are installed here; a device may still fail to start."""
    return tuple(
        f"{family}:{device}" for family, (_, present, _) in _FAMILIES.items() for device in present()
    )


def open_engine(name: str = "auto", *, allow_fallback: bool = False, threads: int | None = None) -> Engine:
    """Open an engine.

    Args:
        name: `auto` or `FAMILY[:DEVICE]`, for example `onnxruntime:cuda`.
        allow_fallback: Take the best other engine when the named one is not available.
        threads: Threads on a CPU; None lets the engine choose.

    Returns:
        The engine; its `name` is what really runs.

    Raises:
        InputError: no engine has that name, or `threads` is below 1.
        EngineError: the engine is not available here.
    """
    if threads is not None and threads < 1:
        raise InputError(f"expected threads of at least 1, got {threads}")
    if name == "auto":
        return _best(threads)
    family, device = _split(name)
    try:
        return _FAMILIES[family][2](device, threads)
    except EngineError:
        if not allow_fallback:
            raise
        return _best(threads)


def _best(threads: int | None) -> Engine:
    present = available_engines()
    failures = []
    for name in _AUTO:
        if name in present:
            family, device = _split(name)
            try:
                return _FAMILIES[family][2](device, threads)
            except EngineError as error:
                failures.append(str(error))
    raise EngineError(
        f"no engine starts here ({'; '.join(failures) or 'none is installed'}): reinstall onnxruntime"
    )


def _split(name: str) -> tuple[str, str]:
    family, colon, device = name.partition(":")
    if family in _FAMILIES:
        devices = _FAMILIES[family][0]
        if not colon:
            return family, devices[0]
        if device in devices:
            return family, device
    known = ("auto", *_FAMILIES, *engine_names())
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(f"no engine is called {name!r}: {hint}known: auto, {', '.join(engine_names())}")
