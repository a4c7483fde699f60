"""Greedy decoding with a cache equals decoding written out plainly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.decoder import Decoder
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError, InputError, RunError
from vljepa_runtime.tokenizer import Tokenizer

SEEDS = range(12)


@pytest.fixture(scope="module")
def bundle(small_zip: Path) -> Bundle:
    return Bundle.open(small_zip)


@pytest.fixture(scope="module")
def decoder(bundle: Bundle) -> Decoder:
    return Decoder(
        bundle, open_engine("onnxruntime:cpu", threads=1), Tokenizer.from_bytes(bundle.read("tokenizer.json"))
    )


def embedding(seed: int) -> np.ndarray:
    values = np.random.RandomState(seed).standard_normal(8).astype(np.float32)
    return np.asarray(values / np.linalg.norm(values), np.float32)


def plain_tokens(bundle: Bundle, vector: np.ndarray, most: int) -> list[int]:
    """The loop again, on ONNX Runtime directly: no classes, no masking beyond PAD and BOS."""
    import onnxruntime

    prefill = onnxruntime.InferenceSession(
        bundle.read("y_decoder_prefill.onnx"), providers=["CPUExecutionProvider"]
    )
    step = onnxruntime.InferenceSession(
        bundle.read("y_decoder_step.onnx"), providers=["CPUExecutionProvider"]
    )
    logits, k, v = prefill.run(["logits", "past_k_0", "past_v_0"], {"embedding": vector[None]})
    tokens: list[int] = []
    while len(tokens) < most:
        token = int(np.argmax(logits[0, 2:])) + 2
        if token == 2:
            break
        tokens.append(token)
        feeds = {"token": np.array([[token]], np.int32), "past_k_0": k, "past_v_0": v}
        logits, k, v = step.run(["logits", "next_k_0", "next_v_0"], feeds)
    return tokens


@pytest.mark.parametrize("most", [1, 3, 48])
def test_tokens_equal_the_plain_loop(decoder: Decoder, bundle: Bundle, most: int) -> None:
    for seed in SEEDS:
        assert decoder.tokens(embedding(seed), max_tokens=most) == plain_tokens(bundle, embedding(seed), most)


def test_decoding_stops_at_eos_and_at_the_limit(decoder: Decoder) -> None:
    lengths = [len(decoder.tokens(embedding(seed))) for seed in SEEDS]
    assert max(lengths) < 48
    assert len(set(lengths)) > 2
    assert all(len(decoder.tokens(embedding(seed), max_tokens=1)) <= 1 for seed in SEEDS)


def test_calls_do_not_remember_each_other(decoder: Decoder) -> None:
    first = decoder.text(embedding(0))
    decoder.text(embedding(1))
    assert decoder.text(embedding(0)) == first


@pytest.mark.parametrize(("shape", "most"), [((1, 8), 4), ((8,), 0)], ids=["batched", "no-tokens"])
def test_wrong_input(decoder: Decoder, shape: tuple[int, ...], most: int) -> None:
    with pytest.raises(InputError, match="expected one embedding"):
        decoder.tokens(np.zeros(shape, np.float32), max_tokens=most)


def test_graphs_with_different_caches_are_refused(bundle: Bundle) -> None:
    class Swapped:
        name = "swapped"

        def load(self, bundle: Bundle, graph_name: str) -> object:
            other = "x_encoder" if graph_name == "y_decoder_prefill" else graph_name
            return open_engine("onnxruntime:cpu").load(bundle, other)

    with pytest.raises(BundleError, match="disagree on the cache"):
        Decoder(bundle, Swapped(), Tokenizer.from_bytes(bundle.read("tokenizer.json")))  # type: ignore[arg-type]


class Changed:
    """An engine whose graphs' results are changed afterwards."""

    name = "changed"

    def __init__(self, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
        self._change = change

    def load(self, bundle: Bundle, graph_name: str) -> object:
        graph = open_engine("onnxruntime:cpu", threads=1).load(bundle, graph_name)
        change = self._change

        class Wrapped:
            name, inputs, outputs = graph.name, graph.inputs, graph.outputs

            def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
                return change(graph.run(feeds))

        return Wrapped()


def doubled(results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: np.concatenate([v, v], 2) if k.startswith("next") else v for k, v in results.items()}


def shrunk(results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: v[:, :, 1:] if k.startswith("next") else v for k, v in results.items()}


def few(results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: v[:, :2] if k == "logits" else v for k, v in results.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(doubled, r"made a cache \(1, 1, 6, 4\) of \(1, 1, 2, 4\)", id="doubled-cache"),
        pytest.param(shrunk, "y_decoder_step made a cache", id="shrunk-cache"),
        pytest.param(few, "gave 2 logits, expected more than 2", id="logits-without-eos"),
    ],
)
def test_graphs_that_do_not_play_along(
    bundle: Bundle, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], message: str
) -> None:
    tokenizer = Tokenizer.from_bytes(bundle.read("tokenizer.json"))
    decoder = Decoder(bundle, Changed(change), tokenizer)  # type: ignore[arg-type]
    with pytest.raises(RunError, match=message):
        [decoder.tokens(embedding(seed)) for seed in SEEDS]
