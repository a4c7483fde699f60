"""TensorRT: the bundle carries typed ONNX and a build recipe; `vljepa build` makes the engines where they run.

Built, not run: TensorRT itself was not at hand; the parser of TensorRT for RTX, its relative, reads each graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
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
from vljepa_runtime.engines.trt import RECIPE_SUFFIX, check_parser, load_library
from vljepa_runtime.errors import EngineError

__all__ = ["convert"]


def convert(
    traced: TracedGraph,
    precision: Precision,
    *,
    samples: Sequence[Feeds],
    budgets: tuple[int, ...] = (),
    folder: Path,
) -> Converted:
    """See `Target`; the typed graph runs in ONNX Runtime, the engine is built later, on the device."""
    contract = traced.contract
    typed = type_graph(traced.path, precision, samples)
    budgets = token_budgets_of(contract, samples, budgets)
    recipe = build_recipe(contract, precision, budgets, ranged=False)
    graph = graph_bytes(contract.name, typed)
    file, recipe_file = folder / f"{contract.name}.onnx", folder / f"{contract.name}{RECIPE_SUFFIX}"
    file.write_bytes(graph)
    recipe_file.write_bytes(recipe.to_json())
    return Converted(
        spec=graph_spec(contract, file.name, external=(recipe_file.name,), token_budgets=budgets),
        files={file.name: file, recipe_file.name: recipe_file},
        open=partial(onnx_runner, file),
        notes=(
            "the engine is built on the device by `vljepa build`",
            "parity is of this graph in ONNX Runtime",
            _parser_note(contract.name, graph),
            *typed.notes,
        ),
        precision=precision,
        nodes=len(typed.model.graph.node),
    )


def _parser_note(name: str, graph: bytes) -> str:
    if find_spec("tensorrt_rtx") is None:
        return "not parsed here: tensorrt-rtx is not installed"
    library = load_library("tensorrt-rtx")
    try:
        check_parser(library, name, graph)
    except EngineError as error:
        raise ExportError(str(error)) from error
    return f"read without complaint by the parser of TensorRT for RTX {library.version}"
