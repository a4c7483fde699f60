"""Windows that show what one before showed keep its embedding: when, when not, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.preprocessing import patches, token_selection
from vljepa_runtime.sources import EVERY_FRAME

Picture = Callable[[float], np.ndarray]
WALL = np.random.default_rng(0).integers(60, 180, (48, 48, 3)).astype(np.uint8)
SIDE = 48


def wall(time_s: float) -> np.ndarray:
    return WALL


def noisy(level: float) -> Picture:
    draw = np.random.default_rng(1)
    return lambda time_s: np.clip(WALL + draw.normal(0, level, WALL.shape), 0, 255).astype(np.uint8)


def with_object(since_s: float, *, size: int = 24) -> Picture:
    """From then on something covers a part of the wall."""

    def picture(time_s: float) -> np.ndarray:
        image = WALL.copy()
        if time_s >= since_s:
            image[:size, :size] = 250
        return image

    return picture


class Film(vj.Source):
    """Pictures at 4 a second."""

    live = False

    def __init__(self, picture: Picture, seconds: float = 20.0) -> None:
        self.name, self._picture, self._count = "film", picture, round(seconds * 4)

    def frames(self, hints: vj.Hints = EVERY_FRAME) -> Iterator[vj.Frame]:
        for index in range(self._count):
            yield vj.Frame(image=self._picture(index / 4), time_s=index / 4, index=index, duration_s=0.25)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Told:
    """Every window of a run."""

    windows: list[vj.Window] = field(default_factory=list)
    rows: list[tuple[str, np.ndarray]] = field(default_factory=list)

    def take(self, window: vj.Window, query: str, embedding: np.ndarray) -> None:
        if not self.windows or self.windows[-1].index != window.index:
            self.windows.append(window)
        self.rows.append((query, embedding))

    @property
    def encoded(self) -> list[int]:
        return [window.index for window in self.windows if not window.carried]


def run(
    model: vj.Model, picture: Picture, *, seconds: float = 20.0, **options: Any
) -> tuple[Told, vj.SessionStats]:
    told = Told()
    with model.session(select="every", decode="never", **options) as session:
        list(session.run(Film(picture, seconds), on_window=told.take))
        return told, session.stats


def test_a_still_scene_is_encoded_once_and_every_window_has_its_embedding(model: vj.Model) -> None:
    told, stats = run(model, wall, carry_s=60)
    dense, _ = run(model, wall)
    assert told.encoded == [0]
    assert (stats.windows, stats.carried, stats.tokens, stats.tokens_of) == (20, 19, 8, 160)
    assert stats.latency["encode"].count == stats.latency["predict"].count == 1
    assert stats.tokens_saved == pytest.approx(0.95)
    assert [window.end_s for window in told.windows] == [window.end_s for window in dense.windows]
    for (query, mine), (asked, theirs) in zip(told.rows, dense.rows, strict=True):
        assert query == asked
        np.testing.assert_array_equal(mine, theirs)


def test_by_default_every_window_is_encoded(model: vj.Model) -> None:
    told, stats = run(model, wall)
    assert len(told.encoded) == stats.windows == 20
    assert stats.carried == stats.tokens_saved == 0


@pytest.mark.parametrize(
    ("carry_s", "encoded"), [(5.0, [0, 6, 12, 18]), (1.0, [*range(0, 20, 2)]), (0.5, [*range(20)])]
)
def test_an_embedding_is_carried_for_so_long_at_most(
    model: vj.Model, carry_s: float, encoded: list[int]
) -> None:
    assert run(model, wall, carry_s=carry_s)[0].encoded == encoded


@pytest.mark.parametrize("level", [1.0, 4.0, 9.0])
def test_noise_is_no_news(model: vj.Model, level: float) -> None:
    assert len(run(model, noisy(level), carry_s=60)[0].encoded) <= 2


def test_the_first_window_that_shows_something_new_is_encoded(model: vj.Model) -> None:
    told, _ = run(model, with_object(9.75), carry_s=60)
    first = next(window.index for window in told.windows if window.end_s > 9.75)
    assert told.encoded[:2] == [0, first]
    assert told.encoded[-1] <= first + 2  # and it is carried in its turn, once it fills a window


def test_what_comes_slowly_adds_up(model: vj.Model) -> None:
    def fading(time_s: float) -> np.ndarray:
        image = WALL.astype(np.float32)
        image[:24, :24] += 0.75 * time_s  # less than a level from window to window
        return np.clip(image, 0, 255).astype(np.uint8)

    encoded = run(model, fading, seconds=40, carry_s=600)[0].encoded
    assert 2 <= len(encoded) <= 8


def test_slow_light_is_encoded_now_and_then_and_a_lamp_at_once(model: vj.Model) -> None:
    encoded = run(
        model, lambda time_s: (WALL * (1 + time_s / 200)).astype(np.uint8), seconds=40, carry_s=600
    )[0].encoded
    assert 2 <= len(encoded) <= 8
    lamp = run(model, lambda time_s: (WALL * (1.3 if time_s >= 9.75 else 1.0)).astype(np.uint8), carry_s=600)[
        0
    ]
    assert any(lamp.windows[index].end_s - 1 <= 9.75 < lamp.windows[index].end_s for index in lamp.encoded)


def test_a_moving_camera_has_every_window_encoded(model: vj.Model) -> None:
    told, _ = run(model, lambda time_s: np.roll(WALL, int(8 * time_s), axis=1), carry_s=60)
    assert len(told.encoded) == 20


def test_another_size_of_the_same_scene_is_the_same_scene(model: vj.Model) -> None:
    def grows(time_s: float) -> np.ndarray:
        return WALL if time_s < 10 else WALL.repeat(2, 0).repeat(2, 1)

    assert run(model, grows, carry_s=60)[0].encoded == [0]


def test_several_queries_keep_their_own_embedding(model: vj.Model) -> None:
    queries = ("what is happening ?", "what is there ?")
    told, stats = run(model, with_object(5.0), carry_s=60, query=queries)
    dense, _ = run(model, with_object(5.0), query=queries)
    assert stats.carried > 10
    assert [query for query, _ in told.rows] == list(queries) * 20
    for (_, mine), (_, theirs) in zip(told.rows, dense.rows, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_new_query_is_answered_from_the_next_window_on(model: vj.Model) -> None:
    told, other = Told(), "what is there ?"
    with model.session(select="every", decode="never", carry_s=60) as session:
        for number, _ in enumerate(session.run(Film(wall), on_window=told.take)):
            if number == 5:
                session.ask([other])
    asked = [query for query, _ in told.rows]
    assert asked == [model.prompts["caption"]] * 5 + [other] * 15
    assert told.encoded == [0, 5]


def test_streams_of_a_group_give_what_they_give_alone(model: vj.Model) -> None:
    pictures = {"wall": wall, "object": with_object(7.0), "noise": noisy(3.0)}
    told = {name: Told() for name in pictures}
    with vj.SessionGroup(batch=2) as group:
        for name in pictures:
            session = model.session(select="every", decode="never", carry_s=60)
            group.add(
                Film({**pictures, "noise": noisy(3.0)}[name]), session, name=name, on_window=told[name].take
            )
        list(group.run())
        carried = {name: stats.session.carried for name, stats in group.stats.items()}
    assert not group.failures
    for name, picture in {**pictures, "noise": noisy(3.0)}.items():
        alone, stats = run(model, picture, carry_s=60)
        assert told[name].encoded == alone.encoded
        assert carried[name] == stats.carried > 0
        for (_, mine), (_, theirs) in zip(told[name].rows, alone.rows, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_both_together_and_what_is_unknown_stays_so() -> None:
    model = vj.load("tiny", threads=1)
    grey = np.full((96, 96, 3), 128, np.uint8)
    told, stats = run(model, lambda time_s: grey, seconds=6, carry_s=60)
    assert [window.unknown for window in told.windows] == [True] * len(told.windows)
    assert stats.carried == len(told.windows) - 1
    told, stats = run(model, lambda time_s: grey, seconds=6, carry_s=2, tokens="static")
    assert {window.unknown for window in told.windows} == {None}
    assert stats.tokens == 64 * len(told.encoded)


@pytest.mark.parametrize(
    "options", [{"carry_s": 5.0}, {"tokens": "static"}, {"carry_s": 5.0, "tokens": "static"}]
)
@pytest.mark.parametrize("stride_s", [0.5, 1.0])
def test_a_picture_is_looked_at_once_by_all_windows_that_show_it(
    model: vj.Model, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], stride_s: float
) -> None:
    looked: list[int] = []
    plain = patches.shrink
    monkeypatch.setattr(patches, "shrink", lambda frame, pre: (looked.append(1), plain(frame, pre))[1])
    for picture in (wall, with_object(9.0), lambda time_s: np.roll(WALL, int(8 * time_s), axis=1)):
        looked.clear()
        run(model, picture, stride_s=stride_s, **options)
        assert len(looked) == 80  # 20 s of 4 a second


def test_nothing_is_made_for_a_window_that_keeps_its_embedding(
    model: vj.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[int] = []
    plain = token_selection.patchify
    monkeypatch.setattr(token_selection, "patchify", lambda clip: (cut.append(id(clip)), plain(clip))[1])
    told, stats = run(model, with_object(9.75), carry_s=60)
    assert len(cut) == len(told.encoded) == stats.windows - stats.carried < 5


@pytest.mark.parametrize("size", [12, 24])
@pytest.mark.parametrize("level", [0.0, 4.0, 9.0])
def test_what_comes_is_seen_in_its_first_window_in_light_that_drifts_and_flickers(
    model: vj.Model, level: float, size: int
) -> None:
    draw = np.random.default_rng(7)

    def picture(time_s: float) -> np.ndarray:
        light = 1 + 0.004 * time_s + 0.01 * np.sin(46 * time_s)
        image = WALL * light + draw.normal(0, level, WALL.shape)
        if time_s >= 24.75:
            image[:size, :size] = 250
        return np.clip(image, 0, 255).astype(np.uint8)

    told, stats = run(model, picture, seconds=30, carry_s=600)
    first = next(window.index for window in told.windows if window.end_s > 24.75)
    assert first in told.encoded
    assert stats.carried > 20


def test_a_camera_that_is_noisy_no_more_is_compared_as_a_quiet_one(model: vj.Model) -> None:
    draw = np.random.default_rng(8)

    def picture(time_s: float) -> np.ndarray:
        image = WALL + draw.normal(0, 40 if time_s < 15 else 1, WALL.shape)
        image[:24, :24] += 16 * (time_s >= 29.75)  # which the noise of before would hide
        return np.clip(image, 0, 255).astype(np.uint8)

    told, _ = run(model, picture, seconds=36, carry_s=600)
    assert next(window.index for window in told.windows if window.end_s > 29.75) in told.encoded


@pytest.mark.parametrize("carry_s", [-1, float("nan"), float("inf"), "10", None, True])
def test_what_is_no_time_is_refused(model: vj.Model, carry_s: Any) -> None:
    with pytest.raises(vj.InputError, match="carry_s"):
        model.session(carry_s=carry_s)


def test_a_budget_that_no_window_has_is_refused_at_once(model: vj.Model) -> None:
    with pytest.raises(vj.InputError, match="at most the window's 8 tokens, got 9"):
        model.session(tokens="budget:9")
