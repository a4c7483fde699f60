"""Intervals against SciPy's, the normal approximation, and what they must never do: collapse."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import mean_of, median_of
from vljepa_runtime.errors import InputError


def test_the_interval_of_a_mean_is_repeatable_and_covers() -> None:
    values = np.random.default_rng(0).normal(2, 1, size=400)
    found = mean_of(values, seed=1)
    assert found == mean_of(values, seed=1)
    assert found.low < values.mean() < found.high
    # the normal approximation is +-1.96 s / sqrt(n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
    assert mean_of([3.0]).low == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("hits", "n"), [(0, 1), (0, 300), (1, 300), (150, 300), (299, 300), (300, 300), (7, 9)]
)
def test_a_proportion_is_wilsons(hits: int, n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    wanted = stats.binomtest(hits, n).proportion_ci(method="wilson")
    found = mean_of([1] * hits + [0] * (n - hits))
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert found.low < found.high


@pytest.mark.parametrize(("hits", "n"), [(0, 100), (3, 100), (60, 100), (100, 100)])
def test_proportions_of_groups_are_jeffreys_where_each_group_is_one_clip(hits: int, n: int) -> None:
    """The bootstrap with half a sample at either end is a Beta distribution then (Brown et al., 2001)."""
    stats = pytest.importorskip("scipy.stats")
    found = mean_of([1] * hits + [0] * (n - hits), groups=range(n), resamples=40_000)
    wanted = stats.beta(hits + 0.5, n - hits + 0.5).ppf([0.025, 0.975])
    wanted = min(wanted[0], hits / n), max(wanted[1], hits / n)
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.002)


def test_equal_values_leave_room_for_others_that_were_not_seen() -> None:
    found = mean_of([10.0] * 300, span=(0, 10))
    assert (found.value, found.high) == (10.0, 10.0)
    assert 9.8 < found.low < 9.99
    of_videos = mean_of([1.0] * 300, groups=np.repeat(range(3), 100))
    assert of_videos.low < 0.8  # three videos, whatever the number of their clips


@pytest.mark.parametrize("n", [6, 7, 12, 30, 31, 200])
def test_the_interval_of_a_median_is_exact(n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(n).lognormal(size=n)
    wanted = stats.quantile_test(values, p=0.5).confidence_interval()
    found = median_of(values)
    assert (found.low, found.value, found.high) == (wanted.low, np.median(values), wanted.high)


def test_of_few_samples_the_median_has_all_of_them() -> None:
    assert (median_of([3.0, 1.0]).low, median_of([3.0, 1.0]).high, median_of([5.0]).value) == (1.0, 3.0, 5.0)


def test_samples_of_one_group_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=100), 4)
    groups = np.repeat(np.arange(100), 4)
    found, of_groups = mean_of(values, groups=groups), mean_of(values[::4])
    assert (found.value, found.low, found.high) == pytest.approx(
        (of_groups.value, of_groups.low, of_groups.high)
    )
    assert found.n == 400
    assert mean_of(values, groups=range(400)) == mean_of(values)
    uneven = mean_of([1.0, 1.0, 1.0, 0.0], groups=[7, 7, 7, 8])
    assert uneven.value == 0.75
    assert uneven.low < 0.25  # as if there were two clips, not four
    assert uneven.high > 0.9


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mean_of([]), "finite values"),
        (lambda: mean_of([1.0, np.inf]), "finite values"),
        (lambda: mean_of([1.0, 2.0], groups=[1]), "a group for each of 2 samples"),
        (lambda: mean_of([1.0, 2.0], span=(0, 1)), r"values in 0\.\.1, got 1\.\.2"),
        (lambda: median_of([]), "finite values"),
    ],
)
def test_bad_input(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
