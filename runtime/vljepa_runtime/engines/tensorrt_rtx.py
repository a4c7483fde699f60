"""TensorRT for RTX on a laptop's or a workstation's GPU, with engines that were built ahead of time.

An engine is finished on the GPU that it meets: kernels are compiled at the first run and kept in the cache folder.
Built, not run: no GPU was at hand.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines.protocol import Graph, require_target
from vljepa_runtime.engines.trt.cache import Machine, content_hash
from vljepa_runtime.engines.trt.chips import require_chip
from vljepa_runtime.engines.trt.cuda import bindings_installed
from vljepa_runtime.engines.trt.engine import TrtEngine
from vljepa_runtime.engines.trt.library import Library
from vljepa_runtime.engines.trt.loading import load_plan
from vljepa_runtime.engines.trt.recipe import read_recipe
from vljepa_runtime.errors import GraphRefusedError

__all__ = ["TensorRtRtxEngine", "available_devices"]

TARGETS = ("tensorrt-rtx", "tensorrt")  # of the latter, engines that `vljepa build` made


def available_devices() -> tuple[str, ...]:
    """The one unnamed device where the libraries are installed; the GPU may still be missing."""
    return ("",) if find_spec("tensorrt_rtx") is not None and bindings_installed() else ()


class TensorRtRtxEngine(TrtEngine):
    """Loads engines that lie in a bundle, or that `vljepa build --engine tensorrt-rtx` made of a TensorRT bundle.

    Args:
        device: Not used: the first GPU.
        threads: Not used: the GPU computes.
        cache: Folder of built engines and compiled kernels; None for the usual one.

    Raises:
        MissingEngineExtraError: the library or cuda-bindings is not installed.
        DeviceMissingError: there is no GPU, or it is none of those that the library is for.
    """

    def __init__(self, device: str = "", *, threads: int | None = None, cache: Path | None = None) -> None:
        super().__init__(TARGETS[0], cache)
        require_chip(self._library, self._device)

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`."""
        plan = self._plan(bundle, graph_name)
        require_valid(self._library, f"{bundle.name}/{graph_name}", plan)
        kernels = (self._cache, self._machine)
        return load_plan(self._library, self._device, bundle, graph_name, plan, kernels=kernels)

    def _plan(self, bundle: Bundle, graph_name: str) -> bytes:
        spec = bundle.graph(graph_name)
        require_target(self.name, bundle, *TARGETS)
        if bundle.manifest.target == TARGETS[0]:
            return bundle.read(spec.file)
        recipe = read_recipe(bundle, graph_name)
        machine = Machine.portable(self._library, recipe.compute_capabilities)
        content = content_hash(bundle, graph_name)
        return self._cache.read(self._cache.require(machine, content, bundle=bundle, graph=graph_name))


def require_valid(library: Library, what: str, plan: bytes) -> None:
    """Ask the library whether it can run an engine here, before the whole of it is loaded.

    Raises:
        GraphRefusedError: it cannot; with the library's diagnosis.
    """
    module = library.module
    validity, diagnosis = module.Runtime(library.logger).get_engine_validity(plan)
    if validity != module.EngineValidity.INVALID:
        return
    members = module.EngineInvalidityDiagnostics.__members__
    reasons = [name.lower().replace("_", " ") for name, flag in members.items() if diagnosis & int(flag)]
    raise GraphRefusedError(
        f"{library.name} {library.version} cannot run {what} here ({', '.join(reasons) or 'it gave no reason'}): "
        "check the driver, or export again with this version of the library"
    )
