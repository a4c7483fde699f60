"""An engine's bytes become a graph that runs: deserialised, compared with the manifest, given a context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines.protocol import check_loaded
from vljepa_runtime.engines.trt.cache import EngineCache, Machine, content_hash
from vljepa_runtime.engines.trt.cuda import Device
from vljepa_runtime.engines.trt.graph import TensorRTGraph, tensor_types
from vljepa_runtime.engines.trt.library import Library
from vljepa_runtime.engines.trt.recipe import read_recipe
from vljepa_runtime.errors import GraphRefusedError

__all__ = ["load_plan"]


def load_plan(
    library: Library,
    device: Device,
    bundle: Bundle,
    graph_name: str,
    plan: bytes,
    *,
    kernels: tuple[EngineCache, Machine] | None = None,
) -> TensorRTGraph:
    """Load one engine.

    Args:
        library: The one that built it.
        device: The GPU that it is loaded on.
        bundle: Whose contract it must obey.
        graph_name: Name in the bundle, for messages.
        plan: The engine's bytes.
        kernels: Where TensorRT for RTX keeps the kernels that it compiles for this GPU, and for which machine.

    Raises:
        GraphRefusedError: the library refuses the engine, in its own words.
        BundleError: the engine has other inputs or outputs than the manifest, or the graph has no recipe.
    """
    what, spec = f"{bundle.name}/{graph_name}", bundle.graph(graph_name)
    with library.listening() as heard:
        runtime = library.module.Runtime(library.logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            words = "; ".join(heard.errors) or "it gave no reason"
            raise GraphRefusedError(f"{library.name} {library.version} cannot load {what}: {words}")
        inputs, outputs = tensor_types(library, engine)
        check_loaded(what, spec, inputs=inputs, outputs=outputs, remedy="build it again")
        if kernels is None:
            context, save = engine.create_execution_context(), None
        else:
            cache, machine = kernels
            name = cache.extra("kernels", machine, content_hash(bundle, graph_name))
            context, save = _with_kernels(engine, cache, name)
    if context is None:
        raise GraphRefusedError(
            f"{library.name} {library.version} gives no context for {what}: is the GPU's memory full?"
        )
    return TensorRTGraph(
        graph_name,
        spec,
        read_recipe(bundle, graph_name),
        context,
        device,
        engine=library.name,
        held=(engine, runtime),
        after_first_run=save,
    )


def _with_kernels(engine: Any, cache: EngineCache, name: str) -> tuple[Any, Callable[[], None]]:
    """A context whose compiled kernels are kept in a file, so that only the first start on a GPU compiles them."""
    config = engine.create_runtime_config()
    kernels = config.create_runtime_cache()
    known = cache.read_extra(name)
    fresh = not known or not kernels.deserialize(known)  # another driver or GPU: compiled again
    config.set_runtime_cache(kernels)

    def save() -> None:
        if fresh:
            cache.write(name, bytes(kernels.serialize()))

    return engine.create_execution_context(config), save
