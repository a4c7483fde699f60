"""What every engine checks in the same way: feeds, and what it has loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines import check_feeds
from vljepa_runtime.engines.protocol import check_loaded
from vljepa_runtime.errors import BundleError, InputError

INPUTS = (
    TensorSpec(name="a", dtype="float32", shape=("B", "N", 4)),
    TensorSpec(name="b", dtype="int32", shape=("B", "L")),
)


def feeds(
    a: tuple[int, ...] = (2, 3, 4), b: tuple[int, ...] = (2, 5), dtype: Any = np.int32
) -> dict[str, Any]:
    return {"a": np.zeros(a, np.float32), "b": np.zeros(b, dtype)}


def test_feeds_that_fit() -> None:
    check_feeds("g", INPUTS, feeds())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({}, "expected inputs a, b, got none", id="none"),
        pytest.param({"a": np.zeros(1)}, "expected inputs a, b, got a", id="missing"),
        pytest.param({**feeds(), "c": np.zeros(1)}, "expected inputs a, b, got a, b, c", id="unknown"),
        pytest.param(feeds(dtype=np.int64), r"g\.b: expected int32, got int64", id="dtype"),
        pytest.param(feeds(a=(2, 3, 5)), r"g\.a: expected shape \(B, N, 4\).*got \(2, 3, 5\)", id="width"),
        pytest.param(feeds(a=(3, 4)), r"g\.a: expected shape", id="rank"),
        pytest.param(
            feeds(b=(3, 5)), r"g\.b: expected shape \(B, L\), with B=2, got \(3, 5\)", id="two-batches"
        ),
        pytest.param(feeds(a=(2, 0, 4)), r"g\.a: expected shape", id="empty"),
        pytest.param({**feeds(), "b": [1]}, r"g\.b: expected int32, got int64", id="list"),
    ],
)
def test_feeds_that_do_not(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_feeds("g", INPUTS, given)


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind"),
    [
        ({"x": "float16"}, {"y": "float32"}, "inputs {'x': 'float32'}"),
        ({"x": "float32"}, {"z": "float32"}, "outputs {'y': 'float32'}"),
        ({"x": "float32"}, {}, "outputs {'y': 'float32'}"),
        ({"x": "float32", "z": "int32"}, {"y": "float32"}, "inputs {'x': 'float32'}"),
    ],
    ids=["type", "name", "missing", "unknown"],
)
def test_what_was_loaded_is_compared_with_the_manifest(
    inputs: dict[str, str], outputs: dict[str, str], kind: str
) -> None:
    x, y = (TensorSpec(name=name, dtype="float32", shape=("B",)) for name in "xy")
    spec = GraphSpec(file="g", inputs=(x,), outputs=(y,))
    check_loaded("b/g", spec, inputs={"x": "float32"}, outputs={"y": "float32"})
    with pytest.raises(BundleError, match=f"b/g: expected {kind}, the file has .*: build it again"):
        check_loaded("b/g", spec, inputs=inputs, outputs=outputs, remedy="build it again")
