"""Paired differences against published tables, SciPy and their own promises."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_evaluation.metrics import difference_of, holm
from vljepa_runtime.errors import InputError

Float64 = npt.NDArray[np.float64]


def pairs(both: int, mine: int, other: int, neither: int) -> tuple[Float64, Float64]:
    """Values of two models: how often both are right, one alone, or neither."""
    counts = (both, mine, other, neither)
    return np.repeat([1.0, 1.0, 0.0, 0.0], counts), np.repeat([1.0, 0.0, 1.0, 0.0], counts)


@pytest.mark.parametrize(
    ("table", "low", "high", "p"),
    [
        pytest.param((59, 6, 16, 80), -0.1240, -0.0054, 0.034690, id="Cavo 2012, in Fagerland 2017"),
        pytest.param((1, 1, 7, 12), -0.5172, -0.0260, 0.0390625, id="Bentur 2009, in Fagerland 2013"),
    ],
)
def test_proportions_as_published(table: tuple[int, ...], low: float, high: float, p: float) -> None:
    found = difference_of(*pairs(*table))
    assert (found.estimate.low, found.estimate.high) == pytest.approx((low, high), abs=5e-5)
    assert found.p == pytest.approx(p, abs=5e-7)
    assert found.agree == pytest.approx((table[0] + table[3]) / sum(table))


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (5, 0), (3, 9), (40, 25), (700, 560)])
def test_the_mid_p_value_is_that_of_the_binomial_distribution(wins: int, losses: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    exact = stats.binomtest(wins, wins + losses).pvalue
    wanted = exact - stats.binom.pmf(wins, wins + losses, 0.5)
    assert difference_of(*pairs(10, wins, losses, 10)).p == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("n", [10, 300, 1000])
def test_without_disagreement_the_interval_says_what_was_not_seen(n: int) -> None:
    same = difference_of(*pairs(n, 0, 0, 0))
    assert same.p == 1.0
    assert same.estimate.high == pytest.approx(
        1.959964**2 / (n + 1.959964**2), abs=1e-6
    )  # Tango's, in closed form
    assert same.estimate.low == pytest.approx(-same.estimate.high)
    assert same.visible > same.possible
    scores = difference_of([7.0] * n, [7.0] * n, span=(0, 10))
    assert scores.p == 1.0
    assert scores.estimate.low < 0 < scores.estimate.high


def test_both_directions_are_alike() -> None:
    one, two = difference_of(*pairs(50, 9, 3, 7)), difference_of(*pairs(50, 3, 9, 7))
    assert one.p == two.p
    assert (one.estimate.low, one.estimate.high) == pytest.approx((-two.estimate.high, -two.estimate.low))


@pytest.mark.parametrize("n", [12, 200])
def test_other_values_are_exchanged_as_scipy_does(n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(n)
    mine, other = random.normal(size=(2, n)) + np.array([[0.25 if n > 12 else 0.6], [0.0]])
    wanted = stats.permutation_test(
        (mine, other),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        rng=np.random.default_rng(1),
    ).pvalue
    found = difference_of(mine, other, span=None)
    assert 0.001 < wanted < 0.3
    assert found.p == pytest.approx(wanted, abs=1e-12 if n == 12 else 0.01)
    assert found == difference_of(mine, other, span=None)


def test_clips_of_one_video_count_as_one() -> None:
    mine, other = np.repeat([1.0, 0.0], 50), np.zeros(100)
    alone = difference_of(mine, other)
    together = difference_of(mine, other, groups=np.repeat(range(2), 50))
    assert alone.p < 1e-9
    assert together.p == 1.0  # one video that differs may do so by chance
    assert together.estimate.low < 0 < alone.estimate.low


def test_what_is_to_be_ignored_is() -> None:
    noise = np.random.default_rng(0).normal(1e-6, 1e-7, size=500)
    assert difference_of(noise, np.zeros(500), span=None).p < 0.001
    assert difference_of(noise, np.zeros(500), span=None, ignore=1e-4).p == 1.0
    assert difference_of(noise + 0.001, np.zeros(500), span=None, ignore=1e-4).p < 0.001


def test_equal_models_are_called_different_in_five_of_a_hundred_cases_at_most() -> None:
    random = np.random.default_rng(0)
    alarms, missed = 0, 0
    for _ in range(1000):
        differing = random.binomial(300, 0.04)
        wins = random.binomial(differing, 0.5)
        found = difference_of(*pairs(300 - differing, wins, differing - wins, 0))
        alarms += found.p < 0.05
        missed += not found.estimate.low <= 0 <= found.estimate.high
    assert alarms <= 62  # 1000 cases at 5 % stay below that in 96 of 100 such tests; the seed is fixed
    assert missed <= 75


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    values = [0.04, 0.01, 0.03, 0.005, 0.5]
    subsets = list(chain.from_iterable(combinations(range(5), size) for size in range(1, 6)))
    wanted = [
        max(min(1.0, len(s) * min(values[i] for i in s)) for s in subsets if index in s) for index in range(5)
    ]
    assert holm(values) == pytest.approx(wanted)
    assert holm([]) == ()


def test_other_clips_are_refused() -> None:
    with pytest.raises(InputError, match=r"got shapes \(2,\) and \(3,\)"):
        difference_of([1, 0], [1, 0, 1])
    with pytest.raises(InputError, match="two values for each clip"):
        difference_of([], [])
