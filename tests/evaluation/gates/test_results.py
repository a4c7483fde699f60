"""Bundles held to their gates; a reference that survives the disk and hostile bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_evaluation.gates import (
    REFERENCE_FILE,
    GateResults,
    GraphResult,
    Reference,
    Scenes,
    Verdict,
    check_gates,
    record_behaviour,
    record_reference,
)
from vljepa_evaluation.gates.limits import OF_TEXTS
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.tensors import pack
from vljepa_runtime.model import Model

SMALL = Path(__file__).parents[2] / "runtime" / "bundles" / "small.vljepa"
FEW = Scenes(clips=3, seconds=6.0, threshold=0.001)  # not the default, so that losing it shows


@pytest.fixture(scope="module")
def small() -> Bundle:
    return Bundle.open(SMALL)


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Scenes alone: what users do takes its time, and has a file of its own."""
    tiny, engine = Bundle.open("tiny"), open_engine("onnxruntime:cpu")
    seen = record_behaviour(Model(tiny, engine), tiny.manifest.preprocess, FEW)
    return replace(record_reference(tiny, engine), scenes=FEW, behaviour=seen)


def header(**entry: Any) -> bytes:
    text = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **entry}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff" * 16, id="endless-header"),
        pytest.param((4).to_bytes(8, "little") + b"nope", id="no-json"),
        pytest.param((2).to_bytes(8, "little") + b"[]", id="no-object"),
        pytest.param(header(shape=[1 << 40]), id="giant"),
        pytest.param(header(shape=[-1, -2]), id="negative"),
        pytest.param(header(data_offsets=[0, 64]), id="outside"),
        pytest.param(header(data_offsets=[8, 0]), id="backwards"),
        pytest.param(header(dtype="O"), id="objects"),
    ],
)
def test_hostile_tensors_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="no readable tensors"):
        Reference.from_bytes(data)


def test_a_reference_survives_the_disk(reference: Reference) -> None:
    again = Reference.from_bytes(reference.to_bytes())
    assert again.scenes == FEW
    assert again.to_bytes() == reference.to_bytes()
    assert set(again.samples) == set(reference.samples)
    for name, group in reference.samples.items():
        for one, other in zip(group, again.samples[name], strict=True):
            assert all(np.array_equal(value, other.feeds[key]) for key, value in one.feeds.items())
            assert all(np.array_equal(*pair) for pair in zip(one.outputs, other.outputs, strict=True))


def test_a_reference_of_something_else_is_refused() -> None:
    with pytest.raises(BundleError, match="not a reference of this version"):
        Reference.from_bytes(pack({}, {"samples": '{"x_encoder": [{"feeds": {"a": "t9"}, "outputs": []}]}'}))


def test_a_bundle_without_a_reference_says_what_to_do(small: Bundle) -> None:
    with pytest.raises(BundleError, match="--against FP32_BUNDLE"):
        Reference.of(small)


def test_a_bundle_keeps_its_own_gates_and_a_damaged_one_does_not(
    reference: Reference, tmp_path: Path
) -> None:
    tiny, engine = Bundle.open("tiny"), open_engine("onnxruntime:cpu")
    results = check_gates(tiny, engine, reference, limits=limits_for)
    assert results.passed
    assert "older than the comparison on recorded footage" in results.note
    assert results.agreement is not None
    assert results.agreement.overlap == results.agreement.triggers == 1.0
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(tiny.read("predictor.onnx"))
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.raw_data = bytes(len(largest.raw_data))
    files = {name: tiny.read(name) for name in tiny.manifest.files} | {
        "predictor.onnx": model.SerializeToString()
    }
    damaged = write_bundle(tmp_path / "damaged.vljepa", tiny.manifest, files)
    worse = check_gates(damaged, engine, reference, limits=limits_for)
    assert not worse.passed
    assert [graph.name for graph in worse.graphs if graph.misses] == ["predictor"]
    assert any("worst embedding cosine" in miss for miss in worse.misses)


def test_moments_are_found_with_the_threshold_that_was_recorded(reference: Reference) -> None:
    model = Model(Bundle.open("tiny"), open_engine("onnxruntime:cpu"))
    blind = record_behaviour(model, model.preprocess, Scenes(clips=1, seconds=FEW.seconds, threshold=2.0))
    assert reference.behaviour is not None
    assert len(blind.triggers_s) < len(reference.behaviour.triggers_s)


@pytest.mark.parametrize("scenes", [True, False])
def test_progress_rises_to_the_end(scenes: bool, reference: Reference) -> None:
    told: list[float] = []
    shown = reference if scenes else Reference(samples=reference.samples)
    check_gates(
        Bundle.open("tiny"), open_engine("onnxruntime:cpu"), shown, limits=limits_for, progress=told.append
    )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert len(told) > 4


def test_sizes_that_a_bundle_does_not_take_are_left_out(small: Bundle, reference: Reference) -> None:
    """The small bundle's graphs have the same names and other widths: nothing fits, so nothing passes."""
    visual = {name: reference.samples[name] for name in ("x_encoder", "predictor")}
    results = check_gates(small, open_engine("onnxruntime:cpu"), Reference(samples=visual), limits=limits_for)
    assert not results.passed
    assert all(graph.parity is None for graph in results.graphs)
    assert results.verdict is Verdict.NOT_JUDGED
    assert "no inputs that x_encoder, predictor" in results.judgements[0].unjudged[0]


def test_the_file_is_named_once() -> None:
    assert REFERENCE_FILE.endswith(".safetensors")


@pytest.mark.parametrize(("cosine", "missing"), [(0.966, True), (0.98, False)])
def test_texts_are_the_y_encoders_own(cosine: float, missing: bool) -> None:
    graphs = tuple(
        GraphResult(name=name, precision="int8", parity=None, misses=missed)
        for name, missed in {"x_encoder": (), "predictor": ("PSNR 30 dB",), "y_encoder": ()}.items()
    )
    results = GateResults(
        engine="openvino",
        graphs=graphs,
        agreement=None,
        misses=(),
        gates={"answer agreement": (0.1, 0.1, 0.9), OF_TEXTS: (cosine, cosine, 0.97)},
    )
    missed = results.misses_by_graph
    assert missed.pop("predictor") == ("PSNR 30 dB",)
    assert list(missed) == (["y_encoder"] if missing else [])
    assert all("0.966" in said and OF_TEXTS in said for says in missed.values() for said in says)
