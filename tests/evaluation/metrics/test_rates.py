"""Rates of counted events: Garwood's interval, as SciPy's quantiles of chi squared give it."""

from __future__ import annotations

import pytest

from vljepa_evaluation.metrics import rate_of
from vljepa_runtime.errors import InputError


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30, 400, 20_000])
@pytest.mark.parametrize("exposure", [0.25, 1.0, 90.0])
def test_the_interval_is_that_of_chi_squared(count: int, exposure: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = rate_of(count, exposure)
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = stats.chi2.ppf(0.975, 2 * count + 2) / 2
    assert (found.value, found.n) == (count / exposure, count)
    assert found.low == pytest.approx(low / exposure, rel=1e-6)
    assert found.high == pytest.approx(high / exposure, rel=1e-6)


@pytest.mark.parametrize(("count", "exposure"), [(-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_what_cannot_be_counted_is_refused(count: int, exposure: float) -> None:
    with pytest.raises(InputError, match="a count and an exposure"):
        rate_of(count, exposure)
