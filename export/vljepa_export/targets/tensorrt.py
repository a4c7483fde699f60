"""TensorRT: the bundle carries typed ONNX and a build recipe; `vljepa build` makes the engines where they run.

Built, not run: TensorRT itself was not at hand; the parser of TensorRT for RTX, its relative, reads each graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_export.errors import ExportError
from vljepa_export.parity import onnx_runner
from vljepa_export.targets.protocol import Converted, Feeds, from_disk, graph_spec
from vljepa_export.targets.typed_graph import (
    PRECISIONS,
    build_recipe,
    graph_bytes,
    token_budgets_of,
    type_graph,
)
from vljepa_runtime.engines.trt.builder import check_parser
from vljepa_runtime.engines.trt.library import load_library
from vljepa_runtime.engines.trt.recipe import RECIPE_SUFFIX
from vljepa_runtime.errors import EngineError

if TYPE_CHECKING:
    import onnx

    from vljepa_export.graphs import GraphDefinition

__all__ = ["PRECISIONS", "convert", "convert_file"]


def convert(
    definition: GraphDefinition,
    model: onnx.ModelProto | Path,
    precision: str,
    *,
    samples: Sequence[Feeds],
    token_budgets: tuple[int, ...] = (),
) -> Converted:
    """See `Convert`; the graph may also be a file.

    `run` computes the typed graph in ONNX Runtime; the engine is built later, on the device.
    """
    typed = type_graph(model, precision, samples)
    budgets = token_budgets_of(definition, samples, token_budgets)
    recipe = build_recipe(definition, precision, budgets, ranged=False)
    graph = graph_bytes(definition.name, typed)
    file, recipe_file = f"{definition.name}.onnx", f"{definition.name}{RECIPE_SUFFIX}"
    return Converted(
        spec=graph_spec(definition, file, external=(recipe_file,), token_budgets=budgets),
        files={file: graph, recipe_file: recipe.to_json()},
        run=onnx_runner(graph),
        notes=(
            "the engine is built on the device by `vljepa build`; parity is of this graph in ONNX Runtime",
            _parser_note(definition.name, graph),
            *typed.notes,
        ),
        label=typed.label,
        execution=typed.execution,
        nodes=len(typed.model.graph.node),
    )


convert_file = from_disk(convert)


def _parser_note(name: str, graph: bytes) -> str:
    if find_spec("tensorrt_rtx") is None:
        return "not parsed here: tensorrt-rtx is not installed"
    library = load_library("tensorrt-rtx")
    try:
        check_parser(library, name, graph)
    except EngineError as error:
        raise ExportError(str(error)) from error
    return f"read without complaint by the parser of TensorRT for RTX {library.version}"
