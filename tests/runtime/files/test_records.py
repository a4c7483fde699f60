"""Records are read by their annotations, and what does not fit is told in the caller's error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal

import pytest

from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files.records import AtMost, check_record, plain, read_record
from vljepa_runtime.files.values import Name, Positive, Text


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    size: Annotated[Positive, AtMost(9)]
    label: Text = "a part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    parts: Annotated[tuple[Part, ...], AtMost(2)]
    by_name: Annotated[Mapping[Name, Part | None], AtMost(1)] = field(default_factory=dict)
    colour: Colour = Colour.RED
    side: Literal["left", "right"] = "left"
    point: tuple[float, float] = (0.0, 0.5)
    on: bool = False


VALUES: dict[str, Any] = {
    "parts": [{"size": 3}, {"size": 9, "label": "last"}],
    "by_name": {"none": None},
    "colour": "blue",
    "side": "right",
    "point": [1, 2.5],
    "on": True,
}
WHOLE = Whole(
    parts=(Part(size=3), Part(size=9, label="last")),
    by_name={"none": None},
    colour=Colour.BLUE,
    side="right",
    point=(1.0, 2.5),
    on=True,
)


def read(values: object) -> Whole:
    return read_record(Whole, values, "thing.json", error=BundleError, advice="make it again")


def test_a_record_survives() -> None:
    assert read(VALUES) == WHOLE
    assert read(plain(WHOLE)) == WHOLE
    assert read({"parts": []}) == Whole(parts=())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colours": 1}, "thing.json: unknown keys colours, did you mean 'colour'?; known: parts, by_name, colour,"),
        ({"zzz": 1, "aaa": 2}, "thing.json: unknown keys aaa, zzz; known: parts"),
        ({"parts": [{}]}, "parts[0]: `size` is missing"),
        ({"parts": [{"size": 3, "sise": 2}]}, "parts[0]: unknown keys sise, did you mean 'size'?"),
        ({"parts": [{"size": 10}]}, "parts[0].size: expected at most 9, got 10"),
        ({"parts": [{"size": 0}]}, "parts[0].size: expected a whole number above 0, got 0"),
        ({"parts": [{"size": 3.0}]}, "parts[0].size: expected a whole number of at least 0"),
        ({"parts": [{"size": 3, "label": ""}]}, "parts[0].label: expected text that is not empty"),
        ({"parts": [{"size": 1}] * 3}, "parts: expected at most 2 items, got 3"),
        ({"parts": {}}, "parts: expected a list"),
        ({"parts": [3]}, "parts[0]: expected an object"),
        ({"by_name": {"a": None, "b": None}}, "by_name: expected at most 1 by_name"),
        ({"by_name": {"a\n": None}}, "by_name: expected a name of one line"),
        ({"by_name": {"a": {"size": True}}}, "by_name.a.size: expected a whole number"),
        ({"by_name": []}, "by_name: expected an object"),
        ({"colour": "green"}, "colour: expected red or blue, got 'green'"),
        ({"colour": ["red"]}, "colour: expected red or blue"),
        ({"side": "up"}, "side: expected left or right"),
        ({"point": [1]}, "point: expected 2 items"),
        ({"point": [1, float("nan")]}, "point[1]: expected a finite number"),
        ({"point": [1, 10**400]}, "point[1]: expected a finite number"),
        ({"on": 1}, "on: expected true or false"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError) as refused:
        read({**VALUES, **changes})
    assert str(refused.value).startswith(message)
    assert str(refused.value).endswith(": make it again")


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(BundleError, match=r"^thing\.json: expected an object, got"):
        read([1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    sizes: tuple[Positive, ...]
    rate: float = 1.0

    def __post_init__(self) -> None:
        check_record(self, error=InputError)


def test_a_record_that_somebody_made_is_held_to_its_annotations() -> None:
    assert Checked(sizes=[1, 2]).sizes == (1, 2)  # type: ignore[arg-type]
    assert isinstance(Checked(sizes=(), rate=2).rate, float)
    with pytest.raises(InputError, match=r"^sizes\[1\]: expected a whole number above 0, got 0"):
        Checked(sizes=(1, 0))
    with pytest.raises(
        InputError, match=r"^sizes\[0\]: expected a whole number of at least 0, got -1: again"
    ):
        read_record(Checked, {"sizes": [-1]}, "c", error=InputError, advice="again")
