"""The oracle of true events, and how well segments fit them."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.tasks import KnownEvents, Recording, find_events
from vljepa_runtime.selection import Decision, Observation, OnlineSelection, Uniform, run_policy

ENDS_S = (5.0, 8.0, 12.0, 12.6, 17.0)


def recording() -> Recording:
    """Five events, one shorter than a window; a window of 2 s every half second, a mixture where it overlaps two."""
    meanings = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0]
    spans = np.stack([(0.0, *ENDS_S[:-1]), ENDS_S], axis=1)
    starts = np.arange(0, ENDS_S[-1] - 1.9, 0.5)
    shares = np.clip(
        np.minimum(starts[:, None] + 2, spans[:, 1]) - np.maximum(starts[:, None], spans[:, 0]), 0, None
    )
    embeddings = np.asarray(shares @ meanings[: len(spans)], np.float32)
    return Recording(
        embeddings=embeddings,
        windows_s=np.stack([starts, starts + 2], axis=1),
        events_s=spans,
        references=tuple((f"event {number}",) for number in range(len(spans))),
    )


def test_the_oracle_tells_each_event_once_by_windows_inside_it() -> None:
    stream = recording()
    told = run_policy(KnownEvents.of(stream), stream.observations())
    assert [(each.start_s, each.end_s) for each in told] == [tuple(span) for span in stream.events_s.tolist()]
    meanings = [each.embedding for each in told]
    for event, (start_s, end_s) in enumerate(stream.events_s):
        pure = (stream.windows_s[:, 0] >= start_s) & (stream.windows_s[:, 1] <= end_s)
        for row in stream.embeddings[pure]:
            assert meanings[event] @ row / np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
    assert run_policy(KnownEvents.of(stream), []) == []


class Telling:
    """Tells segments that start where it was told to, a second after that."""

    def __init__(self, *starts_s: float) -> None:
        self.starts_s = starts_s

    def start(self) -> Telling:
        self.left = list(self.starts_s)
        return self

    def push(self, seen: Observation) -> list[Decision]:
        due = [start for start in self.left if seen.end_s >= start + 1]
        self.left = [start for start in self.left if start not in due]
        blank = np.zeros(16, np.float32)
        return [Decision(start_s=each, end_s=each, time_s=each, embedding=blank) for each in due]

    def finish(self) -> list[Decision]:
        return []


@pytest.mark.parametrize(
    ("starts_s", "missed", "spurious"),
    [
        ((0, 5, 8, 12, 12.6), 0, 0),
        ((5.9, 8.9), 3, 0),
        ((6.1,), 5, 1),  # further than a second from any
        ((5, 5.2, 4.6), 4, 2),  # one event is told once
        ((12, 12.2), 3, 0),  # each of two short ones has its own
        ((), 5, 0),
    ],
)
def test_segments_and_events_are_matched_one_to_one(
    starts_s: tuple[float, ...], missed: int, spurious: int
) -> None:
    found = find_events([Telling(*starts_s)], [recording()])
    assert (found.events, found.missed, found.spurious) == (5, missed, spurious)
    assert len(found.delays_s) == 5 - missed


def test_as_many_are_found_as_the_best_assignment_finds() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(0)
    stream = recording()
    for _ in range(20):
        starts = np.sort(random.uniform(0, 17, 6)).round(1)
        near = np.abs(starts[:, None] - stream.events_s[:, 0]) <= 1
        best = int(near[optimize.linear_sum_assignment(~near)].sum())
        found = find_events([Telling(*starts)], [stream])
        assert best - 1 <= 5 - found.missed <= best


def test_a_delay_lasts_until_the_window_after_which_it_is_told() -> None:
    found = find_events([Telling(5.0, 8.25)], [recording()])
    assert found.delays_s == (1.0, 1.5)
    assert found.minutes == pytest.approx(15.5 / 60)


def test_streams_add_up() -> None:
    stream = recording()
    both = find_events([OnlineSelection(), Uniform(1.0)], [stream, stream])
    each = [find_events([policy], [stream]) for policy in (OnlineSelection(), Uniform(1.0))]
    assert both.missed == sum(one.missed for one in each)
    assert both.spurious == sum(one.spurious for one in each)
    assert each[1].spurious > each[0].spurious
