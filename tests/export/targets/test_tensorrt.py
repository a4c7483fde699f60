"""Both TensorRT targets on a small model: typed graphs against torch, recipes, and real engines built without a GPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from vljepa_evaluation.gates import Sample
from vljepa_export.errors import ExportError
from vljepa_export.footage import world_footage
from vljepa_export.graph_passes import fold_constants
from vljepa_export.graphs import GraphDefinition, graph_definitions
from vljepa_export.onnx_export import export_graph
from vljepa_export.parity import compare
from vljepa_export.samples import SampleChain
from vljepa_export.targets import tensorrt, typed_graph
from vljepa_export.targets.protocol import TracedGraph
from vljepa_export.targets.typed_graph import build_recipe, token_budgets_of, type_graph
from vljepa_model.checkpoint import load_checkpoint
from vljepa_quant import precisions_of
from vljepa_quant.graph_editor import GraphEditor, save_bytes
from vljepa_quant.weights_file import WeightsFile
from vljepa_runtime.engines.trt.builder import build_engine
from vljepa_runtime.engines.trt.library import Library, load_library
from vljepa_runtime.engines.trt.recipe import BuildRecipe
from vljepa_runtime.errors import EngineError


@dataclass
class Graph:
    definition: GraphDefinition
    model: onnx.ModelProto
    traced: TracedGraph
    samples: Sequence[Sample]

    @property
    def feeds(self) -> list[Any]:
        return [sample.feeds for sample in self.samples]


ROWS = precisions_of("tensorrt")
WORST = {
    "fp32": 0.9999,
    "fp16": 0.9999,
    "int8": 0.995,
    "fp8": 0.99,
}  # blocks of int4 divide no width of this model


@pytest.fixture(scope="module")
def made(small_checkpoint: Path, on_disk: Any) -> dict[str, Graph]:
    checkpoint = load_checkpoint(small_checkpoint)
    chain = SampleChain(checkpoint, world_footage(checkpoint.preprocess, clips=2))
    definitions = graph_definitions(checkpoint.model)
    graphs = {}
    for name in ("x_encoder", "predictor"):
        definition, samples = definitions[name], chain.samples(definitions[name])
        model = export_graph(definition)
        graphs[name] = Graph(definition, model, on_disk(definition.contract, model), samples)
    return graphs


@pytest.fixture(scope="module")
def rtx() -> Library:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has no wheel for this machine")
    return load_library("tensorrt-rtx")


@pytest.mark.parametrize("precision", WORST)
@pytest.mark.parametrize("name", ["x_encoder", "predictor"])
def test_the_shipped_graph_computes_what_torch_does(
    name: str, precision: str, made: dict[str, Graph], tmp_path: Path
) -> None:
    given = made[name]
    converted = tensorrt.convert(given.traced, ROWS[precision], samples=given.feeds, folder=tmp_path)
    assert converted.runs_here
    assert compare(given.definition, given.samples, converted.open()).worst_cosine >= WORST[precision]
    graph = onnx.load(converted.files[converted.spec.file])
    onnx.checker.check_model(graph, full_check=True)
    assert [item.name for item in graph.graph.input] == [spec.name for spec in converted.spec.inputs]
    assert converted.precision.label == {"int8": "int8-static", "fp8": "fp8-static"}.get(precision, precision)
    assert converted.precision.execution == ("f32" if precision == "fp32" else "f16")


def test_a_bundle_entry_lists_graph_and_recipe(made: dict[str, Graph], tmp_path: Path) -> None:
    given = made["predictor"]
    converted = tensorrt.convert(
        given.traced, ROWS["fp16"], samples=given.feeds, budgets=(16, 32), folder=tmp_path
    )
    assert set(converted.files) == {converted.spec.file, *converted.spec.external}
    assert converted.spec.token_budgets == (32, 16)
    recipe = BuildRecipe.from_json(converted.files[converted.spec.external[0]].read_bytes(), "r")
    assert recipe.precision == "fp16"
    assert recipe.strongly_typed
    assert "Softmax" in recipe.pinned
    assert len(recipe.profiles) == 4  # two budgets, short and long queries
    assert {profile["visual"].opt[1] for profile in recipe.profiles} == {16, 32}
    for length, profile in ((32, 0), (33, 1), (512, 1)):
        shapes = {"visual": (1, 32, 32), "query_ids": (1, length), "query_mask": (1, length)}
        assert recipe.choose("predictor", shapes) == profile


def test_rtx_gets_one_profile_over_everything(made: dict[str, Graph]) -> None:
    recipe = build_recipe(made["predictor"].definition, ROWS["fp16"], (32, 16), ranged=True)
    (profile,) = recipe.profiles
    assert [shape[1] for shape in (profile["visual"].min, profile["visual"].opt, profile["visual"].max)] == [
        16,
        32,
        32,
    ]


def test_budgets_default_to_all_tokens(made: dict[str, Graph]) -> None:
    definition, samples = made["x_encoder"].definition, made["x_encoder"].feeds
    assert token_budgets_of(definition, samples, ()) == (32,)
    assert token_budgets_of(replace(definition, inputs=()), samples, ()) == ()
    assert token_budgets_of(definition, samples, (16, 32)) == (32, 16)


@pytest.mark.parametrize("precision", WORST)
def test_a_graph_on_disk_gives_the_same_bytes(precision: str, made: dict[str, Graph], tmp_path: Path) -> None:
    model, samples = made["predictor"].model, made["predictor"].feeds
    path = tmp_path / "predictor.onnx"
    with WeightsFile(tmp_path / "predictor.weights") as weights:
        GraphEditor(model).save(path, weights)
    assert path.stat().st_size < (tmp_path / "predictor.weights").stat().st_size
    from_disk, in_memory = (type_graph(source, ROWS[precision], samples) for source in (path, model))
    assert save_bytes(from_disk.model) == save_bytes(in_memory.model)
    assert {item.name for item in tmp_path.iterdir()} == {"predictor.weights", "predictor.onnx"}


def test_a_graph_too_large_for_one_file_is_refused(
    made: dict[str, Graph], monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(typed_graph, "PROTOBUF_LIMIT", 1000)
    with pytest.raises(
        ExportError, match=r"x_encoder has 0\.0 GB of weights in fp16; expected less than 2 GB"
    ):
        tensorrt.convert(made["x_encoder"].traced, ROWS["fp16"], samples=[], budgets=(32,), folder=tmp_path)


def test_large_transposes_of_weights_are_folded() -> None:
    """What the exporter leaves of ViT-L: a product over a transposed constant."""
    weight = np.zeros((400, 300), np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
            onnx.helper.make_node("MatMul", ["x", "t"], ["y"]),
        ],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["B", 300])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["B", 400])],
        initializer=[onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    editor = GraphEditor(model)
    fold_constants(editor)
    assert [node.op_type for node in editor.finish().graph.node] == ["MatMul"]


@pytest.mark.parametrize(
    ("name", "precision", "operands"), [("x_encoder", "int8", "Int8"), ("predictor", "fp16", "Half")]
)
def test_a_real_engine_is_built_without_a_gpu(
    name: str, precision: str, operands: str, made: dict[str, Graph], rtx: Library, tmp_path: Path
) -> None:
    from vljepa_export.targets import tensorrt_rtx

    given = made[name]
    converted = tensorrt_rtx.convert(given.traced, ROWS[precision], samples=given.feeds, folder=tmp_path)
    assert not converted.runs_here
    assert converted.files[f"{name}.engine"].stat().st_size > 100_000
    layers = json.loads(converted.files[f"{name}.layers.json"].read_text())
    products = [layer for layer in layers if layer["kind"] == "gemm" or "Fc" in layer["name"]]
    assert operands in {layer["inputs"][0] for layer in products}
    if name == "x_encoder":  # attention is one kernel; not for the predictor's heads of 8, here too narrow
        assert any("mha" in layer["name"] for layer in layers)
    notes = " | ".join(converted.notes)
    assert f"built by TensorRT for RTX {rtx.version}" in notes
    assert "products that fell back to fp32: none" in notes
    assert BuildRecipe.from_json(converted.files[f"{name}.build.json"].read_bytes(), "r").profiles


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strongly_typed": False}, "takes only strongly typed networks"),
        ({"compute_capabilities": ("SM99",)}, "knows the compute capabilities .*, not 'SM99'"),
    ],
)
def test_a_recipe_that_the_library_cannot_follow_is_refused(
    settings: dict[str, Any], message: str, made: dict[str, Graph], rtx: Library
) -> None:
    definition, model = made["x_encoder"].definition, made["x_encoder"].model
    recipe = build_recipe(definition, ROWS["fp16"], (32,), ranged=True, **settings)
    with pytest.raises(EngineError, match=message):
        build_engine(rtx, "x_encoder", save_bytes(model), recipe)


@pytest.mark.parametrize("fault", ["uint8 activations", "fp8 before Ada", "no graph"])
def test_refusals_come_in_the_librarys_words(fault: str, made: dict[str, Graph], rtx: Library) -> None:
    definition, model, samples = (
        made["x_encoder"].definition,
        made["x_encoder"].model,
        made["x_encoder"].feeds,
    )
    recipe = build_recipe(definition, ROWS["fp8"], (32,), ranged=True, compute_capabilities=("SM86",))
    graph, message = {
        # The form that ONNX Runtime is fast with: DynamicQuantizeLinear gives uint8 and a zero point.
        "uint8 activations": lambda: (
            save_bytes(precisions_of("onnx")["int8"].apply(model)),
            r"refuses x_encoder: .*\(MatMulInteger, \d+ nodes\)",
        ),
        "fp8 before Ada": lambda: (
            save_bytes(type_graph(model, ROWS["fp8"], samples).model),
            "cannot build x_encoder: .*fp8_e4m3",
        ),
        "no graph": lambda: (b"not a graph", "Failed to parse the ONNX model"),
    }[fault]()
    with pytest.raises(EngineError, match=message):
        build_engine(rtx, "x_encoder", graph, recipe)
