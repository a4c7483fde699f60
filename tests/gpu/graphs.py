"""Float graphs without their weights: traced where torch's exporter has time, filled from a network where a GPU is.

`python tests/gpu/graphs.py FOLDER` traces `tiny` and the published sizes: minutes, and a few hundred kilobytes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from vljepa_export.graph_passes import IR_VERSION, OPSET
from vljepa_export.graphs import GraphDefinition, graph_definition
from vljepa_export.onnx_export import trace_graph
from vljepa_model import VLJEPA, ModelConfig, load_checkpoint
from vljepa_model.shipped import checkpoint_folder
from vljepa_quant import GraphEditor, precisions_of
from vljepa_runtime import Bundle, Preprocess
from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import GRAPH_NAMES, NETWORKS

SMALL = 4096  # bytes; what is smaller stays in the file
VOCABULARY = 1024  # of the shipped tokenizer: a table's rows cost no time


def paper(*, depth: float = 1.0, width: float = 1.0) -> ModelConfig:
    """The published sizes, or a part of them to rehearse with; texts are those of the shipped tokenizer."""
    config = ModelConfig.preset("paper")

    def cut(stack: Any) -> Any:
        return replace(stack, depth=max(1, round(stack.depth * depth)))

    decoder = config.decoder
    whole = width == 1.0
    return replace(
        config,
        x_encoder=cut(config.x_encoder) if whole else replace(cut(config.x_encoder), size=64, frames=8),
        predictor=replace(cut(config.predictor), vocab_size=VOCABULARY),
        y_encoder=replace(cut(config.y_encoder), vocab_size=VOCABULARY),
        y_decoder=replace(decoder, stack=replace(cut(decoder.stack), vocab_size=None if whole else VOCABULARY),
                          bos_id=1),
        pad_id=0, bos_id=1, eos_id=2,
    )  # fmt: skip


def parameters(definition: GraphDefinition) -> dict[str, np.ndarray]:
    """The tensors that a graph's constants are named after, and their transposes."""
    module = definition.module
    found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    arrays = {name: tensor.detach().float().cpu().numpy() for name, tensor in found.items()}
    return {**arrays, **{f"{name}.T": value.T for name, value in arrays.items() if value.ndim == 2}}


def strip(editor: GraphEditor, known: Mapping[str, np.ndarray], path: Path) -> None:
    """Write a graph in which large parameters are names alone."""
    editor.drop_dead()
    model = onnx.ModelProto()
    model.CopyFrom(editor.model)
    graph = model.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:], model.functions[:]
    graph.node.extend(editor.nodes)
    used = {name for node in editor.nodes for name in node.input} & set(editor.constants)
    for name in sorted(used):
        value = editor.constants[name]
        if value.nbytes >= SMALL and name in known:
            kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
            graph.initializer.append(onnx.TensorProto(name=name, data_type=kind, dims=value.shape))
        else:
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, order="C"), name))
    del model.opset_import[:]
    model.opset_import.extend(
        [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("com.microsoft", 1)]
    )
    model.ir_version = IR_VERSION
    path.write_bytes(model.SerializeToString())


def filled(path: Path, definition: GraphDefinition) -> GraphEditor:
    """A stripped graph with the weights of a network."""
    return GraphEditor(onnx.load(path, load_external_data=False), parameters(definition))


def trace(model: VLJEPA, folder: Path) -> None:
    """Trace the graphs of a network into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in GRAPH_NAMES:
        definition = graph_definition(name, getattr(model, NETWORKS[name]), model.config)
        strip(trace_graph(definition), parameters(definition), folder / f"{name}.onnx")
        print(folder.name, name, flush=True)


def bundle_of(folder: Path, model: VLJEPA, precision: str, names: Sequence[str]) -> Bundle:
    """A bundle of a network in a precision, in memory; texts and prompts are the shipped ones.

    Args:
        folder: Of the network's stripped graphs.
        model: The network.
        precision: A row of ONNX's.
        names: Which graphs.
    """
    row, shipped = precisions_of("onnx")[precision], Bundle.open("tiny")
    files = {
        name: bytes(shipped.read(name))
        for name in shipped.manifest.files
        if not name.endswith((".onnx", ".weights"))
    }
    graphs = {}
    for name in names:
        definition = graph_definition(name, getattr(model, NETWORKS[name]), model.config)
        editor = filled(folder / f"{name}.onnx", definition)
        row.edit(editor)
        files[f"{name}.onnx"] = editor.finish().SerializeToString()
        graphs[name] = GraphSpec(file=f"{name}.onnx", inputs=definition.inputs, outputs=definition.outputs)
    sizes = model.config.x_encoder
    pre = Preprocess(frames=sizes.frames, fps=4.0, size=sizes.size, patch=sizes.patch, tubelet=sizes.tubelet)
    manifest = replace(
        shipped.manifest,
        name=f"{folder.name}-{precision}",
        novelty=None,  # of other weights
        graphs=graphs,
        precision=dict.fromkeys(names, row.label),
        execution=dict.fromkeys(names, row.execution),
        embedding_dim=model.config.embedding_dim,
        preprocess=shipped.manifest.preprocess if folder.name == "tiny" else pre,
        parity={}, accuracy={}, constants={}, notes={}, gates={},
    )  # fmt: skip
    return Bundle.in_memory(manifest, files)


def tiny() -> VLJEPA:
    """The shipped network."""
    model: VLJEPA = load_checkpoint(checkpoint_folder("tiny")).model.eval()
    return model


def main() -> None:
    torch.manual_seed(0)
    folder = Path(sys.argv[1])
    if "--small" in sys.argv:
        trace(VLJEPA(paper(depth=0.1, width=0.5)).eval(), folder / "small")
    else:
        trace(tiny(), folder / "tiny")
        trace(VLJEPA(paper()).eval(), folder / "paper")


if __name__ == "__main__":
    main()
