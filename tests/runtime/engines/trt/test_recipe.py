"""Build recipes: written and read the same, strict on strangers' data, and the choice of a profile."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from vljepa_runtime.engines.trt.recipe import BuildRecipe, Range
from vljepa_runtime.errors import BundleError, InputError


def tokens(count: int, batch: int = 2) -> dict[str, Range]:
    return {
        "patches": Range(min=(1, count, 12), opt=(1, count, 12), max=(batch, count, 12)),
        "positions": Range(min=(1, count, 3), opt=(1, count, 3), max=(batch, count, 3)),
    }


RECIPE = BuildRecipe(
    precision="int8",
    profiles=(tokens(256), tokens(128)),
    pinned=("Softmax",),
    workspace_mb=512,
    compute_capabilities=("SM89",),
)


def test_round_trip() -> None:
    assert BuildRecipe.from_json(RECIPE.to_json(), "r") == RECIPE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "expected a build recipe of format 1, got 2"),
        ({"surprise": 1}, "unknown keys surprise"),
        ({"workspace_mb": -1}, "whole number of at least 0"),
        ({"workspace_mb": True}, "whole number"),
        ({"strongly_typed": 1}, "expected true or false"),
        ({"pinned": "Softmax"}, "expected a list"),
        ({"precision": 8}, "expected text"),
        ({"profiles": []}, "at least one profile"),
        ({"profiles": [{"x": {"min": [1], "opt": [1]}}]}, "x: `max` is missing"),
        ({"profiles": [{"x": {"min": [2], "opt": [1], "max": [3]}}]}, "min <= opt <= max"),
        ({"profiles": [{"x": {"min": [1], "opt": [1, 2], "max": [3]}}]}, "min <= opt <= max"),
        ({"profiles": [{"x": {"min": [0], "opt": [1], "max": [3]}}]}, "0 < min"),
        ({"profiles": 5}, "not a build recipe"),
    ],
)
def test_what_is_not_a_recipe_is_refused(change: dict[str, Any], message: str) -> None:
    values = json.loads(RECIPE.to_json()) | change
    with pytest.raises(BundleError, match=message):
        BuildRecipe.from_json(json.dumps(values).encode(), "r")


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{}", b"null"])
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="r is not a build recipe"):
        BuildRecipe.from_json(data, "r")


def test_profiles_of_different_inputs_are_refused() -> None:
    other = {"x": Range(min=(1,), opt=(1,), max=(1,))}
    with pytest.raises(BundleError, match="all with the same inputs"):
        BuildRecipe(precision="fp16", profiles=(tokens(4), other))


@pytest.mark.parametrize(
    ("batch", "count", "profile"), [(1, 256, 0), (2, 256, 0), (1, 128, 1)], ids=["full", "batch", "half"]
)
def test_the_profile_that_holds_the_shapes(batch: int, count: int, profile: int) -> None:
    shapes = {"patches": (batch, count, 12), "positions": (batch, count, 3)}
    assert RECIPE.choose("x_encoder", shapes) == profile


@pytest.mark.parametrize(
    "shapes",
    [
        {"patches": (3, 256, 12), "positions": (3, 256, 3)},
        {"patches": (1, 100, 12), "positions": (1, 100, 3)},
        {"patches": (1, 256, 12), "positions": (1, 128, 3)},
        {"patches": (256, 12), "positions": (1, 256, 3)},
    ],
    ids=["batch", "tokens", "mixed", "rank"],
)
def test_sizes_without_a_profile_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    message = (
        "x_encoder: expected patches (1..2, 256, 12), positions (1..2, 256, 3) or patches (1..2, 128, 12)"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        RECIPE.choose("x_encoder", shapes)
