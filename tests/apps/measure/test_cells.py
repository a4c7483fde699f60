"""What graphs are fed when they are timed."""

from __future__ import annotations

import pytest

from vljepa_apps.measure.cells import QUERY_TOKENS, _feed
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
