"""Whether a window shows nothing known: distances beside SciPy's own, hostile files, and what a session makes of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.alerts import Alert
from vljepa_runtime.novelty import JudgedWindows, Novelty
from vljepa_runtime.sources import Frame

RNG = np.random.default_rng(5)


def fitted(rank: int = 2, width: int = 4) -> Novelty:
    directions = np.stack([np.linalg.qr(RNG.normal(size=(width, width)))[0].T[:rank] for _ in range(2)])
    return Novelty(
        mean=np.stack([np.zeros(width), np.full(width, 5.0)]),
        directions=directions,
        variances=RNG.uniform(1, 2, (2, rank)),
        rest=np.array([0.5, 0.25]),
    )


def test_distances_are_those_to_the_nearest_gaussian_with_the_whole_covariance() -> None:
    novelty, rows = fitted(), RNG.normal(size=(9, 4)) * 4
    wanted = []
    for mean, along, variances, rest in zip(
        novelty.mean, novelty.directions, novelty.variances, novelty.rest, strict=True
    ):
        covariance = along.T @ np.diag(variances - rest) @ along + rest * np.eye(4)
        away = rows - mean
        wanted.append(np.einsum("wi,ij,wj->w", away, np.linalg.inv(covariance), away) / 4)
    assert novelty.distances(rows) == pytest.approx(np.min(wanted, axis=0), rel=1e-6)


def test_what_is_written_is_read() -> None:
    rows = RNG.normal(size=(5, 4))
    again = Novelty.from_bytes(fitted().to_bytes())
    assert again.to_bytes() == Novelty.from_bytes(again.to_bytes()).to_bytes()
    assert again.distances(rows).shape == (5,)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: {"mean": one.mean[:, :3]},
        lambda one: {"variances": -one.variances},
        lambda one: {"variances": one.variances * np.nan},
        lambda one: {"rest": one.rest * 0},
        lambda one: {"mean": np.full_like(one.mean, np.inf)},
        lambda one: {"directions": one.directions[0]},
        lambda one: {"directions": np.zeros((2, 4, 4)), "variances": np.ones((2, 4))},
    ],
    ids=["width", "negative", "nan", "zero", "infinite", "axes", "rank"],
)
def test_impossible_numbers_are_refused(change: Callable[[Novelty], dict[str, np.ndarray]]) -> None:
    with pytest.raises(vj.BundleError, match=r"novelty.safetensors: expected .* export it again"):
        replace(fitted(), **change(fitted()))


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 64, b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "zeros", "nothing"]
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(vj.BundleError, match=r"novelty\.safetensors"):
        Novelty.from_bytes(data)


def test_a_segment_is_unknown_when_most_of_its_windows_are() -> None:
    judged = JudgedWindows()
    assert judged.unknown(0, 9) is None
    for time_s, unknown in enumerate([True, True, False, False, False]):
        judged.add(time_s, unknown)
    assert judged.unknown(0, 2) is True
    assert judged.unknown(0, 3) is False  # half is not most
    assert judged.unknown(7, 9) is None
    judged.add(5, True, weight=10)  # a held picture
    assert judged.unknown(0, 5) is True
    judged.add(6, None)  # which nobody could judge
    assert judged.unknown(6, 6) is None


def test_time_that_runs_backwards_hides_nothing() -> None:
    judged = JudgedWindows()
    for time_s, unknown in [(50.0, True), (51.0, True), (0.0, False), (1.0, False), (2.0, False)]:
        judged.add(time_s, unknown)
    assert judged.unknown(0, 2) is False
    assert judged.unknown(1, 2) is False


def test_what_is_remembered_of_windows_takes_no_more_than_a_megabyte_in_days() -> None:
    judged = JudgedWindows()
    tracemalloc.start()
    try:
        for second in range(200_000):
            judged.add(float(second), second % 3 == 0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2e6  # while an array grows, there are two of it
    assert judged.unknown(199_998, 199_998) is True
    assert judged.unknown(180_000, 199_999) is False
    assert judged.unknown(0, 10_000) is None


def test_a_bundle_whose_statistics_are_of_another_encoder_is_refused() -> None:
    shipped = vj.Bundle.open("tiny")
    files = {name: shipped.read(name) for name in shipped.manifest.files}
    files["novelty.safetensors"] = fitted().to_bytes()
    with (
        vj.Bundle.in_memory(shipped.manifest, files) as bundle,
        pytest.raises(vj.BundleError, match="tokens of 4 values, the X-encoder gives 192: export"),
    ):
        vj.Model(bundle, vj.open_engine("onnxruntime:cpu"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kept": 1.5}, "novelty.kept: expected a number from 0 to 1"),
        ({"threshold": 0}, "novelty.threshold: expected a finite number above 0"),
        ({"windows": 0}, "novelty.windows: expected a whole number above 0"),
        ({"data": ""}, "novelty.data: expected text that is not empty"),
        ({"file": "../other.safetensors"}, "expected a plain file name inside the bundle"),
        ({"file": "other.safetensors"}, "names files without size and hash: other.safetensors"),
        ({"more": 1}, "more"),
    ],
    ids=["kept", "threshold", "windows", "data", "path", "unlisted", "more"],
)
def test_an_entry_that_says_something_else_is_refused(entry: dict[str, object], message: str) -> None:
    shipped = vj.Bundle.open("tiny")
    said = shipped.manifest.to_dict()
    files = {name: shipped.read(name) for name in shipped.manifest.files}
    with pytest.raises(vj.BundleError, match=message):
        vj.Bundle.in_memory(vj.Manifest.from_dict(said | {"novelty": said["novelty"] | entry}), files)


class Walls(vj.Source):
    """Grey, after some seconds of what the world shows."""

    name = "walls"

    def __init__(self, known: list[np.ndarray]) -> None:
        self.images = [*known, *[np.full((96, 96, 3), 90 + 5 * (i % 2), np.uint8) for i in range(32)]]

    def frames(self, hints: vj.Hints = vj.EVERY_FRAME) -> Iterator[Frame]:
        for index, image in enumerate(self.images):
            yield Frame(image=image, time_s=index / 8, index=index, duration_s=1 / 8)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def walls() -> Walls:
    world = pytest.importorskip("vljepa_data.world")
    return Walls(list(world.make_stream(3, minutes=0.1)))


@pytest.mark.parametrize(("decode", "words"), [("auto", False), ("always", True), ("never", False)])
def test_words_of_what_is_unknown_are_made_where_they_are_asked_for(
    walls: Walls, decode: str, words: bool
) -> None:
    with vj.load("tiny").session(select="every", decode=decode) as session:
        events = [event for event in session.run(walls) if event.kind == "segment"]
        stats = session.stats
    unknown = [event for event in events if event.unknown]
    assert events[0].unknown is False
    assert unknown[-1] is events[-1]
    assert stats.unknown == len(unknown)
    assert {bool(event.text) for event in unknown} == {words}
    assert {event.shown for event in unknown if not event.text} <= {"nothing I know"}
    assert stats.decodings == (
        0 if decode == "never" else len(events) if words else len(events) - len(unknown)
    )


def test_where_nobody_can_tell_it_is_null(walls: Walls) -> None:
    model = vj.load("tiny")
    with model.session(select="every", tokens="budget:128", decode="never") as session:
        assert {event.unknown for event in session.run(walls)} == {None}
    assert model.is_unknown(model.encode(walls.images[-1][None], tokens="budget:128")) is None
    with pytest.raises(vj.InputError, match=r"expected visual tokens \(N, 192\)"):
        model.is_unknown(np.zeros((256, 5), np.float32))


def test_a_label_is_told_with_the_flag(walls: Walls) -> None:
    with vj.load("tiny").session(labels=["a white box bounces", "a red ball jumps"]) as session:
        answers = [event for event in session.run(walls) if event.kind == "answer"]
    assert all(event.text for event in answers)
    assert answers[0].unknown is False


def test_an_alert_is_told_with_the_flag(walls: Walls) -> None:
    """Its threshold was calibrated on what its camera shows, so nothing is held back."""
    model = vj.load("tiny")
    alert = Alert(text="a white box bounces", threshold=-1.0, hold_s=0)
    grey, known = Walls([]), Walls([])
    known.images = walls.images[: -len(grey.images)]
    for source, unknown in ((grey, True), (known, False)):
        with model.session(decode="never", alerts=[alert]) as session:
            told = [event.unknown for event in session.run(source) if event.kind == "alert"]
        assert told == [unknown, unknown]  # its begin and its end
