"""The Core ML target: our graphs through the converter, back from the bundle's files through the interpreter."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("coremltools")

import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

import vljepa_runtime as vj  # noqa: E402
from vljepa_export import ExportError  # noqa: E402
from vljepa_export.footage import world_footage  # noqa: E402
from vljepa_export.graphs import graph_definitions  # noqa: E402
from vljepa_export.mil import MilProgram  # noqa: E402
from vljepa_export.mil.engine import InterpreterEngine  # noqa: E402
from vljepa_export.onnx_export import export_graph  # noqa: E402
from vljepa_export.parity import compare, require_parity  # noqa: E402
from vljepa_export.samples import SampleChain  # noqa: E402
from vljepa_export.targets import coreml  # noqa: E402
from vljepa_export.targets.coreml import convert  # noqa: E402
from vljepa_export.targets.protocol import Converted, TracedGraph  # noqa: E402
from vljepa_model.checkpoint import Checkpoint, load_checkpoint  # noqa: E402
from vljepa_quant import precisions_of  # noqa: E402
from vljepa_runtime.bundle import Bundle, GraphSpec, Manifest, write_bundle  # noqa: E402
from vljepa_runtime.contract import GraphContract, TensorSpec  # noqa: E402
from vljepa_runtime.model import Model  # noqa: E402

ROWS = precisions_of("coreml")


class Exported:
    """The small model; a graph is exported and converted when a test first asks for it."""

    def __init__(self, folder: Path, on_disk: Any, scratch: Callable[[str], Path]) -> None:
        self.checkpoint: Checkpoint = load_checkpoint(folder)
        self.definitions = graph_definitions(self.checkpoint.model)
        chain = SampleChain(self.checkpoint, world_footage(self.checkpoint.preprocess, clips=2))
        self.samples = {name: chain.samples(item) for name, item in self.definitions.items()}
        self.budgets = tuple(sorted({item.feeds["patches"].shape[1] for item in self.samples["x_encoder"]}))
        self.model = cache(lambda name: export_graph(self.definitions[name]))
        self.traced = cache(lambda name: self.written(name, on_disk))
        self.fp32 = cache(lambda name: self.convert(name, "fp32", budgets=self.budgets))
        self.scratch = scratch

    def written(self, name: str, on_disk: Any) -> TracedGraph:
        # The step is exported anew, with its fixed cache.
        model = onnx.ModelProto() if name == "y_decoder_step" else self.model(name)
        return on_disk(self.definitions[name].contract, model, self.checkpoint.model.y_decoder)

    def convert(self, name: str, precision: str, **options: Any) -> Converted:
        options = {"samples": [item.feeds for item in self.samples[name]], **options}
        return convert(self.traced(name), ROWS[precision], folder=self.scratch(name), **options)


@pytest.fixture(scope="module")
def exported(small_checkpoint: Path, on_disk: Any, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(small_checkpoint, on_disk, tmp_path_factory.mktemp)


def kinds(made: Converted) -> collections.Counter[str]:
    program = MilProgram.open(made.files[made.spec.file].parent)
    return collections.Counter(item.kind for item in program.functions[program.default].operations)


@pytest.mark.parametrize(
    "name", ["x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step"]
)
def test_every_graph_computes_what_torch_computes(name: str, exported: Exported) -> None:
    parity = compare(exported.definitions[name], exported.samples[name], exported.fp32(name).open())
    require_parity(name, parity, worst_cosine=0.999999, psnr_db=90.0)


def test_budgets_are_functions_that_share_weights(exported: Exported) -> None:
    both, budgets = exported.fp32("x_encoder"), exported.budgets
    one = exported.convert("x_encoder", "fp32", budgets=budgets[-1:])
    assert both.spec.token_budgets == budgets
    weights = "x_encoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    assert both.files[weights].stat().st_size <= one.files[weights].stat().st_size
    assert f"functions n{budgets[0]}, n{budgets[1]} share their weights" in both.notes


def test_the_same_input_gives_the_same_bytes(exported: Exported) -> None:
    again, first = exported.convert("y_encoder", "fp32").files, exported.fp32("y_encoder").files
    assert {n: path.read_bytes() for n, path in again.items()} == {
        n: p.read_bytes() for n, p in first.items()
    }


def test_older_systems_get_one_shape(exported: Exported) -> None:
    made = exported.convert("y_encoder", "int8", deployment_target="iOS16")
    assert kinds(made)["constexpr_affine_dequantize"] > 0
    assert "built for iOS16 and macOS13 on, not run" in made.notes[0]
    parity = compare(exported.definitions["y_encoder"], exported.samples["y_encoder"], made.open())
    require_parity("y_encoder", parity, worst_cosine=0.98, psnr_db=35.0)
    with pytest.raises(ExportError, match="several token budgets in one package need iOS18"):
        exported.convert("predictor", "fp16", budgets=(4, 8), deployment_target="macOS14")


def bundle_of(exported: Exported, to: Path) -> Bundle:
    converted = {name: exported.fp32(name) for name in exported.definitions}
    files: dict[str, bytes | Path] = {"tokenizer.json": exported.checkpoint.tokenizer_file}
    for made in converted.values():
        files |= made.files
    return write_bundle(
        to, manifest(exported, "coreml", {n: made.spec for n, made in converted.items()}), files
    )


def onnx_bundle_of(exported: Exported, to: Path) -> Bundle:
    files: dict[str, bytes | Path] = {"tokenizer.json": exported.checkpoint.tokenizer_file}
    graphs = {}
    for name in exported.definitions:
        files[f"{name}.onnx"] = exported.model(name).SerializeToString()
        sides = (
            tuple(TensorSpec(name=item.name, dtype=item.dtype, shape=item.shape) for item in side)
            for side in (exported.definitions[name].inputs, exported.definitions[name].outputs)
        )
        graphs[name] = GraphSpec(file=f"{name}.onnx", **dict(zip(("inputs", "outputs"), sides)))
    return write_bundle(to, manifest(exported, "onnx", graphs), files)


def manifest(exported: Exported, target: str, graphs: Mapping[str, GraphSpec]) -> Manifest:
    return Manifest(
        name="small",
        license="Apache-2.0",
        created="",
        target=target,
        graphs=graphs,
        preprocess=exported.checkpoint.preprocess,
        tokenizers=dict.fromkeys(("predictor", "y_encoder", "y_decoder"), "tokenizer.json"),
        embedding_dim=exported.checkpoint.config.embedding_dim,
        prompts=dict(exported.checkpoint.prompts),
    )


def test_a_bundle_gives_what_onnx_runtime_gives(exported: Exported, tmp_path: Path) -> None:
    """The whole path: frames, fewer tokens, labels, and words from a cache that grows."""
    ours = Model(bundle_of(exported, tmp_path / "c.vljepa"), InterpreterEngine())
    theirs = vj.load(str(onnx_bundle_of(exported, tmp_path / "o.vljepa").location), engine="onnxruntime:cpu")
    clip = np.random.RandomState(5).randint(0, 256, (4, 48, 60, 3)).astype(np.uint8)
    embedding, labels = ours.embed(clip), ["a red ball", "a blue box", "two"]
    np.testing.assert_allclose(embedding, theirs.embed(clip), atol=1e-5)
    tokens = f"budget:{ours.bundle.graph('x_encoder').token_budgets[0]}"
    np.testing.assert_allclose(ours.embed(clip, tokens=tokens), theirs.embed(clip, tokens=tokens), atol=1e-5)
    ranked = [{item.label: item.score for item in each.classify(clip, labels)} for each in (ours, theirs)]
    assert ranked[0] == pytest.approx(ranked[1], abs=1e-5)
    words = [each.decode(embedding, max_tokens=12) for each in (ours, theirs)]
    assert words[0] == words[1]


def tiny_graph(nodes: list[onnx.NodeProto], shape: list[Any], **constants: np.ndarray) -> Any:
    values = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "tiny", infos[:1], infos[1:], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    axes = [TensorSpec(name=name, dtype="float32", shape=tuple(shape)) for name in ("x", "y")]
    return GraphContract(name="tiny", inputs=axes[:1], outputs=axes[1:]), model


def test_what_overflows_float16_stays_in_float32(on_disk: Any, tmp_path: Path) -> None:
    """A sum of squares above 65504 on the way to an ordinary result, as in RMSNorm over large activations."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squares"], name="square"),
        helper.make_node("ReduceMean", ["squares", "axes"], ["mean"], keepdims=1, name="mean"),
        helper.make_node("Sqrt", ["mean"], ["root"], name="root"),
        helper.make_node("Div", ["x", "root"], ["y"], name="divide"),
    ]
    traced = on_disk(*tiny_graph(nodes, ["B", 4], axes=np.array([-1], np.int64)))
    x = np.array([[300.0, -400.0, 500.0, 20.0]], np.float32)
    made = convert(traced, ROWS["fp16"], samples=[{"x": x}], folder=tmp_path)
    [y] = made.open()({"x": x})
    np.testing.assert_allclose(y, x / np.sqrt(np.square(x).mean(-1, keepdims=True)), rtol=2e-3)
    assert "3 nodes kept in fp32: Mul, ReduceMean, Sqrt" in made.notes


@pytest.mark.parametrize(
    ("node", "match"),
    [
        pytest.param(
            helper.make_node("Erf", ["x"], ["y"]), "tiny: Erf has no Core ML form here", id="operator"
        ),
        pytest.param(
            helper.make_node("Clip", ["x", "", "top"], ["y"], name="clip"),
            "clip: not written .* upper bound",
            id="form",
        ),
    ],
)
def test_what_cannot_be_written_is_named(
    node: onnx.NodeProto, match: str, on_disk: Any, tmp_path: Path
) -> None:
    traced = on_disk(*tiny_graph([node], ["B", 4], top=np.float32(1)))
    with pytest.raises(ExportError, match=match):
        convert(traced, ROWS["fp32"], samples=[{"x": np.ones((1, 4), np.float32)}], folder=tmp_path)


def test_only_our_own_decoder_has_a_fixed_cache(exported: Exported, on_disk: Any, tmp_path: Path) -> None:
    step = exported.definitions["y_decoder_step"].contract
    stranger = on_disk(step, onnx.ModelProto(), torch.nn.Identity())
    with pytest.raises(ExportError, match="expected the Y-decoder, got Identity"):
        convert(stranger, ROWS["fp32"], samples=[], folder=tmp_path)


def test_a_graph_too_large_for_one_block_of_protobuf_is_told(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coreml, "PROTOBUF_LIMIT", 1000)
    match = r"predictor has 0.0 GB of float weights; .* for coreml: .* --format onnx"
    with pytest.raises(ExportError, match=match):
        exported.convert("predictor", "fp32")
