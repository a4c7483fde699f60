"""Offline selection by a network: whole events, the surest boundaries first, and what counts where no network fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.selection import (
    Boundaries,
    BoundaryNet,
    Observation,
    OfflineSelection,
    OfflineWard,
    OnlineSelection,
    decisions_between,
    observe,
    parse_policy,
    run_policy,
)

STRIDE_S, WINDOW_S, WIDTH = 0.5, 2.0, 16
LENGTHS = (20, 9, 14, 12)  # of events, in strides


def net(stride_s: float = STRIDE_S) -> BoundaryNet:
    """Says so where the last two of seven windows agree, and neither agrees with the first two; surer the farther."""
    pairs = list(zip(*np.tril_indices(7, -1)))
    weight = np.zeros((len(pairs), 1), np.float32)
    for pair, value in {(6, 5): -40.0, (6, 0): 10.0, (5, 0): 10.0, (6, 4): 8.0, (5, 4): 4.0}.items():
        weight[pairs.index(pair)] = value
    return BoundaryNet(stride_s=stride_s, weights=(weight,), biases=(np.array([-14], np.float32),))


def rows_of(lengths: tuple[int, ...], alike: tuple[int, float] | None = None) -> np.ndarray:
    """(T, WIDTH) windows over events of so many strides; an event may be nearly the one before."""
    meanings = np.linalg.qr(np.random.default_rng(3).normal(size=(WIDTH, WIDTH)))[0]
    if alike is not None:
        event, far = alike
        meanings[event] = (1 - far) * meanings[event - 1] + far * meanings[event]
    meanings /= np.linalg.norm(meanings, axis=1, keepdims=True)
    which, span = np.repeat(np.arange(len(lengths)), lengths), round(WINDOW_S / STRIDE_S)
    return np.array(
        [meanings[which[start : start + span]].mean(axis=0) for start in range(len(which) - span + 1)]
    )


def stream(alike: tuple[int, float] | None = None, stride_s: float = STRIDE_S) -> list[Observation]:
    """Windows of these events."""
    rows = rows_of(LENGTHS, alike)
    return list(observe(rows, stride_s * np.arange(len(rows)) + WINDOW_S / 2, window_s=WINDOW_S))


def offline(*segments: int, **options: object) -> OfflineSelection:
    """With the network above."""
    return OfflineSelection(*segments, boundaries=(net(),), **{"boundary": 0.5, **options})  # type: ignore[arg-type]


STARTS_S = STRIDE_S * np.cumsum([0, *LENGTHS[:-1]])


def test_each_event_is_the_mean_of_all_windows_that_show_it_alone() -> None:
    seen = stream()
    told = run_policy(offline(), seen)
    assert [each.start_s for each in told] == STARTS_S.tolist()
    assert [each.end_s for each in told] == [*STARTS_S[1:].tolist(), seen[-1].end_s]
    meanings = rows_of(LENGTHS)[[0, 20, 29, 43]]
    np.testing.assert_allclose([each.embedding for each in told], meanings, atol=1e-5)
    assert [each.change for each in told] == [None, *[pytest.approx(1, abs=1e-5)] * 3]


@pytest.mark.parametrize("options", [{"segments": 3}, {"per_minute": 3 * 60 / 27.5}])
def test_the_surest_boundaries_come_first(options: dict[str, float]) -> None:
    policy = replace(offline(), **options)  # type: ignore[arg-type]
    for event in (1, 2, 3):
        told = run_policy(policy, stream(alike=(event, 0.75)))
        assert [each.start_s for each in told] == np.delete(STARTS_S, event).tolist()


def test_what_is_asked_for_is_a_most() -> None:
    assert len(run_policy(offline(50), stream())) == len(LENGTHS)
    assert len(run_policy(offline(1), stream())) == 1


def test_two_boundaries_are_never_near() -> None:
    random = np.random.default_rng(0)
    seen = list(observe(random.normal(size=(400, WIDTH)), STRIDE_S * np.arange(400), window_s=WINDOW_S))
    wild = BoundaryNet(
        stride_s=STRIDE_S,
        weights=(random.normal(size=(21, 1)).astype(np.float32),),
        biases=(np.zeros(1, np.float32),),
    )
    starts = [each.start_s for each in run_policy(OfflineSelection(boundaries=(wild,)), seen)]
    assert len(starts) > 20
    assert np.diff(starts).min() >= 1.5


HELD = replace(stream()[-1], held=3, index=99)


@pytest.mark.parametrize(
    "seen", [stream(stride_s=1.0), [*stream(), HELD]], ids=["another stride", "a held picture"]
)
def test_where_no_network_fits_ward_splits_or_distances_do(seen: list[Observation]) -> None:
    for ours, theirs in (
        (offline(3), OfflineWard(3)),
        (offline(per_minute=9), OfflineWard(per_minute=9)),
        (offline(), OnlineSelection()),
    ):
        told = [(each.start_s, each.end_s, each.embedding.tolist()) for each in run_policy(theirs, seen)]
        assert [
            (each.start_s, each.end_s, each.embedding.tolist()) for each in run_policy(ours, seen)
        ] == told
    assert len(run_policy(OfflineSelection(), stream())) == len(run_policy(OnlineSelection(), stream()))


def test_a_session_gives_it_the_networks_of_its_query() -> None:
    known = Boundaries(nets=(net(),), query="What happens?")
    assert parse_policy("offline") == OfflineSelection()
    assert parse_policy("offline:3") == OfflineSelection(3)
    assert OfflineSelection(3).knowing(known, "What happens?") == replace(
        OfflineSelection(3), boundaries=known.nets
    )
    assert OfflineSelection().knowing(known, "Who?").boundaries == ()
    assert (chosen := offline()).knowing(known, "Who?") is chosen
    assert OfflineSelection().knowing(None, "Who?") == OfflineSelection()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"segments": 3, "per_minute": 2}, "expected either segments or per_minute, got both"),
        ({"segments": 0}, "segments"),
        ({"per_minute": 0}, "per_minute"),
        ({"boundary": 1}, "0 < boundary < 1"),
        ({"boundary": float("nan")}, "boundary"),
    ],
)
def test_what_it_cannot_be(options: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        OfflineSelection(**options)  # type: ignore[arg-type]


def test_windows_near_a_boundary_count_where_there_are_no_others() -> None:
    seen = stream()  # the second event is from 10 s to 14.5 s
    meanings = rows_of(LENGTHS)
    for end_s, margin_s, first, stop in (
        (14.5, 0.0, 20, 26),
        (14.5, 0.5, 21, 25),
        (12.5, 0.5, 20, 22),  # 10 to 12 and 10.5 to 12.5, and none from 10.5 to 12
        (12.5, 0.25, 20, 22),
    ):
        (found,) = decisions_between(seen, [(10.0, end_s)], margin_s=margin_s)
        mean = meanings[first:stop].mean(axis=0)
        np.testing.assert_allclose(found.embedding, mean / np.linalg.norm(mean), atol=1e-6)


def test_a_stretch_shorter_than_a_window_gets_the_nearest() -> None:
    seen = stream()
    (found,) = decisions_between(seen, [(10.25, 11.0)])
    assert (found.start_s, found.end_s, found.time_s) == (10.25, 11.0, 10.625)
    nearest = min(seen, key=lambda each: abs(each.time_s - 10.625))
    np.testing.assert_allclose(
        found.embedding, nearest.embedding / np.linalg.norm(nearest.embedding), atol=1e-6
    )
