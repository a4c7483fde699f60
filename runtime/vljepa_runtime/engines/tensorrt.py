"""TensorRT on a Jetson or a discrete GPU, with engines that `vljepa build` made on this very machine.

Built, not run: no GPU was at hand.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines.protocol import Graph, require_target
from vljepa_runtime.engines.trt.cache import content_hash
from vljepa_runtime.engines.trt.cuda import bindings_installed
from vljepa_runtime.engines.trt.engine import TrtEngine
from vljepa_runtime.engines.trt.loading import load_plan

__all__ = ["TensorRtEngine", "available_devices"]

TARGET = "tensorrt"


def available_devices() -> tuple[str, ...]:
    """The one unnamed device where the libraries are installed; the GPU may still be missing."""
    return ("",) if find_spec("tensorrt") is not None and bindings_installed() else ()


class TensorRtEngine(TrtEngine):
    """Loads engines from the cache of this machine; builds none.

    Args:
        device: Not used: the first GPU.
        threads: Not used: the GPU computes.
        cache: Folder of built engines; None for the usual one.

    Raises:
        LibraryMissingError: TensorRT or cuda-bindings is not installed.
        DeviceMissingError: there is no GPU.
    """

    def __init__(self, device: str = "", *, threads: int | None = None, cache: Path | None = None) -> None:
        super().__init__(TARGET, cache)

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`."""
        bundle.graph(graph_name)
        require_target(self.name, bundle, TARGET)
        content = content_hash(bundle, graph_name)
        entry = self._cache.require(self._machine, content, bundle=bundle, graph=graph_name)
        return load_plan(self._library, self._device, bundle, graph_name, self._cache.read(entry))
