"""ONNX and a recipe in, an engine out, with either library. Chooses nothing by itself; the cache lies elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vljepa_runtime.engines.trt.layers import Layer, parse_layers
from vljepa_runtime.engines.trt.library import Heard, Library
from vljepa_runtime.engines.trt.recipe import BuildRecipe, Profile
from vljepa_runtime.errors import GraphRefusedError, LibraryMissingError

__all__ = ["Built", "build_engine", "check_parser"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A finished engine.

    Attributes:
        engine: Serialised, as it goes into the cache.
        seconds: Time of parsing and building.
        layers: As the builder lists them; empty where a library lists none.
        timing_cache: What to hand to the next build on this machine; empty without one.
        warnings: The library's, each once.
    """

    engine: bytes
    seconds: float
    layers: tuple[Layer, ...]
    timing_cache: bytes
    warnings: tuple[str, ...]


def build_engine(
    library: Library,
    name: str,
    graph: bytes,
    recipe: BuildRecipe,
    *,
    timing_cache: bytes = b"",
    progress: Progress | None = None,
) -> Built:
    """Build one engine.

    Args:
        library: TensorRT, which needs the GPU that the engine is for, or TensorRT for RTX, which needs none.
        name: Of the graph, for messages.
        graph: The ONNX file.
        recipe: See `BuildRecipe`.
        timing_cache: From an earlier build on this machine.
        progress: Called with the builder's phase and how much of it is done, 0 .. 1.

    Raises:
        GraphRefusedError: the library refuses the graph or the recipe, in its own words.
    """
    started = time.monotonic()
    with library.listening() as heard:
        builder = _made(library, "a builder", lambda: library.module.Builder(library.logger), heard)
        network = builder.create_network(_network_flags(library, recipe))
        _parse(library, name, network, graph, heard)
        config = _config(library, builder, network, recipe)
        cache = _use_timing_cache(library, config, recipe, timing_cache)
        if progress is not None and hasattr(library.module, "IProgressMonitor"):
            config.progress_monitor = _monitor(library.module, progress)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise GraphRefusedError(f"{library.name} {library.version} cannot build {name}: {_words(heard)}")
        return Built(
            engine=bytes(plan),
            seconds=time.monotonic() - started,
            layers=parse_layers(heard.layers),
            timing_cache=b"" if cache is None else bytes(cache.serialize()),
            warnings=tuple(dict.fromkeys(heard.warnings)),
        )


def check_parser(library: Library, name: str, graph: bytes) -> None:
    """Let a library's parser read a graph, and build nothing.

    Raises:
        GraphRefusedError: it refuses the graph, in its own words.
    """
    with library.listening() as heard:
        builder = _made(library, "a builder", lambda: library.module.Builder(library.logger), heard)
        network = builder.create_network(
            1 << int(library.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        )
        _parse(library, name, network, graph, heard)


def _made(library: Library, what: str, make: Callable[[], Any], heard: Heard) -> Any:
    try:
        made = make()
    except (RuntimeError, TypeError) as error:  # pybind's word for a constructor that gave nothing
        made, reason = None, str(error)
    else:
        reason = ""
    if made is None:
        raise LibraryMissingError(
            f"{library.name} {library.version} cannot make {what} here: {_words(heard) or reason}"
        )
    return made


def _network_flags(library: Library, recipe: BuildRecipe) -> int:
    flags = library.module.NetworkDefinitionCreationFlag
    if recipe.strongly_typed:
        if not hasattr(flags, "STRONGLY_TYPED"):
            raise GraphRefusedError(
                f"{library.name} {library.version} has no strongly typed networks: use TensorRT 10 or later "
                "(JetPack 6.1), or export with strongly_typed=False"
            )
        return 1 << int(flags.STRONGLY_TYPED)
    return 1 << int(flags.EXPLICIT_BATCH) if hasattr(flags, "EXPLICIT_BATCH") else 0


def _parse(library: Library, name: str, network: Any, graph: bytes, heard: Heard) -> None:
    parser = library.module.OnnxParser(network, library.logger)
    if not parser.parse(graph):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        words = _parser_words(errors) or _words(heard)
        raise GraphRefusedError(f"the parser of {library.name} {library.version} refuses {name}: {words}")


def _parser_words(errors: Sequence[Any]) -> str:
    """Each failed assertion once, with the operators it failed at: alone it may be no more than `false`."""
    nodes = Counter(
        (error.desc().strip(), error.node_operator() if hasattr(error, "node_operator") else "")
        for error in errors
    )
    return "; ".join(
        f"{words} ({kind}, {count} node{'s' * (count > 1)})" if kind else words
        for (words, kind), count in nodes.items()
    )


def _config(library: Library, builder: Any, network: Any, recipe: BuildRecipe) -> Any:
    trt = library.module
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_mb << 20)
    config.builder_optimization_level = recipe.optimization_level
    for profile in recipe.profiles:
        config.add_optimization_profile(_profile(builder, network, profile))
    if library.portable and recipe.compute_capabilities:
        config.num_compute_capabilities = len(recipe.compute_capabilities)
        for index, capability in enumerate(recipe.compute_capabilities):
            config.set_compute_capability(_capability(library, capability), index)
    if not recipe.strongly_typed:
        _allow_and_pin(library, config, network, recipe)
    return config


def _capability(library: Library, name: str) -> Any:
    known = library.module.ComputeCapability.__members__
    if name not in known:
        raise GraphRefusedError(
            f"{library.name} {library.version} knows the compute capabilities {', '.join(known)}, not {name[:20]!r}: "
            "upgrade it, or export again"
        )
    return known[name]


def _profile(builder: Any, network: Any, profile: Profile) -> Any:
    made = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        name = network.get_input(index).name
        if name in profile:
            made.set_shape(name, profile[name].min, profile[name].opt, profile[name].max)
    return made


def _allow_and_pin(library: Library, config: Any, network: Any, recipe: BuildRecipe) -> None:
    """TensorRT before 10: lower precisions are allowed, and layers of pinned operators are held in float32."""
    trt = library.module
    flags = {"fp16": ("FP16",), "int8": ("FP16", "INT8")}.get(recipe.precision, ())
    if not all(hasattr(trt.BuilderFlag, flag) for flag in (*flags, "OBEY_PRECISION_CONSTRAINTS")):
        raise GraphRefusedError(
            f"{library.name} {library.version} takes only strongly typed networks: "
            "export with strongly_typed=True"
        )
    for flag in flags:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    kinds = {trt.LayerType.SOFTMAX, trt.LayerType.NORMALIZATION, trt.LayerType.REDUCE}
    for index in range(network.num_layers if recipe.pinned else 0):
        layer = network.get_layer(index)
        if layer.type in kinds:
            layer.precision = trt.float32


def _use_timing_cache(library: Library, config: Any, recipe: BuildRecipe, content: bytes) -> Any:
    # TensorRT for RTX times nothing before it meets the GPU, and a timing cache would make it look for one.
    if library.portable or not recipe.timing_cache:
        return None
    cache = config.create_timing_cache(content)
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _monitor(trt: Any, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Reports the phase that moved last."""

        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = max(1, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            progress(phase, min(1.0, (step + 1) / self.steps.get(phase, 1)))
            return True

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)

    return Monitor()


def _words(heard: Heard) -> str:
    return "; ".join(dict.fromkeys(heard.errors))[:2000] or "it gave no reason"
