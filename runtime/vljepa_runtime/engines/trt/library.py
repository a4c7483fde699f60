"""`tensorrt` or `tensorrt_rtx`, imported when first asked for, and its one logger.

Both keep the first logger of a process for good, so there is one for each library; what it hears goes to whoever
listens at the moment.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from vljepa_runtime.errors import LibraryMissingError, MissingEngineExtraError

__all__ = ["LIBRARIES", "Heard", "Library", "load_library"]

LIBRARIES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


@dataclass
class Heard:
    """What a library said while somebody listened."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    layers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One of the two libraries.

    Attributes:
        name: `tensorrt` or `tensorrt-rtx`.
        module: The imported module.
        version: Its version.
        logger: Given to every builder, parser and runtime.
    """

    name: str
    module: Any
    version: str
    logger: Any

    @property
    def portable(self) -> bool:
        """Whether an engine is built for many GPUs and finished on the one it meets (TensorRT for RTX)."""
        return self.name == "tensorrt-rtx"

    @contextmanager
    def listening(self) -> Iterator[Heard]:
        """Collect errors, warnings and the list of layers until the block ends."""
        heard = Heard()
        self.logger.listeners.append(heard)
        try:
            yield heard
        finally:
            self.logger.listeners.remove(heard)


@cache
def load_library(name: str) -> Library:
    """Import a library.

    Args:
        name: A key of `LIBRARIES`.

    Raises:
        MissingEngineExtraError: TensorRT for RTX is not installed.
        LibraryMissingError: TensorRT is not installed, or a library does not load.
    """
    try:
        module = importlib.import_module(LIBRARIES[name])
    except ModuleNotFoundError as error:
        if name == "tensorrt-rtx":
            raise MissingEngineExtraError("tensorrt-rtx", "tensorrt-rtx") from error
        raise LibraryMissingError(
            "tensorrt is not installed: on a Jetson it comes with JetPack (apt install python3-libnvinfer), elsewhere "
            "run  pip install tensorrt"
        ) from error
    except (ImportError, OSError) as error:  # a shared library of the driver or of CUDA is missing
        raise LibraryMissingError(
            f"{name} is installed but does not load: {error}: check the driver and CUDA"
        ) from error
    return Library(name=name, module=module, version=str(module.__version__), logger=_logger(module))


def _logger(module: Any) -> Any:
    severity = module.ILogger.Severity

    class Logger(module.ILogger):  # type: ignore[misc]
        """Hands messages to the listeners; silent without one."""

        def __init__(self) -> None:
            super().__init__()
            self.listeners: list[Heard] = []

        def log(self, level: Any, message: str) -> None:
            for heard in self.listeners:
                if level in (severity.INTERNAL_ERROR, severity.ERROR):
                    heard.errors.append(message.strip())
                elif level == severity.WARNING:
                    heard.warnings.append(message.strip())
                elif "LayerType: " in message:
                    heard.layers += message

    return Logger()
