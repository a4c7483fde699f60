"""What tells events apart: its network against scikit-learn's, its file, and what a policy makes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files.tensors import pack
from vljepa_runtime.selection import (
    BoundaryNet,
    Decision,
    Observation,
    OnlineSelection,
    observe,
    pair_distances,
    read_nets,
    run_policy,
    write_nets,
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


def test_nets_survive_their_file() -> None:
    nets = (net_of(15, 8, 1), net_of(3, 1, stride_s=1.0))
    again = read_nets(write_nets(nets))
    assert [(net.stride_s, net.windows) for net in again] == [(0.5, 6), (1.0, 3)]
    assert write_nets(again) == write_nets(nets)
    assert read_nets(write_nets([])) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tensors at all",
        pack({}, {}),
        pack({}, {"strides_s": "often"}),
        pack({}, {"strides_s": "0.5"}),
        pack({"0.0.weight": np.ones((3, 1), np.float32)}, {"strides_s": "0.5"}),
        pack({"0.0.weight": np.ones((3, 1)), "0.0.bias": np.ones(1)}, {"strides_s": "0.5"}),
        write_nets([net_of(3, 1)]).replace(b"0.5", b"inf"),
        write_nets([net_of(3, 1)]).replace(b"0.5", b"-.5"),
        pack(
            {"0.0.weight": np.ones((3, 1), np.float32), "0.0.bias": np.ones(1, np.float32), "x": np.ones(1)},
            {"strides_s": "0.5"},
        ),
    ],
)
def test_what_is_no_file_of_nets_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"boundaries\.safetensors"):
        read_nets(data)


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
    found = run_policy(OnlineSelection(boundaries=simple(), boundary=0.5), seen)
    assert len(found) == 5
    for decision, start_s in zip(found[1:], starts_s[1:]):
        assert abs(decision.start_s - start_s) <= STRIDE_S
        pure = next(each for each in seen if each.start_s >= start_s)
        assert decision.embedding @ pure.embedding > 0.97
        assert decision.time_s - start_s >= WINDOW_S / 2


def test_it_is_decided_a_window_later_and_by_what_was_seen_alone() -> None:
    seen = stream(9, 9, 9)
    policy = OnlineSelection(boundaries=simple(), boundary=0.5)
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


def test_a_boundary_in_the_last_windows_counts() -> None:
    whole = stream(9, 9)
    policy = OnlineSelection(boundaries=simple(), boundary=0.5)
    cut = (
        next(n for n, each in enumerate(whole) if each.start_s >= 4.5) + 2
    )  # two windows of the second event
    assert len(run_policy(policy, whole[:cut])) == 2
    assert len(run_policy(policy, whole[: cut - 2])) == 1


def test_noise_is_no_boundary() -> None:
    assert len(run_policy(OnlineSelection(boundaries=simple(), boundary=0.5), stream(60, noise=0.2))) == 1


def test_the_budget_holds() -> None:
    policy = OnlineSelection(boundaries=simple(), boundary=0.5, per_minute=4, burst=1)
    found = run_policy(policy, stream(*[8] * 16))
    assert len(found) <= 6
    assert any(decision.merged for decision in found)


def test_where_a_picture_is_held_the_distances_have_the_word() -> None:
    seen = [replace(each, held=3) for each in stream(9, 9)]
    plain, asked = (run_policy(OnlineSelection(boundaries=net), seen) for net in (None, simple()))
    assert [each.time_s for each in asked] == [each.time_s for each in plain]


def test_a_stride_is_the_nets_or_not() -> None:
    assert net_of(3, 1).fits(0.5)
    assert net_of(3, 1).fits(0.46)
    assert not net_of(3, 1).fits(1.0)


@pytest.mark.parametrize("boundary", [0, 1, -0.1, float("nan")])
def test_a_probability_lies_between_none_and_all(boundary: float) -> None:
    with pytest.raises(InputError, match="boundary"):
        OnlineSelection(boundary=boundary)
