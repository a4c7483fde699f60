"""ONNX: the checked graph itself, or quantised by a recipe of `vljepa_quant`; the decoder's weights stored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_export.parity import onnx_runner
from vljepa_export.targets.protocol import Converted, Feeds, graph_spec
from vljepa_export.weights import share_weights
from vljepa_quant import recipe
from vljepa_quant.graph_editor import GraphEditor, save_bytes
from vljepa_quant.weights_file import WeightsFile

if TYPE_CHECKING:
    import onnx

    from vljepa_export.graphs import GraphDefinition

__all__ = ["convert", "convert_file", "finish", "place"]

DECODER = ("y_decoder_prefill", "y_decoder_step")
DECODER_WEIGHTS = "y_decoder.weights"


def convert(
    definition: GraphDefinition,
    model: onnx.ModelProto,
    precision: str,
    *,
    samples: Sequence[Feeds],
    token_budgets: tuple[int, ...] = (),
) -> Converted:
    """See `Convert`; nothing is calibrated, and N stays free."""
    used = recipe(precision)
    content = save_bytes(used.apply(model))
    file = f"{definition.name}.onnx"
    spec = graph_spec(definition, file)
    nodes = _nodes(content)
    return Converted(
        spec=spec, files={file: content}, run=onnx_runner(content), label=used.label, nodes=nodes
    )


def finish(made: Mapping[str, Converted]) -> dict[str, Converted]:
    """Store the constants that both graphs of the Y-decoder hold in one file beside them."""
    import onnx

    graphs = {
        name: onnx.load_from_string(made[name].files[made[name].spec.file])
        for name in DECODER
        if name in made
    }
    content, weights = share_weights(graphs, file=DECODER_WEIGHTS)
    if not weights:
        return dict(made)
    return dict(made) | {
        name: replace(
            made[name],
            spec=replace(made[name].spec, external=(DECODER_WEIGHTS,)),
            files={made[name].spec.file: data, DECODER_WEIGHTS: weights},
        )
        for name, data in content.items()
    }


def convert_file(
    definition: GraphDefinition,
    path: Path,
    precision: str,
    *,
    samples: Sequence[Feeds],
    token_budgets: tuple[int, ...] = (),
    folder: Path,
) -> Converted:
    """See `Streams`; fp32 is the graph at `path`."""
    used = recipe(precision)
    editor = GraphEditor.open(path)
    if precision != "fp32":
        used.edit(editor)
        path = folder / f"{definition.name}.onnx"
        with WeightsFile(path.with_suffix(".weights")) as weights:
            editor.save(path, weights)
    spec = graph_spec(definition, f"{definition.name}.onnx")
    return Converted(
        spec=spec,
        files={},
        stored={spec.file: path},
        run=onnx_runner(path) if precision != "fp32" else None,  # measured already, as the source
        label=used.label,
    )


def place(made: Mapping[str, Converted], network: str, folder: Path) -> dict[str, Converted]:
    """See `Places`; all constants of a network lie in `NETWORK.weights`, equal ones once."""
    placed = {}
    with WeightsFile(folder / f"{network}.weights") as weights:
        for name, converted in made.items():
            file = folder / converted.spec.file
            model = GraphEditor.open(converted.stored[file.name]).save(file, weights)
            placed[name] = replace(
                converted,
                spec=replace(converted.spec, external=(weights.path.name,)),
                stored={file.name: file, weights.path.name: weights.path},
                nodes=len(model.graph.node),
            )
    return placed


def _nodes(content: bytes) -> int:
    import onnx

    return len(onnx.load_from_string(content).graph.node)
