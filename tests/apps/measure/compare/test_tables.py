"""In what unit a metric is shown."""

from __future__ import annotations

import pytest

from vljepa_apps.measure.compare.tables import interval_text, scale_of
from vljepa_evaluation.metrics import mean_of


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


def test_one_stream_or_one_video_does_not_tell_how_others_would_be() -> None:
    stream, video = mean_of([0.1]), mean_of([0.1, 0.2, 0.6], groups=[5, 5, 5])
    assert interval_text(stream.to_dict(), 1, 2, "+") == "+0.10 [n/a]"
    assert interval_text(video.to_dict(), 1, 2) == "0.30 [n/a]"
    assert interval_text(mean_of([1]).to_dict(), 100, 1) == "100.0 [20.7, 100.0]"  # a proportion has Wilson's
