"""Every engine of a TensorRT bundle built on this machine: estimated first, cached, never built twice.

What `vljepa build` is a thin shell over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines.trt.builder import build_engine
from vljepa_runtime.engines.trt.cache import CachedEngine, EngineCache, Machine, content_hash
from vljepa_runtime.engines.trt.chips import require_chip
from vljepa_runtime.engines.trt.cuda import Cuda
from vljepa_runtime.engines.trt.estimate import BuildEstimate, estimate_build
from vljepa_runtime.engines.trt.layers import summary
from vljepa_runtime.engines.trt.library import Library
from vljepa_runtime.engines.trt.recipe import BuildRecipe, read_recipe
from vljepa_runtime.errors import EngineError, WrongTargetError
from vljepa_runtime.graphs.checking import checked_graph

__all__ = ["Step", "plan_builds", "require_buildable", "run_build", "to_do"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One graph to build.

    Attributes:
        graph: Name in the bundle.
        recipe: Precision, shapes and flags of the build.
        machine: The GPU with its driver and library; an engine runs on no other.
        content: Hash of the graph's files in the bundle, the recipe among them.
        graph_bytes: Size of the ONNX file.
        built: The engine that is there already; None when it has to be built.
        estimate: How long that will take.
    """

    graph: str
    recipe: BuildRecipe
    machine: Machine
    content: str
    graph_bytes: int
    built: CachedEngine | None
    estimate: BuildEstimate


def require_buildable(bundle: Bundle) -> None:
    """Refuse a bundle with nothing to build.

    Raises:
        WrongTargetError: the bundle is not made for TensorRT.
    """
    if bundle.manifest.target == "tensorrt-rtx":
        raise WrongTargetError(
            f"{bundle.name} holds finished engines of TensorRT for RTX: there is nothing to build, run it"
        )
    if bundle.manifest.target != "tensorrt":
        raise WrongTargetError(
            f"expected a bundle made for tensorrt, {bundle.name} is for {bundle.manifest.target}: "
            "export with --format tensorrt"
        )


def plan_builds(bundle: Bundle, library: Library, cache: EngineCache) -> tuple[Step, ...]:
    """Look at every graph of a bundle; nothing is built.

    Raises:
        DeviceMissingError: TensorRT finds no GPU, or TensorRT for RTX finds one that it does not run on.
        MissingEngineExtraError: cuda-bindings is not installed.
        BundleError: a graph has no recipe.
    """
    if library.portable:
        _require_chip_here(library)
    here = None if library.portable else Machine.here(library, Cuda())
    history = list(cache.entries())
    return tuple(_step(bundle, name, library, here, cache, history) for name in bundle.manifest.graphs)


def _require_chip_here(library: Library) -> None:
    """A machine without a GPU builds for others; one with a GPU builds for itself."""
    try:
        gpu = Cuda()
    except EngineError:
        return
    require_chip(library, gpu)


def to_do(steps: Sequence[Step], *, force: bool = False) -> tuple[Step, ...]:
    """The steps that are not built yet; all of them with `force`."""
    return tuple(step for step in steps if force or step.built is None)


def run_build(
    bundle: Bundle, step: Step, library: Library, cache: EngineCache, *, progress: Progress | None = None
) -> CachedEngine:
    """Build one engine and keep it.

    Raises:
        GraphRefusedError: the library refuses it, in its own words.
    """
    timings = cache.extra("timing", step.machine)
    built = build_engine(
        library,
        step.graph,
        bytes(checked_graph(bundle, step.graph).content),
        step.recipe,
        timing_cache=cache.read_extra(timings),
        progress=progress,
    )
    if built.timing_cache:
        cache.write(timings, built.timing_cache)
    return cache.put(
        built.engine,
        bundle=bundle.name,
        graph=step.graph,
        content=step.content,
        machine=step.machine,
        precision=step.recipe.precision,
        profiles=len(step.recipe.profiles),
        graph_bytes=step.graph_bytes,
        seconds=round(built.seconds, 2),
        layers=summary(built.layers) if built.layers else "",
    )


def _step(
    bundle: Bundle,
    name: str,
    library: Library,
    here: Machine | None,
    cache: EngineCache,
    history: list[CachedEngine],
) -> Step:
    recipe = read_recipe(bundle, name)
    machine = here or Machine.portable(library, recipe.compute_capabilities)
    content = content_hash(bundle, name)
    size = bundle.manifest.files[bundle.graph(name).file].size
    return Step(
        graph=name,
        recipe=recipe,
        machine=machine,
        content=content,
        graph_bytes=size,
        built=cache.find(machine, content),
        estimate=estimate_build(machine, size, len(recipe.profiles), history),
    )
