"""TensorRT for RTX: the real engine, built ahead of time on any x86 machine, with or without a GPU.

Built, not run: the engine is finished on the GPU that it meets, and none was at hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from vljepa_export.errors import ExportError
from vljepa_export.parity import onnx_runner
from vljepa_export.targets.protocol import Converted, Feeds, TracedGraph, graph_spec
from vljepa_export.targets.typed_graph import (
    build_recipe,
    graph_bytes,
    token_budgets_of,
    type_graph,
)
from vljepa_quant import Precision
from vljepa_runtime.engines.trt import (
    PORTABLE,
    RECIPE_SUFFIX,
    Built,
    Layer,
    build_engine,
    load_library,
    summary,
)
from vljepa_runtime.errors import EngineError

__all__ = ["COMPUTE_CAPABILITIES", "convert"]

# The builder refuses fp8 for anything before Ada, and is not asked to guess; the rest is left portable.
COMPUTE_CAPABILITIES: Mapping[str, tuple[str, ...]] = {"fp8": ("SM89", "SM120")}
NAMED = 6  # layers named in a note; all of them are in the bundle


def convert(
    traced: TracedGraph,
    precision: Precision,
    *,
    samples: Sequence[Feeds],
    budgets: tuple[int, ...] = (),
    folder: Path,
) -> Converted:
    """See `Target`; nothing without a GPU runs the engine, the typed graph stands in for it."""
    contract, name = traced.contract, traced.contract.name
    library = load_library("tensorrt-rtx")
    typed = type_graph(traced.path, precision, samples)
    graph = graph_bytes(name, typed)
    budgets = token_budgets_of(contract, samples, budgets)
    capabilities = COMPUTE_CAPABILITIES.get(precision.name, ())
    recipe = build_recipe(
        contract, precision, budgets, ranged=True, timing_cache=False, compute_capabilities=capabilities
    )
    try:
        built = build_engine(library, name, graph, recipe)
    except EngineError as error:
        raise ExportError(str(error)) from error
    files = {
        f"{name}.engine": built.engine,
        f"{name}{RECIPE_SUFFIX}": recipe.to_json(),
        f"{name}.layers.json": _layers_json(built.layers),
    }
    source = folder / f"{name}.onnx"
    for file, content in {**files, source.name: graph}.items():
        (folder / file).write_bytes(content)
    engine, *beside = files
    return Converted(
        spec=graph_spec(contract, engine, external=tuple(beside), token_budgets=budgets),
        files={file: folder / file for file in files},
        open=partial(onnx_runner, source),
        runs_here=False,
        notes=(
            _target_note(library.version, capabilities),
            *_layer_notes(built, precision),
            *typed.notes,
        ),
        precision=precision,
        nodes=len(typed.model.graph.node),
        built_from=source,
    )


def _target_note(version: str, capabilities: Sequence[str]) -> str:
    compute = ", ".join(capabilities) or PORTABLE
    return f"built by TensorRT for RTX {version} for compute capability {compute}; the GPU that runs it finishes it"


def _layer_notes(built: Built, precision: Precision) -> tuple[str, ...]:
    """What the engine computes in; layers that fell back to fp32 by name."""
    notes = [summary(built.layers)]
    if precision.execution != "f32":
        fell = [layer.name for layer in built.layers if layer.is_product and layer.is_float32]
        notes.append(f"products that fell back to fp32: {_some(fell)}")
        rest = [layer.name for layer in built.layers if not layer.is_product and layer.is_float32]
        notes.append(f"other layers wholly in fp32: {_some(rest)}")
    return tuple(notes)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}" if names else "none"


def _layers_json(layers: Sequence[Layer]) -> bytes:
    return (json.dumps([asdict(layer) for layer in layers], indent=1) + "\n").encode()
