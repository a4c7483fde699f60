"""ONNX: the checked graph itself, or quantised by a recipe of `vljepa_quant`; the decoder's weights stored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vljepa_export.parity import onnx_runner
from vljepa_export.targets.protocol import Converted, Feeds, tensor_specs
from vljepa_export.weights import share_weights
from vljepa_quant import recipe
from vljepa_quant.graph_editor import save_bytes
from vljepa_runtime.manifest import GraphSpec

if TYPE_CHECKING:
    import onnx

    from vljepa_export.graphs import GraphDefinition

__all__ = ["convert", "finish"]

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
    spec = GraphSpec(
        file=file, inputs=tensor_specs(definition.inputs), outputs=tensor_specs(definition.outputs)
    )
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


def _nodes(content: bytes) -> int:
    import onnx

    return len(onnx.load_from_string(content).graph.node)
