"""Selection policies against scikit-learn, and against what they promise."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_runtime.errors import InputError
from vljepa_runtime.selection import (
    POLICY_HELP,
    EveryWindow,
    OfflineWard,
    OnlineSelection,
    Uniform,
    calibrate,
    observe,
    parse_policy,
    run_policy,
    ward_segments,
)
from vljepa_runtime.selection.policies import POLICIES

WIDTH = 32

# Orthogonal meanings and loud noise ask for a wider threshold than the shipped model does.
coarse = partial(OnlineSelection, threshold=0.25, smooth=2, agree=0.1, agree_clear=0.25)


def events(seed: int, lengths: list[int], noise: float = 0.1) -> np.ndarray:
    """(sum(lengths), WIDTH) unit vectors: one random direction per event, plus noise."""
    random = np.random.default_rng(seed)
    centres = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0][: len(lengths)]
    values = np.repeat(centres, lengths, axis=0)
    values = values + noise * random.normal(size=values.shape) / np.sqrt(WIDTH)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def decide(policy, embeddings, step_s=1.0, window_s=0.0):
    times = np.arange(len(embeddings)) * step_s
    return run_policy(policy, observe(embeddings, times, window_s=window_s))


def drift(turns: float, count: int) -> np.ndarray:
    angle = np.linspace(0, turns * 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


# Ward -----------------------------------------------------------------------------------------------------


def sklearn_starts(embeddings: np.ndarray, segments: int) -> np.ndarray:
    cluster = pytest.importorskip("sklearn.cluster")
    scipy_sparse = pytest.importorskip("scipy.sparse")
    count = len(embeddings)
    chain = scipy_sparse.diags(
        [np.ones(count - 1), np.ones(count - 1)], [-1, 1], shape=(count, count)
    ).tocsr()
    ward = cluster.AgglomerativeClustering(n_clusters=segments, linkage="ward", connectivity=chain)
    labels = ward.fit(embeddings.astype(np.float64)).labels_
    return np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1])


def within(embeddings: np.ndarray, starts: np.ndarray) -> float:
    parts = np.split(embeddings, starts[1:])
    return float(sum(np.square(part - part.mean(axis=0)).sum() for part in parts))


@pytest.mark.parametrize("seed", range(40))
def test_ward_equals_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 120))
    kinds = [random.normal(size=(count, 6)), random.normal(size=(count, 3)).cumsum(axis=0)]
    embeddings = kinds[seed % 2]
    for segments in {1, 2, count // 3 + 1, count // 2 + 1, count}:
        assert ward_segments(embeddings, segments).tolist() == sklearn_starts(embeddings, segments).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_ward_with_ties_still_finds_the_plain_structure(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 9, size=8).tolist()
    embeddings = np.repeat(np.arange(8.0)[:, None] ** 2, lengths, axis=0)  # equal within events: cost 0 ties
    starts = ward_segments(embeddings, 8)
    assert starts.tolist() == [0, *np.cumsum(lengths)[:-1].tolist()]
    assert within(embeddings, starts) == pytest.approx(within(embeddings, sklearn_starts(embeddings, 8)))


def test_ward_of_a_constant_or_too_short_sequence() -> None:
    assert len(ward_segments(np.ones((10, 3)), 4)) == 4
    assert ward_segments(np.ones((2, 3)), 4).tolist() == [0, 1]


@pytest.mark.parametrize("pooling", ["mean", "midpoint"])
def test_offline_ward_tiles_the_stream_and_normalises(pooling) -> None:
    embeddings = events(0, [5, 9, 4])
    decisions = decide(OfflineWard(3, pooling=pooling), embeddings, window_s=1.0)
    assert [(d.start_s, d.end_s) for d in decisions] == [(-0.5, 4.5), (4.5, 13.5), (13.5, 17.5)]
    assert [d.time_s for d in decisions] == [2.0, 9.0, 15.5]
    assert [float(np.linalg.norm(d.embedding)) for d in decisions] == pytest.approx([1, 1, 1], abs=1e-5)
    if pooling == "midpoint":
        assert np.allclose(decisions[1].embedding, embeddings[9], atol=1e-6)


def test_offline_ward_per_minute() -> None:
    assert len(decide(OfflineWard(per_minute=6), events(0, [121]))) == 12


# Clock ----------------------------------------------------------------------------------------------------


def test_every_window() -> None:
    embeddings = events(1, [3, 2])
    decisions = decide(EveryWindow(), embeddings)
    assert np.allclose([d.embedding for d in decisions], embeddings, atol=1e-6)
    assert decisions[0].change is None  # nothing was before it
    assert decisions[3].change > 0.5 > decisions[4].change


@pytest.mark.parametrize(
    ("interval_s", "step_s", "times"),
    [(2, 1, [0, 2, 4, 6, 8]), (2.5, 1, [0, 3, 5, 8]), (1, 0.1, [0]), (0.3, 0.1, [0, 0.3, 0.6, 0.9])],
)
def test_uniform_points(interval_s, step_s, times) -> None:
    decisions = decide(Uniform(interval_s), events(2, [10]), step_s)
    assert [d.time_s for d in decisions] == pytest.approx(times)


def test_uniform_mean_pools_each_interval() -> None:
    embeddings = events(3, [7], noise=1)
    decisions = decide(Uniform(3, pooling="mean"), embeddings)
    assert [d.time_s for d in decisions] == [1, 4, 6]
    mean = embeddings[3:6].mean(axis=0)
    assert np.allclose(decisions[1].embedding, mean / np.linalg.norm(mean), atol=1e-6)


# Online ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("step_s", [0.5, 1.0])
def test_online_decodes_each_event_once_and_inside_it(seed, step_s) -> None:
    lengths = np.random.default_rng(seed).integers(5, 15, size=9).tolist()
    embeddings = events(seed, lengths, noise=0.3)
    decisions = decide(coarse(), embeddings, step_s)
    edges = np.cumsum([0, *lengths]) * step_s
    assert np.searchsorted(edges, [d.time_s for d in decisions], side="right").tolist() == list(range(1, 10))


def test_online_speaks_for_the_event_not_for_the_transition() -> None:
    pure = events(0, [8, 8], noise=0)
    blend = 0.6 * pure[0] + 0.4 * pure[-1]
    embeddings = np.concatenate([pure[:8], [blend], pure[8:]])
    decisions = decide(coarse(), embeddings)
    assert len(decisions) == 2
    assert float(decisions[1].embedding @ pure[-1]) > 0.99


def seen_through(centres: np.ndarray, lengths_s: np.ndarray, *, stride_s: float, window_s: float = 2.0):
    """Windows over events that follow without a gap: each embedding mixes what the window shows, by its share."""
    edges = np.concatenate([[0.0], np.cumsum(lengths_s)])
    starts = np.arange(0, edges[-1] - window_s + 1e-9, stride_s)[:, None]
    shares = np.clip(np.minimum(starts + window_s, edges[1:]) - np.maximum(starts, edges[:-1]), 0, None)
    return list(observe(shares @ centres, starts[:, 0] + window_s / 2, window_s=window_s)), edges


@pytest.mark.parametrize("stride_s", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_online_waits_until_windows_are_clear_of_the_event_before(seed, stride_s) -> None:
    random = np.random.default_rng(seed)
    lengths_s = random.uniform(2 + 2 * stride_s, 8, size=10)
    centres = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0][:10]
    seen, edges = seen_through(centres, lengths_s, stride_s=stride_s)
    decisions = run_policy(OnlineSelection(threshold=0.05), seen)
    assert len(decisions) == 10
    for decision, centre, start_s, end_s in zip(decisions, centres, edges[:-1], edges[1:], strict=True):
        assert float(decision.embedding @ centre) > 0.98
        assert start_s <= decision.time_s <= end_s
        assert abs(decision.start_s - start_s) <= stride_s


def test_windows_that_do_not_overlap_need_no_waiting() -> None:
    seen, edges = seen_through(np.eye(WIDTH)[:5], np.full(5, 8.0), stride_s=2.0)
    state = OnlineSelection().start()
    times = [observation.end_s for observation in seen for _ in state.push(observation)]
    assert times == (edges[:-1] + 4.0).tolist()  # the second window of each event


def test_slow_drift_fires() -> None:
    steps = drift(1, 300)  # 0.0002 from one to the next
    assert 1 - steps[0] @ steps[1] < 0.001
    times = [d.time_s for d in decide(coarse(), steps)]
    # 0.25 of cosine distance is 41 degrees, so a full turn crosses it eight times
    assert 7 <= len(times) - 1 <= 9
    assert np.diff(times).std() < 5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0, 0.35))
def test_noise_within_half_the_angle_of_the_threshold_never_chatters(seed, size) -> None:
    # Means of vectors within an angle a of a centre stay within a, so two of them are at most 2a apart.
    random = np.random.default_rng(seed)
    away = random.normal(size=(120, WIDTH))
    away[:, 0] = 0
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    angle = random.uniform(0, size, size=(120, 1))
    embeddings = np.cos(angle) * np.eye(WIDTH)[0] + np.sin(angle) * away
    assert len(decide(coarse(), embeddings)) == 1


def test_a_blink_is_withdrawn() -> None:
    embeddings = events(4, [20, 1, 20], noise=0)
    embeddings[21:] = embeddings[0]
    assert len(decide(coarse(), embeddings)) == 1


def test_restless_streams_are_decoded_after_max_delay() -> None:
    embeddings = events(5, [1] * 30, noise=0)
    policy = coarse(smooth=1, max_delay_s=4, min_gap_s=0)
    state = policy.start()
    delays = [
        seen.end_s - d.start_s for seen in observe(embeddings, np.arange(30.0)) for d in state.push(seen)
    ]
    assert len(delays) >= 5
    assert max(delays) <= 4


def test_min_gap_and_heartbeat() -> None:
    embeddings = events(6, [3] * 10)
    state = coarse(min_gap_s=7).start()
    times = [seen.time_s for seen in observe(embeddings, np.arange(30.0)) for _ in state.push(seen)]
    assert len(times) >= 3
    assert min(np.diff(times)) >= 7
    still = events(6, [61])
    assert len(decide(coarse(max_age_s=10), still)) == 6  # at 1, 11, .. 51 s
    assert len(decide(coarse(), still)) == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), per_minute=st.sampled_from([1.0, 3.0, 6.0, 12.0]))
def test_budget_holds_and_no_segment_is_dropped(seed, per_minute) -> None:
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 12, size=30).tolist()
    embeddings = events(seed, lengths)
    free = coarse(min_gap_s=0)
    capped = replace(free, per_minute=per_minute)
    state, made = capped.start(), []
    for seen in observe(embeddings, np.arange(len(embeddings)) * 1.0):
        made += [(seen.time_s, d) for d in state.push(seen)]
    times = np.array([time for time, _ in made])
    counts = [int(((times >= t) & (times < t + 60)).sum()) for t in times]
    assert max(counts) <= per_minute + capped.burst
    kept = [d for _, d in made] + state.finish()
    spans = [(d.start_s, d.end_s) for d in kept]
    for start, stop in zip(np.cumsum([0, *lengths[:-1]]), np.cumsum(lengths)):
        assert any(a < stop and b >= start for a, b in spans)


def test_budget_reports_merged_segments() -> None:
    decisions = decide(coarse(per_minute=1, burst=1), events(7, [5] * 12))
    assert len(decisions) <= 3
    assert sum(d.merged for d in decisions) > 0


def test_memory_is_bounded() -> None:
    state = coarse(per_minute=1).start()
    for seen in observe(events(8, [400]), np.arange(400.0)):
        state.push(seen)
    assert len(state.recent) == 2


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60))
def test_online_on_anything_is_causal_ordered_and_never_empty(seed, count) -> None:
    embeddings = np.random.default_rng(seed).normal(size=(count, 4))
    seen = list(observe(embeddings, np.arange(count) * 1.0))
    whole = run_policy(coarse(), seen)
    assert whole
    assert all(d.start_s <= d.time_s <= d.end_s for d in whole)
    assert all(one.time_s < other.time_s for one, other in pairwise(whole))
    state = coarse().start()
    half = [d for o in seen[: count // 2] for d in state.push(o)]
    assert [d.time_s for d in half] == [d.time_s for d in whole][: len(half)]


@pytest.mark.parametrize("per_minute", [5])
def test_calibrate_meets_the_rate_on_another_part_of_the_stream(per_minute) -> None:
    random = np.random.default_rng(9)
    walk = np.cumsum(random.normal(size=(1800, 8)), axis=0) * 0.05 + random.normal(size=8)
    walk -= walk.mean(axis=0)
    policy = calibrate(walk[:900], np.arange(900.0), per_minute)
    here = len(decide(policy, walk[:900])) / 15
    there = len(decide(policy, walk[900:])) / 15
    assert 0.6 * per_minute <= here <= per_minute
    assert 0.3 * per_minute <= there <= 2.5 * per_minute


# Errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("online", OnlineSelection()),
        ("online:6", OnlineSelection(per_minute=6)),
        (" Uniform:2 ", Uniform(2.0)),
        ("every", EveryWindow()),
        ("ward:12", OfflineWard(12)),
    ],
)
def test_parse_policy(text, policy) -> None:
    assert parse_policy(text) == policy


@pytest.mark.parametrize("form", POLICIES, ids=str)
def test_every_form_of_the_table_is_read_and_said(form) -> None:
    policy = parse_policy(f"{form.name}:3" if form.number else form.name)
    assert policy.start().finish() == []
    assert str(form) in POLICY_HELP.replace(",", "").split()
    with pytest.raises(InputError, match=re.escape(str(form))):
        parse_policy("xyz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onlin", "did you mean 'online'"),
        ("unifrom:2", "did you mean 'uniform'"),
        ("xyz", r"Expected online \| online:"),
        ("", "Expected online"),
        ("ward", "a whole number after ':'"),
        ("ward:2.5", "a whole number after ':'"),
        ("ward:0", "segments: expected a whole number of at least 1"),
        ("uniform", "a number after ':'"),
        ("uniform:-1", "interval: expected a finite number above 0"),
        ("uniform:nan", "a finite number above 0"),
        ("every:2", "takes no number"),
        ("online:0", "per_minute > 0"),
    ],
)
def test_parse_policy_says_what_is_wrong(text, message) -> None:
    with pytest.raises(InputError, match=message):
        parse_policy(text)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: OnlineSelection(threshold=0), "0 < threshold <= 2"),
        (lambda: OnlineSelection(hysteresis=1.5), "0 <= hysteresis <= 1"),
        (lambda: OnlineSelection(agree=0.2), "agree <= agree_clear"),
        (lambda: OfflineWard(), "either segments or per_minute"),
        (lambda: OfflineWard(2, per_minute=3), "either segments or per_minute"),
        (lambda: Uniform(1, pooling="max"), "point or mean"),
        (lambda: ward_segments(np.ones((0, 2)), 1), "expected \\(T, S\\)"),
        (lambda: list(observe(np.ones((2, 2)), np.ones(3))), "times \\(T,\\)"),
        (lambda: list(observe(np.ones((2, 2)), np.array([1.0, 0]))), "ascending"),
        (lambda: calibrate(np.ones((1, 2)), np.ones(1), 3), "2 windows or more"),
    ],
)
def test_bad_options(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
