"""What tells events apart: its network against scikit-learn's, its file, and what a policy makes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, pairwise, repeat

import numpy as np
import pytest

from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files.tensors import pack
from vljepa_runtime.selection import (
    Boundaries,
    BoundaryNet,
    Decision,
    Observation,
    OnlineSelection,
    calibrate,
    last_windows,
    observe,
    pair_distances,
    run_policy,
)

STRIDE_S, WINDOW_S, WIDTH = 0.5, 2.0, 16


def net_of(*widths: int, seed: int = 0, stride_s: float = STRIDE_S) -> BoundaryNet:
    random = np.random.default_rng(seed)
    shapes = list(pairwise(widths))
    return BoundaryNet(
        stride_s=stride_s,
        weights=tuple(random.normal(size=shape).astype(np.float32) for shape in shapes),
        biases=tuple(random.normal(size=shape[1]).astype(np.float32) for shape in shapes),
    )


def simple() -> BoundaryNet:
    """Says so where the last two of seven windows agree, and neither agrees with the first two."""
    pairs = list(zip(*np.tril_indices(7, -1)))
    weight = np.zeros((len(pairs), 1), np.float32)
    for pair, value in {(6, 5): -40.0, (6, 0): 10.0, (5, 0): 10.0, (6, 4): 8.0, (5, 4): 4.0}.items():
        weight[pairs.index(pair)] = value
    return BoundaryNet(stride_s=STRIDE_S, weights=(weight,), biases=(np.array([-14], np.float32),))


def stream(*lengths: int, noise: float = 0.0) -> list[Observation]:
    """Events of so many strides each; a window that overlaps two of them is a mixture."""
    random = np.random.default_rng(3)
    meanings = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0]
    which = np.repeat(np.arange(len(lengths)), lengths)
    span = round(WINDOW_S / STRIDE_S)
    rows = [meanings[which[start : start + span]].mean(axis=0) for start in range(len(which) - span + 1)]
    rows = [row + noise * random.normal(size=WIDTH) / WIDTH**0.5 for row in rows]
    middles = STRIDE_S * np.arange(len(rows)) + WINDOW_S / 2
    return list(observe(np.array(rows), middles, window_s=WINDOW_S))


def test_before_the_first_window_there_is_the_first_again() -> None:
    rows = np.arange(3, dtype=np.float32)[:, None]
    assert last_windows(rows, 2)[..., 0].tolist() == [[0, 0], [0, 1], [1, 2]]


def test_a_whole_stream_is_seen_moment_by_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.selection.boundaries.BLOCK", 7)
    net, rows = net_of(15, 8, 1), np.random.default_rng(0).normal(size=(30, WIDTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    one_by_one = [net.probability(rows[np.maximum(np.arange(now - 5, now + 1), 0)]) for now in range(30)]
    np.testing.assert_allclose(net.along(rows), one_by_one, rtol=1e-5)


def test_it_computes_what_scikit_learn_does() -> None:
    networks = pytest.importorskip("sklearn.neural_network")
    net = net_of(15, 8, 4, 1)
    random = np.random.default_rng(1)
    embeddings = random.normal(size=(20, 6, WIDTH)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    distances = pair_distances(embeddings)
    theirs = networks.MLPClassifier((8, 4)).partial_fit(distances, np.arange(20) % 2, classes=[0, 1])
    theirs.coefs_, theirs.intercepts_ = list(net.weights), list(net.biases)
    expected = theirs.predict_proba(distances)[:, 1]
    np.testing.assert_allclose(net.probabilities(distances), expected, rtol=1e-5)
    np.testing.assert_allclose([net.probability(each) for each in embeddings], expected, rtol=1e-5)
    metrics = pytest.importorskip("sklearn.metrics")
    cosine = metrics.pairwise.cosine_distances(embeddings[0])
    np.testing.assert_allclose(distances[0], cosine[np.tril_indices(6, -1)], atol=1e-6)


def known(*nets: BoundaryNet) -> Boundaries:
    return Boundaries(nets=nets, query="What happens?", data="somewhere", streams=3)


def test_it_survives_its_file() -> None:
    before = known(net_of(15, 8, 1), net_of(3, 1, stride_s=1.0))
    again = Boundaries.from_bytes(before.to_bytes())
    assert [(net.stride_s, net.windows) for net in again.nets] == [(0.5, 6), (1.0, 3)]
    assert (again.query, again.data, again.streams) == ("What happens?", "somewhere", 3)
    assert again.to_bytes() == before.to_bytes()
    assert Boundaries.from_bytes(known().to_bytes()).nets == ()


SAID = {"strides_s": "0.5", "query": "q", "data": "", "streams": "1"}
WEIGHT, BIAS = np.ones((3, 1), np.float32), np.ones(1, np.float32)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tensors at all",
        bytes(2 << 20),
        pack({}, {}),
        pack({}, SAID | {"strides_s": "often"}),
        pack({}, SAID),
        pack({"0.0.weight": WEIGHT}, SAID),
        pack({"0.0.weight": WEIGHT, "0.0.bias": BIAS}, SAID | {"streams": "many"}),
        pack({"0.0.weight": WEIGHT, "0.0.bias": BIAS}, SAID | {"strides_s": "inf"}),
        pack({"0.0.weight": WEIGHT, "0.0.bias": BIAS}, SAID | {"strides_s": "-0.5"}),
        pack({"0.0.weight": WEIGHT.astype(float), "0.0.bias": BIAS}, SAID),
        pack({"0.0.weight": WEIGHT, "0.0.bias": BIAS, "x": BIAS}, SAID),
    ],
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"boundaries\.safetensors"):
        Boundaries.from_bytes(data)


def test_nets_are_for_one_query() -> None:
    found = known(net_of(3, 1), net_of(3, 1, stride_s=1.0))
    assert found.nets_of("What happens?") == found.nets
    assert found.nets_of("What is there?") == ()


@pytest.mark.parametrize(("apart_s", "segments"), [(0.5, 4), (0.95, 1), (0.7, None), (2.0, None)])
def test_the_net_that_was_fitted_to_windows_so_far_apart_has_the_word(
    apart_s: float, segments: int | None
) -> None:
    blind = replace(simple(), stride_s=1.0, biases=(np.array([-30], np.float32),))
    seen = [
        replace(each, start_s=index * apart_s, end_s=index * apart_s + 2)
        for index, each in enumerate(stream(9, 9, 9, 9))
    ]
    found, by_distance = (
        [each.time_s for each in run_policy(OnlineSelection(boundaries=nets, boundary=0.5), seen)]
        for nets in ((simple(), blind), ())
    )
    assert found == by_distance if segments is None else len(found) == segments


@pytest.mark.parametrize("widths", [(4, 1), (3, 2), (3, 2, 2), (1,), (2080, 1)])
def test_layers_have_to_follow_each_other(widths: tuple[int, ...]) -> None:
    with pytest.raises(BundleError, match="layers that follow"):
        net_of(*widths)


def test_numbers_have_to_be_finite() -> None:
    net = net_of(3, 1)
    with pytest.raises(BundleError, match="finite"):
        replace(net, biases=(np.array([np.nan], np.float32),))


def test_every_event_is_told_once_and_by_windows_of_its_own() -> None:
    seen = stream(9, 7, 12, 8, 10)
    starts_s = STRIDE_S * np.cumsum([0, 9, 7, 12, 8])
    found = run_policy(OnlineSelection(boundaries=(simple(),), boundary=0.5), seen)
    assert len(found) == 5
    for decision, start_s in zip(found[1:], starts_s[1:]):
        assert abs(decision.start_s - start_s) <= STRIDE_S
        pure = next(each for each in seen if each.start_s >= start_s)
        assert decision.embedding @ pure.embedding > 0.97
        assert decision.time_s - start_s >= WINDOW_S / 2


def test_it_is_decided_a_window_later_and_by_what_was_seen_alone() -> None:
    seen = stream(9, 9, 9)
    policy = OnlineSelection(boundaries=(simple(),), boundary=0.5)
    state, told = policy.start(), list[tuple[float, Decision]]()
    for each in seen:
        told += [(each.end_s, decision) for decision in state.push(each)]
    assert [round(now - decision.start_s, 2) for now, decision in told[1:]] == [3.0, 3.0]
    assert all(decision.end_s <= now for now, decision in told)
    for count in range(1, len(seen)):  # what comes changes nothing of what was told
        state = policy.start()
        before = [decision for each in seen[:count] for decision in state.push(each)]
        assert [each.time_s for each in before] == [
            decision.time_s for now, decision in told if now <= seen[count - 1].end_s
        ]


def test_what_is_not_confirmed_is_told_a_window_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, told = stream(16, 12, 14, 10), dict[bool, list[tuple[int, float]]]()
    for confirm in (True, False):
        chances = chain([0.0] * 10, [0.3, 0.95, 0.4], [0.0] * 8, [0.6, 0.9, 0.2], repeat(0.0))
        monkeypatch.setattr(BoundaryNet, "probability", lambda net, rows, chances=chances: next(chances))
        state = OnlineSelection(boundaries=(simple(),), boundary=0.5, confirm=confirm).start()
        told[confirm] = [(each.index, found.start_s) for each in seen for found in state.push(each)]
        assert state.finish() == []
    (first, *late), (same, *soon) = told[True], told[False]
    assert first == same
    assert late == [(14, 6.0), (25, 11.5)]  # one behind the surest window; begins one before it
    assert soon == [(13, 6.0), (23, 11.0)]  # at the first that is sure enough


@pytest.mark.parametrize("confirm", [1, None, "yes"])
def test_confirming_is_a_yes_or_a_no(confirm: object) -> None:
    with pytest.raises(InputError, match="confirm True or False"):
        OnlineSelection(confirm=confirm)  # type: ignore[arg-type]


def test_a_boundary_in_the_last_windows_counts() -> None:
    whole = stream(9, 9)
    policy = OnlineSelection(boundaries=(simple(),), boundary=0.5)
    cut = (
        next(n for n, each in enumerate(whole) if each.start_s >= 4.5) + 2
    )  # two windows of the second event
    assert len(run_policy(policy, whole[:cut])) == 2
    assert len(run_policy(policy, whole[: cut - 2])) == 1


def test_noise_is_no_boundary() -> None:
    assert len(run_policy(OnlineSelection(boundaries=(simple(),), boundary=0.5), stream(60, noise=0.2))) == 1


def test_the_budget_holds() -> None:
    policy = OnlineSelection(boundaries=(simple(),), boundary=0.5, per_minute=4, burst=1)
    found = run_policy(policy, stream(*[8] * 16))
    assert len(found) <= 6
    assert any(decision.merged for decision in found)


def test_a_segment_that_waits_for_its_budget_takes_nothing_of_the_next_event() -> None:
    seen = stream(9, 9, 9)
    policy = OnlineSelection(boundaries=(simple(),), boundary=0.5, min_gap_s=8.0)
    state, told = policy.start(), list[Decision]()
    for each in seen:
        told += state.push(each)
    assert [len(told), told[1].merged] == [2, 0]
    pure = next(each for each in seen if each.start_s >= 4.5)
    assert told[1].embedding @ pure.embedding > 0.999


def test_windows_that_come_otherwise_than_the_nets_are_judged_by_distance() -> None:
    regular = stream(9, 9, 9, 9)
    late = [replace(each, start_s=each.start_s * 2, end_s=each.start_s * 2 + 2) for each in regular]
    hole = [
        replace(each, start_s=each.start_s + 3600, end_s=each.end_s + 3600) if each.index > 12 else each
        for each in regular
    ]
    policy, plain = OnlineSelection(boundaries=(simple(),), boundary=0.5), OnlineSelection()
    asked, by_distance = (run_policy(each, late) for each in (policy, plain))
    assert [each.time_s for each in asked] == [each.time_s for each in by_distance]
    behind = [each for each in run_policy(policy, hole) if each.start_s > 3600]
    assert len(behind) == len(run_policy(policy, regular)) - 1  # what was before the hole is judged once


def test_calibration_finds_the_probability_for_a_rate() -> None:
    seen = stream(*[8, 10] * 8, noise=0.05)
    embeddings, times_s = (
        np.stack([each.embedding for each in seen]),
        np.array([each.time_s for each in seen]),
    )
    rates = []
    for per_minute in (3, 12):
        policy = calibrate(embeddings, times_s, per_minute, base=OnlineSelection(boundaries=(simple(),)))
        assert policy.threshold == OnlineSelection().threshold
        rates.append(len(run_policy(policy, observe(embeddings, times_s))) / (times_s[-1] / 60))
    assert rates[0] <= 3.5 < rates[1] <= 12.5


def test_weights_of_any_size_give_a_probability() -> None:
    huge = np.full((3, 1), 3e38, np.float32)
    net = BoundaryNet(stride_s=0.5, weights=(huge, -huge[:1]), biases=(huge[0], huge[0]))
    assert 0 <= net.probability(np.eye(3, dtype=np.float32)) <= 1


def test_where_a_picture_is_held_the_distances_have_the_word() -> None:
    seen = [replace(each, held=3) for each in stream(9, 9)]
    plain, asked = (run_policy(OnlineSelection(boundaries=nets), seen) for nets in ((), (simple(),)))
    assert [each.time_s for each in asked] == [each.time_s for each in plain]


@pytest.mark.parametrize("boundary", [0, 1, -0.1, float("nan")])
def test_a_probability_lies_between_none_and_all(boundary: float) -> None:
    with pytest.raises(InputError, match="boundary"):
        OnlineSelection(boundary=boundary)
