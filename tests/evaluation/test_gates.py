"""The gates: numbers against plain twins, limits that bite, a reference that survives the disk and hostile bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_evaluation.gates import (
    EIGHT_BIT,
    FLOAT,
    FOUR_BIT,
    HALF,
    REFERENCE_FILE,
    Behaviour,
    Limits,
    Reference,
    Scenes,
    check_gates,
    compare_behaviours,
    compare_outputs,
    misses,
    record_behaviour,
    record_reference,
)
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.tensors import pack
from vljepa_runtime.model import Model

SMALL = Path(__file__).parents[1] / "runtime" / "bundles" / "small.vljepa"
FEW = Scenes(clips=3, seconds=6.0, threshold=0.001)  # not the default, so that losing it shows


@pytest.fixture(scope="module")
def small() -> Bundle:
    return Bundle.open(SMALL)


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Graphs only: the small bundle's tokenizer knows too few words for the world's captions."""
    return record_reference(Bundle.open("tiny"), open_engine("onnxruntime:cpu"), scenes=FEW)


def test_numbers_equal_scikit_learn() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    rng = np.random.default_rng(0)
    wanted = [rng.standard_normal((2, 5, 7)).astype(np.float32) for _ in range(3)]
    got = [array + 0.1 * rng.standard_normal(array.shape).astype(np.float32) for array in wanted]
    found = compare_outputs([[array] for array in wanted], [[array] for array in got])
    a, b = (np.concatenate(side).reshape(-1, 7) for side in (wanted, got))
    cosines = 1 - pairwise.paired_cosine_distances(a, b)
    assert found.rows == len(cosines) == 30
    assert found.mean_cosine == pytest.approx(cosines.mean(), abs=1e-6)
    assert found.p1_cosine == pytest.approx(np.percentile(cosines, 1), abs=1e-6)
    assert found.worst_cosine == pytest.approx(cosines.min(), abs=1e-6)
    assert found.max_abs == pytest.approx(np.abs(a - b).max())
    assert found.psnr_db == pytest.approx(
        20 * np.log10(np.abs(a).max() / np.sqrt(((a - b) ** 2).mean())), abs=1e-4
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=["nan", "inf"])
def test_a_value_that_is_no_number_fails_every_gate(bad: float) -> None:
    wanted = np.ones((4, 3), np.float32)
    got = wanted.copy()
    got[2, 1] = bad
    found = compare_outputs([[wanted]], [[got]])
    assert (found.worst_cosine, found.psnr_db) == (-1.0, 0.0)
    assert np.isfinite(found.max_abs)
    assert all(misses(limits.graph_gates(found)) for limits in (FLOAT, HALF, EIGHT_BIT, FOUR_BIT))


def test_the_worst_token_counts_when_mean_and_pool_look_fine() -> None:
    rng = np.random.default_rng(1)
    wanted = rng.standard_normal((1, 2048, 16)).astype(np.float32)
    got = wanted.copy()
    got[0, 7] = rng.standard_normal(16)
    found = compare_outputs([[wanted]], [[got]])
    assert found.mean_cosine > 0.999
    assert [miss.split(" of ")[0] for miss in misses(HALF.graph_gates(found))] == ["expected a worst cosine"]


def test_limits_are_ordered() -> None:
    floors = [limits.worst_cosine for limits in (FLOAT, HALF, EIGHT_BIT, FOUR_BIT)]
    assert floors == sorted(floors, reverse=True)
    assert Limits.loosest([FLOAT, EIGHT_BIT]) == EIGHT_BIT


def behaviour(**changes: Any) -> Behaviour:
    eye = np.eye(4, dtype=np.float32)
    ranks = np.tile(np.arange(8, dtype=np.int32), (4, 1))
    values = {
        "embeddings": eye,
        "ranks": ranks,
        "labels": np.arange(4, dtype=np.int32),
        "triggers_s": np.array([1.0]),
    }
    return Behaviour(**{"checksum": 1, **values, **changes})


@pytest.mark.parametrize(
    ("changes", "field", "value", "miss"),
    [
        pytest.param({}, "overlap", 1.0, "", id="same"),
        pytest.param(
            {"ranks": np.tile(np.arange(8, dtype=np.int32)[::-1], (4, 1))},
            "overlap",
            0.4,
            "overlap",
            id="reversed",
        ),
        pytest.param({"labels": np.array([0, 1, 2, 0], np.int32)}, "labels", 0.75, "label", id="one-label"),
        pytest.param({"triggers_s": np.array([9.0])}, "triggers", 0.0, "trigger", id="other-moment"),
        pytest.param(
            {"embeddings": np.full((4, 4), np.nan, np.float32)},
            "embedding_worst",
            -1.0,
            "embedding",
            id="nan",
        ),
    ],
)
def test_agreement(changes: dict[str, Any], field: str, value: float, miss: str) -> None:
    found = compare_behaviours(behaviour(), behaviour(**changes))
    assert getattr(found, field) == pytest.approx(value)
    missed = misses(EIGHT_BIT.bundle_gates(found))
    assert len(missed) == bool(miss)
    assert all(miss in text for text in missed)


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
    assert results.note == ""
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


def test_other_pictures_are_not_compared(reference: Reference) -> None:
    assert reference.behaviour is not None
    other = replace(reference, behaviour=replace(reference.behaviour, checksum=1))
    results = check_gates(Bundle.open("tiny"), open_engine("onnxruntime:cpu"), other, limits=limits_for)
    assert results.agreement is None
    assert "other pixels" in results.note
    assert results.passed


def test_sizes_that_a_bundle_does_not_take_are_left_out(small: Bundle, reference: Reference) -> None:
    """The small bundle's graphs have the same names and other widths: nothing fits, so nothing passes."""
    visual = {name: reference.samples[name] for name in ("x_encoder", "predictor")}
    results = check_gates(small, open_engine("onnxruntime:cpu"), Reference(samples=visual), limits=limits_for)
    assert not results.passed
    assert all(graph.parity is None for graph in results.graphs)
    assert "no inputs for" in results.note


def test_the_file_is_named_once() -> None:
    assert REFERENCE_FILE.endswith(".safetensors")
