"""A quantised graph in OpenVINO: in 8-bit products where these are exact, in float where they would be cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("openvino")
pytest.importorskip("nncf")

from vljepa_runtime.contract import PREFILL
from vljepa_runtime.engines import open_engine, openvino


@pytest.mark.parametrize("cuts_off", [False, True])
def test_products_of_8_bits_are_computed_where_they_are_exact_alone(
    cuts_off: bool, case_named: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "cuts_off_sums", lambda: cuts_off)
    graph = open_engine("openvino:cpu", threads=1).load(case_named("openvino-int8").bundle, PREFILL)
    nodes = [node for model in graph._models.values() for node in model.get_runtime_model().get_ops()]
    types = {
        node.get_rt_info()["runtimePrecision"].astype(str)
        for node in nodes
        if node.get_rt_info()["layerType"].astype(str) in ("FullyConnected", "MatMul")
    }
    assert ("u8" in types) is not cuts_off, types  # of what is multiplied; weights are i8 either way
