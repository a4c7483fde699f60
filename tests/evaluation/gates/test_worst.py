"""Reports show the worst that was ever measured, and what came near its limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vljepa_evaluation.gates import (
    EIGHT_BIT,
    FOUR_BIT,
    GraphParity,
    Reference,
    check_gates,
    near_limits,
    near_misses,
)
from vljepa_evaluation.gates.worst import worst_parity
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, Parity, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.engines.session_options import sums_are_cut_off


@pytest.mark.parametrize(
    ("value", "limit", "is_near"),
    [
        pytest.param(0.8776, 0.85, True, id="just-inside-a-fifth"),
        pytest.param(0.8824, 0.85, False, id="just-outside"),
        pytest.param(0.84, 0.85, True, id="beyond"),
        pytest.param(1.0, 1.0, False, id="exact"),
        pytest.param(0.999, 1.0, True, id="not-exact"),
        pytest.param(36.9, 35.0, True, id="decibels"),
        pytest.param(37.0, 35.0, False, id="decibels-away"),
        pytest.param(float("nan"), 0.85, True, id="nan"),
    ],
)
def test_near_is_within_a_fifth_of_what_a_limit_allows(value: float, limit: float, is_near: bool) -> None:
    assert bool(near_misses({"gate": (value, limit)})) is is_near


def test_the_worse_of_two_measurements_counts() -> None:
    here = GraphParity(mean_cosine=0.99, p1_cosine=0.98, worst_cosine=0.97, max_abs=0.1, psnr_db=40.0, rows=9)
    assert worst_parity(here, None) == here
    worst = worst_parity(here, Parity(cosine=0.86, max_abs=0.05, psnr_db=41.0))
    assert worst == replace(here, worst_cosine=0.86)


@pytest.mark.skipif(
    sums_are_cut_off(), reason="int8 misses its gates with this ONNX Runtime on this processor"
)
def test_verify_shows_what_the_export_saw_and_names_what_is_near(tmp_path: object) -> None:
    with Bundle.open("tiny") as tiny:
        parity = {**tiny.manifest.parity, "predictor": Parity(cosine=0.9825, max_abs=0.1, psnr_db=50.0)}
        manifest = replace(tiny.manifest, parity=parity, gates={**tiny.manifest.gates, "labels": 0.86})
        assert near_limits(manifest, lambda precision: EIGHT_BIT) == (
            "predictor: worst cosine 0.9825, limit 0.98",
            "label agreement 0.86, limit 0.85",
        )
        assert near_limits(manifest, lambda precision: FOUR_BIT) == ()
        files = {name: tiny.read(name) for name in tiny.manifest.files}
        reference = Reference.of(tiny).graphs_alone
        path = f"{tmp_path}/seen"
        with write_bundle(path, manifest, files, archive=False) as bundle:
            engine = open_engine("onnxruntime:cpu")
            results = check_gates(
                bundle, engine, replace(reference, seal=None, repeat=None), limits=limits_for
            )
    (predictor,) = (graph for graph in results.graphs if graph.name == "predictor")
    assert predictor.parity is not None
    assert predictor.worst is not None
    assert predictor.worst.worst_cosine == 0.9825 < predictor.parity.worst_cosine
    assert predictor.near == ("worst cosine 0.9825, limit 0.98",)
    assert results.passed
