"""What the two TensorRT engines share: their library, the first GPU, and the cache of built engines."""

from __future__ import annotations

from pathlib import Path

from vljepa_runtime.engines.trt.cache import EngineCache, Machine
from vljepa_runtime.engines.trt.cuda import Cuda
from vljepa_runtime.engines.trt.library import load_library

__all__ = ["TrtEngine"]


class TrtEngine:
    """An opened library and GPU.

    Args:
        name: `tensorrt` or `tensorrt-rtx`.
        cache: Folder of built engines; None for the usual one.

    Raises:
        LibraryMissingError: TensorRT or a package of the engine's extra is not installed.
        DeviceMissingError: there is no GPU.
    """

    def __init__(self, name: str, cache: Path | None) -> None:
        self.name = name
        self._library = load_library(name)
        self._device = Cuda()
        self._machine = Machine.here(self._library, self._device)
        self._cache = EngineCache(cache)

    @property
    def detail(self) -> str:
        """GPU, driver and version."""
        return str(self._machine)
