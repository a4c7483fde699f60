"""Selection for a budget, from windows whose events are known: what is chosen, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.measure.tune.sensitivity import Expected, find_sensitivity, told
from vljepa_runtime.selection import Boundaries, BoundaryNet

MINUTES, STRIDE_S, WINDOW_S = 2, 0.5, 2.0
EVENT = 12  # windows
PROFILE = vj.DeviceProfile(bundle="b", fingerprint="f", stride_s=STRIDE_S)


class Watching:
    """A model whose windows show one event after another, each as far from the last as its number says."""

    prompts = {"caption": "What?"}  # noqa: RUF012
    bundle = SimpleNamespace(name="b")

    def __init__(self, *, boundaries: Boundaries | None = None, unknown: bool = False) -> None:
        self.boundaries, self._unknown = boundaries, unknown
        self.asked: Any = None

    @contextmanager
    def session(self, **options: Any) -> Iterator[Any]:
        self.asked = options
        yield self

    def run(self, source: str, *, max_seconds: float | None, on_window: Any) -> Iterator[Any]:
        random = np.random.default_rng(0)
        angle = 0.0
        for index in range(round(60 * (MINUTES if max_seconds is None else max_seconds / 60) / STRIDE_S)):
            if index % EVENT == 0:
                angle += 0.2 + 0.05 * (index // EVENT % 8)
            row = np.array([np.cos(angle), np.sin(angle), 0.01 * random.normal()], np.float32)
            start_s = index * STRIDE_S
            window = SimpleNamespace(
                index=index, start_s=start_s, end_s=start_s + WINDOW_S, held=0,
                unknown=self._unknown and index < 10 * EVENT,
            )  # fmt: skip
            on_window(window, "What?", row / np.linalg.norm(row))
        return iter(())


def found(model: Any, per_minute: float, **options: Any) -> Expected:
    return find_sensitivity(model, "clip.mp4", PROFILE, per_minute=per_minute, **options)


@pytest.mark.parametrize("per_minute", [2, 5, 9.9])
def test_the_budget_is_kept_and_nearly_used(per_minute: float) -> None:
    seen = found(Watching(), per_minute)
    assert seen.segments <= per_minute * seen.minutes
    assert (
        seen.segments >= 0.6 * per_minute * seen.minutes
    )  # distances of eight kinds of change are its steps
    assert seen.next_per_minute >= seen.rate.value
    assert seen.selection.found_per_minute == pytest.approx(seen.segments / seen.minutes)
    assert seen.rate.low < seen.rate.value < seen.rate.high
    assert (seen.selection.query, seen.selection.boundary) == ("What?", None)


def test_what_is_asked_is_what_the_profile_says() -> None:
    model = Watching()
    find_sensitivity(
        model,  # type: ignore[arg-type]
        "clip.mp4",
        vj.DeviceProfile(bundle="b", fingerprint="f", stride_s=0.5, tokens="static", carry_s=30),
        per_minute=6,
        query="Who?",
    )
    asked = {name: model.asked[name] for name in ("query", "stride_s", "tokens", "carry_s")}
    assert asked == {"query": "Who?", "stride_s": 0.5, "tokens": "static", "carry_s": 30.0}


def test_a_network_is_asked_where_there_is_one() -> None:
    far = np.array([[1.0], [1.0], [0.0]], np.float32)
    net = BoundaryNet(stride_s=STRIDE_S, weights=(40 * far,), biases=(np.array([-4], np.float32),))
    seen = found(Watching(boundaries=Boundaries(nets=(net,), query="What?")), 6)
    assert seen.selection.threshold is None
    assert seen.selection.boundary is not None
    assert 0 < seen.segments <= 6 * seen.minutes
    other = found(Watching(boundaries=Boundaries(nets=(net,), query="What?")), 6, query="Who?")
    assert other.selection.boundary is None


def test_what_the_model_does_not_know_is_told() -> None:
    seen = found(Watching(unknown=True), 9.9)
    assert 8 <= seen.unknown <= 11
    assert f"{seen.unknown} of them show nothing that the model knows" in "\n".join(told(seen))


@pytest.mark.parametrize(
    ("per_minute", "says"),
    [
        (60, "never changes more often than"),
        (0.1, "so short a recording cannot show so few: at least 10 minutes"),
        (1, "so few segments leave the rate open"),
    ],
)
def test_what_to_expect_is_said(per_minute: float, says: str) -> None:
    assert says in "\n".join(told(found(Watching(), per_minute)))


def test_a_recording_of_one_window_says_nothing() -> None:
    with pytest.raises(vj.InputError, match=r"expected a recording of 2 windows or more, clip.mp4 has 1"):
        found(Watching(), 6, seconds=0.5)
