"""In what unit a metric is shown."""

from __future__ import annotations

import pytest

from vljepa_apps.measure.compare.tables import scale_of


@pytest.mark.parametrize(
    ("metric", "scale"),
    [
        ("recall_at_1", (100, 1)),
        ("map", (100, 1)),
        ("median_rank", (1, 2)),
        ("cider_d", (1, 2)),
        ("margin", (1, 4)),
    ],
)
def test_ranks_and_cider_are_no_shares(metric: str, scale: tuple[float, int]) -> None:
    assert scale_of(metric) == scale
