"""What every policy of the table keeps on any stream: the contract of `selection/protocol.py`."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_runtime.selection import (
    BestLabel,
    BoundaryNet,
    Decision,
    Observation,
    OfflineSelection,
    OfflineWard,
    OnlineSelection,
    Policy,
    Uniform,
    parse_policy,
    run_policy,
)
from vljepa_runtime.selection.policies import POLICIES

WIDTH = 8
NET = BoundaryNet(  # sees a boundary where the newest of three windows is far from the first and near the second
    stride_s=1.0,
    weights=(np.array([[-1.0], [2.0], [-2.0]], np.float32),),
    biases=(np.array([-0.5], np.float32),),
)
KEEPS_ALL = dict.fromkeys(("ward", "offline"), "it needs the whole stream before it says anything")
TABLE = {str(form): parse_policy(f"{form.name}:3" if form.number else form.name) for form in POLICIES}
OTHER_OPTIONS: dict[str, Policy] = {
    "uniform, mean": Uniform(3, pooling="mean"),
    "ward, midpoint": OfflineWard(3, pooling="midpoint"),
    "ward, per minute": OfflineWard(per_minute=6),
    "online, coarse": OnlineSelection(threshold=0.25, smooth=3, agree=0.1, agree_clear=0.25, max_age_s=5),
    "online, network": OnlineSelection(boundaries=(NET,), boundary=0.3),
    "online, network, few": OnlineSelection(boundaries=(NET,), boundary=0.3, per_minute=6, burst=1),
    "online, network, at once": OnlineSelection(boundaries=(NET,), boundary=0.3, confirm=False),
    "online, few": OnlineSelection(per_minute=1, burst=1),
    "offline, network": OfflineSelection(boundaries=(NET,), boundary=0.3),
    "offline, network, few": OfflineSelection(per_minute=6, boundaries=(NET,), boundary=0.3),
    "best label": BestLabel(
        labels=tuple("abcd"), embeddings=np.eye(4, WIDTH, dtype=np.float32), min_score=0.3
    ),
}
POLICY = TABLE | OTHER_OPTIONS
every_policy = pytest.mark.parametrize("policy", POLICY.values(), ids=POLICY)


def stream(seed: int, count: int) -> Iterator[Observation]:
    """Windows that overlap or leave gaps; meanings that stay, blink or are noise; some pictures are held."""
    random = np.random.default_rng(seed)
    noise, change = random.choice([0.0, 0.05, 1.0]), random.choice([0.02, 0.3, 1.0])
    window_s, stride_s = random.choice([0.5, 2.0]), random.choice([0.1, 1.0, 3.0])
    meanings = random.normal(size=(3, WIDTH))
    meaning, start_s, until_s = meanings[0], 0.0, 0.0
    for index in range(count):
        if random.random() < change:
            meaning = meanings[random.integers(3)]
        held = int(random.integers(1, 50)) if random.random() < 0.1 else 0
        if held:
            start_s = max(start_s, until_s)
        until_s = start_s + (held * stride_s if held else window_s)
        embedding = 5 * (meaning + noise * random.normal(size=WIDTH))
        yield Observation(index=index, start_s=start_s, end_s=until_s, embedding=embedding, held=held)
        start_s = max(start_s + stride_s, until_s - window_s / 2 if held else 0.0)


streams = st.builds(
    lambda seed, count: list(stream(seed, count)), st.integers(0, 2**32 - 1), st.integers(1, 60)
)


@every_policy
@settings(max_examples=30, deadline=None)
@given(seen=streams)
def test_segments_come_in_order_and_lie_in_what_was_seen(policy: Policy, seen: list[Observation]) -> None:
    state, decisions = policy.start(), list[Decision]()
    for observation in seen:
        found = state.push(observation)
        assert all(
            decision.end_s <= observation.end_s for decision in found
        )  # nothing is known of what comes
        decisions += found
    decisions += state.finish()
    for decision in decisions:
        assert seen[0].start_s <= decision.start_s <= decision.time_s <= decision.end_s <= seen[-1].end_s
    for one, other in pairwise(decisions):
        assert one.start_s <= other.start_s
        assert one.time_s <= other.time_s


@every_policy
@settings(max_examples=10, deadline=None)
@given(seen=streams)
def test_something_is_said_and_every_embedding_has_length_one(
    policy: Policy, seen: list[Observation]
) -> None:
    given_embeddings = [observation.embedding.copy() for observation in seen]
    decisions = run_policy(policy, seen)
    assert decisions
    for decision in decisions:
        assert decision.embedding.shape == (WIDTH,)
        assert decision.embedding.dtype == np.float32
        assert np.linalg.norm(decision.embedding) == pytest.approx(1, abs=1e-5)
        assert np.isfinite([each for each in (decision.change, decision.score) if each is not None]).all()
    for observation, before in zip(seen, given_embeddings, strict=True):
        assert np.array_equal(observation.embedding, before)


@every_policy
@settings(max_examples=10, deadline=None)
@given(seen=streams)
def test_the_end_comes_once(policy: Policy, seen: list[Observation]) -> None:
    state = policy.start()
    assert state.finish() == []
    state = policy.start()
    for observation in seen:
        state.push(observation)
    state.finish()
    assert state.finish() == []


@every_policy
@settings(max_examples=10, deadline=None)
@given(one=streams, other=streams)
def test_a_start_is_fresh_and_streams_share_nothing(
    policy: Policy, one: list[Observation], other: list[Observation]
) -> None:
    alone = [times(run_policy(policy, seen)) for seen in (one, other)]
    states, beside = [policy.start(), policy.start()], [list[Decision](), list[Decision]()]
    for number in range(max(len(one), len(other))):
        for state, found, seen in zip(states, beside, (one, other), strict=True):
            found += state.push(seen[number]) if number < len(seen) else []
    for state, found in zip(states, beside, strict=True):
        found += state.finish()
    assert [times(found) for found in beside] == alone


@pytest.mark.parametrize("name", [name for name in POLICY if not name.startswith(tuple(KEEPS_ALL))])
def test_memory_does_not_grow_with_the_stream(name: str) -> None:
    state, sizes = POLICY[name].start(), list[int]()
    for observation in stream(1, 1200):
        state.push(observation)
        if observation.index in (199, 1199):
            sizes.append(len(pickle.dumps(state)))
    assert sizes[1] < sizes[0] + 1000


def times(decisions: list[Decision]) -> list[tuple[float, float, float, float]]:
    """What is compared of a run."""
    return [(found.start_s, found.end_s, found.time_s, found.change, found.score) for found in decisions]
