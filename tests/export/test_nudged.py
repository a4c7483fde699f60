"""Constants that are off by roundings: all floats are, nothing else is, and what several graphs share stays shared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vljepa_evaluation.gates import Reference, Verdict, judge_repeat
from vljepa_export import export_bundle
from vljepa_export.nudged import ROUNDINGS, nudged
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine

pytestmark = pytest.mark.slow

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module", params=["onnx-int8", "openvino-int8", "openvino-fp16"])
def exported(
    request: pytest.FixtureRequest, small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    format, _, precision = request.param.partition("-")
    if format == "openvino":
        pytest.importorskip("openvino")
        pytest.importorskip("nncf")
    path = tmp_path_factory.mktemp("nudged") / "small.vljepa"
    export_bundle(small_checkpoint, path, format=format, precision=precision, scenes=None)
    return Bundle.open(path)


def test_floats_alone_are_changed_and_by_little() -> None:
    tiny = Bundle.open("tiny")
    other = nudged(tiny)
    assert other is not None
    changed = 0
    for name, spec in tiny.manifest.graphs.items():
        values = [
            {
                tensor.name: tensor
                for tensor in onnx.load_model_from_string(each.read(spec.file)).graph.initializer
            }
            for each in (tiny, other)
        ]
        assert values[0].keys() == values[1].keys(), name
        for key, tensor in values[0].items():
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                assert tensor == values[1][key]
                continue
            one, two = (onnx.numpy_helper.to_array(each[key]) for each in values)
            if one.dtype == np.float32:
                np.testing.assert_allclose(two, one, rtol=2 * ROUNDINGS, atol=0)
                changed += not np.array_equal(one, two)
            else:
                assert np.array_equal(one, two)
    assert changed > 50


def test_an_export_records_its_own_outputs_and_how_far_others_may_be(exported: Bundle) -> None:
    recorded = Reference.of(exported).repeat
    assert recorded is not None
    assert set(recorded.probes) == set(exported.manifest.graphs) == set(recorded.spreads)
    assert all(spread.exact and spread.worst is not None for spread in recorded.spreads.values())
    for threads in (1, 2):
        engine = open_engine(threads=threads, target=exported.manifest.target)
        assert judge_repeat(exported, engine, recorded).verdict is Verdict.KEPT


def test_a_nudged_bundle_is_not_the_same_but_may_be_the_same_elsewhere(exported: Bundle) -> None:
    recorded, other = Reference.of(exported).repeat, nudged(exported)
    assert recorded is not None
    assert other is not None
    other = Bundle.in_memory(
        replace(other.manifest, execution=exported.manifest.execution),
        {name: other.read(name) for name in other.manifest.files},
    )
    engine = open_engine(threads=1, target=exported.manifest.target)
    if any(spec.worst for spec in recorded.spreads.values()):
        assert judge_repeat(other, engine, recorded).verdict is Verdict.MISSED
    away = replace(recorded, environment=replace(recorded.environment, cpu="another"))
    assert judge_repeat(other, engine, away).verdict is Verdict.KEPT
