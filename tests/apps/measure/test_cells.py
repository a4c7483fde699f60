"""What graphs are fed when they are timed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_apps.measure.cells import QUERY_TOKENS, _feed, end_to_end
from vljepa_runtime.contract import TensorSpec


@pytest.mark.parametrize(
    ("spec", "shape", "value"),
    [
        (TensorSpec(name="query_ids", dtype="int32", shape=("B", "L")), (1, QUERY_TOKENS), 5),
        (TensorSpec(name="mask", dtype="int32", shape=("B", 64)), (1, 64), 1),
        (TensorSpec(name="past_k_0", dtype="float32", shape=("B", 3, "T", 32)), (1, 3, 8, 32), 0),
    ],
    ids=["ids", "fixed mask", "cache"],
)
def test_feeds_follow_the_contract(spec: TensorSpec, shape: tuple[int, ...], value: int) -> None:
    fed = _feed(spec, {})
    assert (fed.shape, fed.dtype.name, fed.flat[0]) == (shape, spec.dtype, value)


class Model:
    """Embeds everything as ones."""

    def __init__(self, *, has_decoder: bool) -> None:
        self.has_decoder = has_decoder

    def embed(self, frames: npt.NDArray[np.uint8], query: str | None = None) -> npt.NDArray[np.float32]:
        return np.ones(4, np.float32)

    def decode(self, embedding: npt.NDArray[np.float32], /) -> str:
        if not self.has_decoder:
            raise AssertionError("there is none")
        return str(embedding.sum())


def test_words_are_timed_of_a_model_that_has_them() -> None:
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    assert list(end_to_end(Model(has_decoder=False), frames)) == ["window"]
    cells = end_to_end(Model(has_decoder=True), frames)
    assert {name: call() for name, call in cells.items() if name != "window"} == {"decode": "4.0"}
