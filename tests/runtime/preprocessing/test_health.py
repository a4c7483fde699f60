"""What is said of the pictures of a live stream: frozen, black, and well again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

import vljepa_runtime as vj
from vljepa_runtime.preprocessing.health import PictureHealth

UInt8 = npt.NDArray[np.uint8]
Script = Callable[[float], UInt8]
PRE = vj.Preprocess(frames=4, fps=2, size=32, patch=8)
SCENE = np.random.default_rng(0).integers(30, 220, (36, 64, 3), np.uint8)


def noisy(picture: UInt8, level: float, seed: int) -> UInt8:
    noise = np.random.default_rng(seed).normal(0, level, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def scene(time_s: float) -> UInt8:
    return noisy(SCENE, 1.0, round(time_s * 4))


def cover(time_s: float) -> UInt8:
    return noisy(np.full_like(SCENE, 3), 2.0, round(time_s * 4))


def told(script: Script, seconds: float, *, stride_s: float = 1.0) -> list[tuple[float, str]]:
    """When something was said, and of which kind."""
    sampler, health = vj.WindowSampler(PRE, stride_s), PictureHealth()
    found = []
    for index in range(round(seconds * 4)):
        for window in sampler.push(vj.Frame(image=script(index / 4), time_s=index / 4, index=index)):
            if said := health.push(window):
                found.append((window.end_s, said.kind))
    return found


def still(time_s: float) -> UInt8:
    return SCENE


def a_night_with_key_frames(time_s: float) -> UInt8:
    """As H.264 gives a still scene: the same to the bit up to the next key frame."""
    return scene(time_s // 10)


def frozen_for_a_minute(time_s: float) -> UInt8:
    return scene(min(time_s, 10) if time_s < 70 else time_s)


def covered_for_a_while(time_s: float) -> UInt8:
    return cover(time_s) if 10 <= time_s < 30 else scene(time_s)


def a_hand(time_s: float) -> UInt8:
    return cover(time_s) if 10 <= time_s < 14 else scene(time_s)


def night(time_s: float) -> UInt8:
    """Nearly black, and a lamp."""
    picture = cover(time_s)
    picture[8:20, 8:20] = 240
    return picture


def dead(time_s: float) -> UInt8:
    """A sensor that gives nothing, then the same picture for ever."""
    return np.zeros_like(SCENE) if time_s < 45 else SCENE


def at_the_limit(time_s: float) -> UInt8:
    return noisy(np.full_like(SCENE, 14 if time_s % 2 < 1 or time_s < 12 else 17), 1.0, round(time_s * 4))


@pytest.mark.parametrize(
    ("script", "kinds"),
    [
        (scene, []),
        (a_night_with_key_frames, []),
        (a_hand, []),
        (night, []),
        (still, ["frozen"]),
        (frozen_for_a_minute, ["frozen", "restored"]),
        (covered_for_a_while, ["black", "restored"]),
        (at_the_limit, ["black"]),
        (dead, ["black", "restored", "frozen"]),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_what_is_told(script: Script, kinds: list[str]) -> None:
    assert [kind for _, kind in told(script, 80)] == kinds


@pytest.mark.parametrize("stride_s", [0.5, 1.0, 4.0])
def test_when_it_is_told(stride_s: float) -> None:
    (frozen_s, _), (changed_s, _) = told(frozen_for_a_minute, 90, stride_s=stride_s)
    assert 10 + 30 <= frozen_s <= 10 + 30 + 2 + 2 * stride_s
    assert 70 <= changed_s <= 70 + 2 * stride_s
    (black_s, _), (light_s, _) = told(covered_for_a_while, 60, stride_s=stride_s)
    assert 10 + 5 <= black_s <= 10 + 5 + 2 * stride_s
    assert 30 <= light_s <= 30 + stride_s


class Camera(vj.Source):
    """Pictures by a script, and a loss on the way."""

    def __init__(self, script: Script, seconds: float, *, live: bool = True, lost_s: float = -1.0) -> None:
        self.name, self.live = "door", live
        self._script, self._seconds, self._lost_s = script, seconds, lost_s

    def frames(self, hints: vj.Hints = vj.EVERY_FRAME) -> Iterator[vj.Frame | vj.SourceStatus]:
        for index in range(round(self._seconds * 4)):
            if index / 4 == self._lost_s:
                yield vj.SourceStatus(kind="reconnecting", message="the cable is out")
            yield vj.Frame(image=self._script(index / 4), time_s=index / 4, index=index)

    def close(self) -> None:
        """Nothing is held."""


def statuses(events: list[vj.Event]) -> list[str]:
    return [event.text for event in events[1:] if event.kind == "status"]


def test_a_live_session_says_it_and_shows_it(model: vj.Model) -> None:
    with model.session(decode="never") as session:
        events = []
        for event in session.run(Camera(frozen_for_a_minute, 80)):
            events.append(event)
            if event.text.startswith("frozen"):
                assert session.picture.kind == "frozen"
                assert session.picture.for_s >= 30
        assert session.picture.kind == ""
    frozen, restored = statuses(events)
    assert frozen.startswith("frozen: the same picture for 3")
    assert restored.startswith("restored: the picture changes again, after ")


def test_a_group_says_it_and_shows_it(model: vj.Model) -> None:
    with vj.SessionGroup() as group:
        group.add(Camera(still, 60), model.session(decode="never"), name="still")
        group.add(Camera(scene, 60), model.session(decode="never"), name="well")
        events = list(group.run())
    assert [event.stream for event in events if event.text.startswith("frozen: ")] == ["still"]
    assert group.stats["still"].picture.kind == "frozen"
    assert group.stats["well"].picture == vj.PictureState()


def test_a_file_may_stand_still(model: vj.Model) -> None:
    with model.session(decode="never") as session:
        assert statuses(list(session.run(Camera(still, 60, live=False)))) == []
        assert session.picture.kind == ""


def test_a_loss_begins_anew(model: vj.Model) -> None:
    with model.session(decode="never") as session:
        said = statuses(list(session.run(Camera(still, 44, lost_s=20.0))))
    assert said == ["reconnecting: the cable is out"]
