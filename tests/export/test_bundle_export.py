from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from vljepa_evaluation.gates import Reference, Sample, Scenes
from vljepa_export import ExportError, ExportReport, export_bundle
from vljepa_export.footage import world_footage
from vljepa_export.graphs import GraphDefinition, graph_definitions
from vljepa_export.onnx_export import check_contract, export_graph
from vljepa_export.parity import compare
from vljepa_export.samples import SampleChain
from vljepa_model.checkpoint import load_checkpoint
from vljepa_quant import precisions_of
from vljepa_quant.graph_editor import save_bytes
from vljepa_runtime.bundle import Bundle, Certified, shipped_bundles
from vljepa_runtime.errors import BundleError
from vljepa_runtime.selection import BOUNDARIES_FILE, Boundaries, BoundaryNet

pytestmark = pytest.mark.slow

GRAPHS = ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step")


@pytest.fixture(scope="module")
def reports(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportReport]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        precision: export_bundle(
            small_checkpoint,
            folder / f"{precision}.vljepa",
            precision=precision,
            archive=precision == "int8",
            scenes=Scenes(clips=2, seconds=4.0),
        )
        for precision in ("int8", "fp32")
    }


def load_graph(bundle: Bundle, name: str, folder: Path) -> onnx.ModelProto:
    for file in (bundle.graph(name).file, *bundle.graph(name).external):
        (folder / file).write_bytes(bundle.read(file))
    return onnx.load(folder / bundle.graph(name).file)


def test_report_covers_every_graph_with_its_parity(reports: dict[str, ExportReport]) -> None:
    for precision, report in reports.items():
        assert tuple(graph.name for graph in report.graphs) == GRAPHS
        assert report.path.exists()
        for graph in report.graphs:
            assert graph.parity.worst_cosine <= graph.parity.p1_cosine <= graph.parity.mean_cosine
            assert graph.precision == {"int8": "int8-dynamic", "fp32": "fp32"}[precision]
    assert all(graph.parity.worst_cosine >= 0.9999 for graph in reports["fp32"].graphs)


def test_a_bundle_is_certified_and_carries_what_it_was_compared_with(
    reports: dict[str, ExportReport],
) -> None:
    report = reports["fp32"]
    bundle = Bundle.open(report.path)
    assert report.certified is bundle.manifest.certified is Certified.YES
    assert report.agreement is not None
    assert report.agreement.overlap == report.agreement.triggers == 1.0
    reference = Reference.of(bundle)
    assert set(reference.samples) == set(GRAPHS)
    assert reference.scenes == Scenes(clips=2, seconds=4.0)


def test_manifest_says_what_was_made(reports: dict[str, ExportReport], small_checkpoint: Path) -> None:
    manifest = Bundle.open(reports["int8"].path).manifest
    assert (manifest.name, manifest.created) == ("small", "2026-01-01T00:00:00Z")
    assert manifest.knows_only == "noise"
    assert set(manifest.graphs) == set(manifest.precision) == set(manifest.parity) == set(GRAPHS)
    assert set(manifest.prompts) == {"caption", "classify", "retrieval"}
    assert manifest.tokenizers["y_decoder"] == "tokenizer.json"
    assert len(manifest.source.checkpoint_sha256) == 64
    assert {"torch", "onnx", "onnxruntime"} <= set(manifest.toolchain)
    assert [spec.dtype for spec in manifest.graphs["x_encoder"].inputs] == ["uint8", "int32"]


def test_what_tells_events_apart_goes_from_the_checkpoint_into_the_bundle(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    net = BoundaryNet(stride_s=1, weights=(np.ones((1, 1), np.float32),), biases=(np.zeros(1, np.float32),))
    known = Boundaries(nets=(net,), query="What happens?", streams=4)
    checkpoint = shutil.copytree(small_checkpoint, tmp_path / "checkpoint")
    (checkpoint / BOUNDARIES_FILE).write_bytes(known.to_bytes())
    bundle = Bundle.open(export_bundle(checkpoint, tmp_path / "b.vljepa", precision="fp32", scenes=None).path)
    assert bundle.manifest.boundaries == BOUNDARIES_FILE
    assert bundle.read(BOUNDARIES_FILE) == known.to_bytes()
    (checkpoint / BOUNDARIES_FILE).write_bytes(b"something else")
    with pytest.raises(BundleError, match=BOUNDARIES_FILE):
        export_bundle(checkpoint, tmp_path / "c.vljepa", precision="fp32", scenes=None)
    assert not (tmp_path / "c.vljepa").exists()


@pytest.fixture(scope="module")
def by_torch(small_checkpoint: Path) -> dict[str, tuple[GraphDefinition, tuple[Sample, ...]]]:
    """Each graph's definition, and what torch gives."""
    checkpoint = load_checkpoint(small_checkpoint)
    chain = SampleChain(checkpoint, world_footage(checkpoint.preprocess, clips=2))
    definitions = graph_definitions(checkpoint.model)
    return {name: (definition, chain.samples(definition)[:2]) for name, definition in definitions.items()}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", GRAPHS)
def test_graph_equals_torch_in_the_reference_evaluator(
    name: str,
    precision: str,
    reports: dict[str, ExportReport],
    by_torch: dict[str, tuple[GraphDefinition, tuple[Sample, ...]]],
    tmp_path: Path,
) -> None:
    """ONNX's own evaluator is the oracle: no engine of ours, no fused kernels."""
    model = load_graph(Bundle.open(reports[precision].path), name, tmp_path)
    onnx.checker.check_model(model, full_check=True)
    definition, samples = by_torch[name]
    check_contract(model, definition)
    evaluator = ReferenceEvaluator(model)
    parity = compare(definition, samples, lambda feeds: evaluator.run(None, dict(feeds)))
    assert parity.worst_cosine >= (0.9999 if precision == "fp32" else 0.98)


def test_decoder_weights_are_stored_once(reports: dict[str, ExportReport], tmp_path: Path) -> None:
    bundle = Bundle.open(reports["fp32"].path)
    assert bundle.graph("y_decoder_step").external == bundle.graph("y_decoder_prefill").external != ()
    sizes = {name: bundle.manifest.files[bundle.graph(name).file].size for name in GRAPHS}
    assert reports["fp32"].shared_bytes > sizes["y_decoder_step"] / 3


@pytest.mark.parametrize("name", GRAPHS)
def test_no_initialiser_is_dead_or_stored_twice(
    name: str, reports: dict[str, ExportReport], tmp_path: Path
) -> None:
    for report in reports.values():
        graph = load_graph(Bundle.open(report.path), name, tmp_path).graph
        used = {tensor for node in graph.node for tensor in node.input}
        assert {item.name for item in graph.initializer} <= used
        contents = [(item.data_type, tuple(item.dims), item.raw_data) for item in graph.initializer]
        assert len(set(contents)) == len(contents)
        names = [node.name for node in graph.node]
        assert all(names)
        assert len(set(names)) == len(names)


def test_no_path_or_trace_of_the_exporting_machine_is_left(
    reports: dict[str, ExportReport], tmp_path: Path
) -> None:
    bundle = Bundle.open(reports["int8"].path)
    for name in GRAPHS:
        data = bundle.read(bundle.graph(name).file)
        assert b".py" not in data
        assert b"/home" not in data
        assert b"/work" not in data


def test_export_is_deterministic(reports: dict[str, ExportReport], small_checkpoint: Path) -> None:
    definition = graph_definitions(load_checkpoint(small_checkpoint).model)["x_encoder"]
    again = save_bytes(precisions_of("onnx")["int8"].apply(export_graph(definition)))
    assert again == Bundle.open(reports["int8"].path).read("x_encoder.onnx")


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_are_lean(name: str, reports: dict[str, ExportReport], tmp_path: Path) -> None:
    """Rotary tables once, no copies of keys and values, nothing newer than opset 20, standard operators only."""
    model = load_graph(Bundle.open(reports["fp32"].path), name, tmp_path)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Cos") <= 1
    assert kinds.count("Sin") <= 2
    assert not {"Attention", "RMSNormalization"} & set(kinds)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 20)]
    if name in ("predictor", "y_decoder_step"):  # grouped-query attention: Expand only for mask and norm
        assert all(
            node.output[0].startswith(("ones", "expand"))
            for node in model.graph.node
            if node.op_type == "Expand"
        )
        assert kinds.count("Expand") <= 2


def test_shipped_bundle_is_what_export_makes_of_the_shipped_checkpoint(tmp_path: Path) -> None:
    """Weights and structure of every graph; not parity or the reference (they vary with the CPU), not tool versions.

    After a change of either:  vljepa export tiny -o runtime/vljepa_runtime/bundles/tiny.vljepa --force
    and then:  python tests/export/shipped_bundle.py
    """
    if "tiny" not in shipped_bundles():
        pytest.skip("no bundle is shipped yet")
    made = Bundle.open(export_bundle("tiny", tmp_path / "tiny.vljepa", scenes=None).path)
    shipped = Bundle.open("tiny")
    same = (
        "name",
        "license",
        "created",
        "source",
        "knows_only",
        "precision",
        "graphs",
        "preprocess",
        "prompts",
        "tokenizers",
        "boundaries",
    )
    for key in same:
        assert getattr(made.manifest, key) == getattr(shipped.manifest, key), key
    for name in GRAPHS:
        ours, theirs = (load_graph(bundle, name, tmp_path).graph for bundle in (made, shipped))
        assert list(ours.node) == list(theirs.node)
        assert list(ours.initializer) == list(theirs.initializer)
        assert made.manifest.parity[name].cosine == pytest.approx(
            shipped.manifest.parity[name].cosine, abs=1e-3
        )
    assert sum(spec.size for spec in shipped.manifest.files.values()) <= 15e6


def test_runtime_runs_the_zip(reports: dict[str, ExportReport], small_checkpoint: Path) -> None:
    vj = pytest.importorskip("vljepa_runtime")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    vectors = []
    for report in reports.values():
        model = vj.load(report.path, engine="onnxruntime:cpu", threads=1)
        vectors.append(model.embed(frames, query="What is the action shown?"))
        assert isinstance(model.decode(vectors[-1]), str)
    assert vectors[0].shape == (24,)
    assert float(vectors[0] @ vectors[1]) > 0.99


def test_any_token_budget_of_a_window_is_built_and_checked(small_checkpoint: Path, tmp_path: Path) -> None:
    """Parity is measured with as many tokens as the graph takes."""
    options = {"format": "tensorrt", "precision": "fp16", "scenes": None}
    report = export_bundle(small_checkpoint, tmp_path / "a.vljepa", token_budgets=(5,), **options)
    bundle = Bundle.open(report.path)
    assert bundle.graph("x_encoder").token_budgets == (5,)
    assert all(graph.parity and graph.parity.rows for graph in report.graphs)
    full = bundle.manifest.preprocess.tokens
    with pytest.raises(ExportError, match=rf"expected token budgets of 1 \.\. {full}, got {full + 1}"):
        export_bundle(small_checkpoint, tmp_path / "b.vljepa", token_budgets=(full + 1,), **options)
