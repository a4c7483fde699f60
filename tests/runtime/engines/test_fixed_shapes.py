"""Free sizes on functions of fixed sizes: which one is picked, what is padded, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines.fixed_shapes import FixedFunction, FixedGraph, Slot
from vljepa_runtime.errors import BundleError, InputError


def spec(inputs: dict[str, tuple[Any, ...]], outputs: dict[str, tuple[Any, ...]]) -> GraphSpec:
    kinds = {"patches": "uint8", "ids": "int32", "mask": "int32", "token": "int32"}

    def tensors(side: dict[str, tuple[Any, ...]]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name=name, dtype=kinds.get(name, "float32"), shape=shape)
            for name, shape in side.items()
        )

    return GraphSpec(file="g.mlpackage/Manifest.json", inputs=tensors(inputs), outputs=tensors(outputs))


class Sums:
    """A program whose functions add up what they are fed, and remember it."""

    def __init__(
        self, functions: Mapping[str, Mapping[str, Slot]], outputs: dict[str, tuple[int, ...]]
    ) -> None:
        self.functions = {name: FixedFunction(inputs, tuple(outputs)) for name, inputs in functions.items()}
        self.outputs = outputs
        self.calls: list[tuple[str, dict[str, np.ndarray]]] = []

    def predict(self, function: str, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        self.calls.append((function, dict(feeds)))
        total = sum(float(array.sum()) for array in feeds.values())
        return {name: np.full(shape, total, np.float16) for name, shape in self.outputs.items()}


def encoder() -> tuple[FixedGraph, Sums]:
    program = Sums({f"n{n}": {"patches": Slot("float16", (1, n, 3))} for n in (8, 4)}, {"visual": (1, 4, 2)})
    return FixedGraph(
        "x_encoder", spec({"patches": ("B", "N", 3)}, {"visual": ("B", "N", 2)}), program
    ), program


def text() -> tuple[FixedGraph, Sums]:
    slots = {f"l{n}": {name: Slot("int32", (1, n)) for name in ("ids", "mask")} for n in (16, 4)}
    program = Sums(slots, {"embedding": (1, 2)})
    contract = spec({"ids": ("B", "L"), "mask": ("B", "L")}, {"embedding": ("B", 2)})
    return FixedGraph("y_encoder", contract, program), program


def test_the_function_of_that_size_runs_row_by_row_in_its_own_type() -> None:
    graph, program = encoder()
    patches = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    visual = graph.run({"patches": patches})["visual"]
    assert [name for name, _ in program.calls] == ["n4", "n4"]
    assert all(feeds["patches"].dtype == np.float16 for _, feeds in program.calls)
    assert visual.dtype == np.float32
    np.testing.assert_array_equal(visual[:, 0, 0], patches.reshape(2, -1).sum(axis=1))


def test_tokens_are_never_padded() -> None:
    graph, _ = encoder()
    with pytest.raises(
        InputError, match=r"x_encoder: expected one of .* \(N=4; N=8\), got patches \(1, 5, 3\)"
    ):
        graph.run({"patches": np.zeros((1, 5, 3), np.uint8)})


@pytest.mark.parametrize(("length", "function", "width"), [(3, "l4", 4), (4, "l4", 4), (5, "l16", 16)])
def test_text_is_padded_to_the_smallest_that_fits(length: int, function: str, width: int) -> None:
    graph, program = text()
    graph.run({"ids": np.full((1, length), 7, np.int32), "mask": np.ones((1, length), np.int32)})
    [(name, feeds)] = program.calls
    assert name == function
    assert feeds["ids"].shape == (1, width)
    assert feeds["mask"].sum() == length
    assert not feeds["ids"][0, length:].any()


def test_text_that_is_too_long() -> None:
    graph, _ = text()
    with pytest.raises(InputError, match="L up to 4; L up to 16"):
        graph.run({"ids": np.zeros((1, 17), np.int32), "mask": np.zeros((1, 17), np.int32)})


def test_a_cache_is_padded_told_its_length_and_grown() -> None:
    slots = {
        "token": Slot("int32", (1, 1)),
        "length": Slot("int32", (1,)),
        "past_k_0": Slot("float16", (1, 2, 5, 3)),
    }
    program = Sums({"main": slots}, {"logits": (1, 4), "next_k_0": (1, 2, 1, 3)})
    contract = spec(
        {"token": ("B", 1), "past_k_0": ("B", 2, "T", 3)},
        {"logits": ("B", 4), "next_k_0": ("B", 2, "T + 1", 3)},
    )
    graph = FixedGraph("y_decoder_step", contract, program)
    past = np.ones((1, 2, 2, 3), np.float32)
    result = graph.run({"token": np.zeros((1, 1), np.int32), "past_k_0": past})
    [(_, feeds)] = program.calls
    assert feeds["length"].tolist() == [2]
    assert feeds["past_k_0"].shape == (1, 2, 5, 3)
    assert not feeds["past_k_0"][:, :, 2:].any()
    assert result["next_k_0"].shape == (1, 2, 3, 3)
    np.testing.assert_array_equal(result["next_k_0"][:, :, :2], past)
    assert np.all(result["next_k_0"][:, :, 2] == 12 + 2)
    with pytest.raises(InputError, match="T up to 5"):
        graph.run({"token": np.zeros((1, 1), np.int32), "past_k_0": np.ones((1, 2, 6, 3), np.float32)})


def test_feeds_are_checked_first() -> None:
    graph, program = encoder()
    with pytest.raises(InputError, match="expected uint8, got float32"):
        graph.run({"patches": np.zeros((1, 4, 3), np.float32)})
    assert not program.calls


@pytest.mark.parametrize(
    ("taken", "given", "message"),
    [
        ("pixels", "visual", "inputs {'patches': 'uint8'}, the file has {'pixels': 'float16'}"),
        ("patches", "other", "outputs {'visual': 'float32'}, the file has {'other': 'unknown'}"),
    ],
    ids=["input", "output"],
)
def test_a_program_with_other_names_is_refused(taken: str, given: str, message: str) -> None:
    program = Sums({"n4": {taken: Slot("float16", (1, 4, 3))}}, {given: (1, 2)})
    with pytest.raises(BundleError, match=f"x_encoder, function n4: expected {message}: export it again"):
        FixedGraph("x_encoder", spec({"patches": ("B", "N", 3)}, {"visual": ("B", "N", 2)}), program)
