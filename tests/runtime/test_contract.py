"""The contract of the graphs: what it says for a model's sizes, and that it holds a bundle to the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.contract import (
    GRAPH_NAMES,
    NETWORKS,
    GraphContract,
    check_graph,
    contract_of,
    feeds_of,
    free_axes,
)
from vljepa_runtime.errors import BundleError

SIZES = {"P": 216, "Dv": 8, "S": 6, "V": 23, "H": 1, "Dh": 4}


def shapes(contract: GraphContract) -> dict[str, tuple[int | str, ...]]:
    return {tensor.name: tensor.shape for tensor in (*contract.inputs, *contract.outputs)}


def test_every_graph_belongs_to_one_of_four_networks() -> None:
    assert list(NETWORKS) == list(GRAPH_NAMES)
    assert set(NETWORKS.values()) == {"x_encoder", "predictor", "y_encoder", "y_decoder"}


def test_a_models_sizes_take_the_place_of_their_axes() -> None:
    assert shapes(contract_of("x_encoder", SIZES)) == {
        "patches": ("B", "N", 216),
        "positions": ("B", "N", 3),
        "visual": ("B", "N", 8),
    }
    assert [tensor.dtype for tensor in contract_of("x_encoder", SIZES).inputs] == ["uint8", "int32"]


def test_each_layer_has_a_cache_of_keys_and_one_of_values() -> None:
    step = contract_of("y_decoder_step", SIZES, layers=2)
    assert [tensor.name for tensor in step.inputs] == [
        "token",
        "past_k_0",
        "past_v_0",
        "past_k_1",
        "past_v_1",
    ]
    assert [tensor.name for tensor in step.outputs][1:] == ["next_k_0", "next_v_0", "next_k_1", "next_v_1"]
    assert shapes(step)["past_k_0"] == ("B", 1, "T", 4)
    assert shapes(step)["next_v_1"] == ("B", 1, "T + 1", 4)
    prefill = contract_of("y_decoder_prefill", {**SIZES, "T": 2}, layers=1)
    assert shapes(prefill) == {
        "embedding": ("B", 6),
        "logits": ("B", 23),
        "past_k_0": ("B", 1, 2, 4),
        "past_v_0": ("B", 1, 2, 4),
    }


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_what_it_says_passes_its_own_check(name: str) -> None:
    contract = contract_of(name, SIZES, layers=3)
    check_graph(name, contract.inputs, contract.outputs, SIZES)
    assert free_axes(contract.inputs) <= {"B", "N", "L", "T"}
    with pytest.raises(BundleError, match=f"{name}: expected the tensors"):
        check_graph(name, contract.inputs[1:], contract.outputs, SIZES)


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_a_bundle_keeps_names_and_types(name: str, small_zip: Path) -> None:
    graph = Bundle.open(small_zip).graph(name)
    said = contract_of(name, {}, layers=1)
    for mine, wanted in ((graph.inputs, said.inputs), (graph.outputs, said.outputs)):
        assert [(tensor.name, tensor.dtype) for tensor in mine] == [(w.name, w.dtype) for w in wanted]


def test_sizes_fill_a_shape() -> None:
    patches, _ = contract_of("x_encoder", SIZES).inputs
    assert patches.sized({"B": 2, "N": 5}) == (2, 5, 216)


def test_feeds_have_the_names_of_the_inputs() -> None:
    assert feeds_of("predictor", 1, 2, 3) == {"visual": 1, "query_ids": 2, "query_mask": 3}
    assert feeds_of("y_decoder_step", 1) == {"token": 1}
    with pytest.raises(ValueError, match="zip"):
        feeds_of("predictor", 1)
