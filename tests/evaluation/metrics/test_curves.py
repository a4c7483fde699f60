"""Quality against decodings, on curves done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import Curve, held_out, ratio_at_equal_quality, ratios


def points(*pairs: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    rates, quality = np.array(pairs, float).reshape(-1, 2).T
    return rates, quality


@pytest.mark.parametrize(
    ("ours", "uniform", "ratio"),
    [
        pytest.param([(10, 4), (30, 8)], [(30, 4), (90, 8)], 3.0, id="between points"),
        pytest.param([(30, 8), (10, 4)], [(60, 8)], 2.0, id="at a point, any order"),
        pytest.param([(10, 9)], [(60, 8)], 6.0, id="sparsest is enough"),
        pytest.param([(10, 4), (90, 7)], [(60, 8)], None, id="never reached"),
        pytest.param([(10, 9)], [(5, 8), (20, 8)], None, id="rate not measured"),
        pytest.param([], [(60, 8)], None, id="empty"),
    ],
)
def test_ratio_at_equal_quality(ours, uniform, ratio) -> None:
    found = ratio_at_equal_quality(points(*ours), points(*uniform))
    assert found == (None if ratio is None else pytest.approx(ratio))


def test_a_setting_is_chosen_on_other_streams_than_it_is_reported_on() -> None:
    def measured(scores: list[list[float]], decodings: list[list[float]]) -> Curve:
        return Curve(
            "online", (0.1, 0.3, 0.5), np.array(scores), np.array(decodings), np.full(2, 10.0), np.ones(2)
        )

    uniform = Curve(
        "uniform",
        (1.0, 10.0),
        np.array([[20.0, 20], [5, 5]]),
        np.array([[60.0, 60], [6, 6]]),
        np.full(2, 10.0),
        np.ones(2),
    )
    chosen_on = measured([[30, 30], [21, 21], [9, 9]], [[40.0, 40], [12, 12], [3, 3]])
    reported = measured([[30, 30], [16, 18], [9, 9]], [[40.0, 40], [10, 20], [3, 3]])
    (found,) = held_out((uniform, chosen_on), (uniform, reported))
    assert (found.policy, found.setting, found.per_minute) == ("online", 0.3, 15.0)
    assert found.fewer.value == pytest.approx(4.0)
    assert found.gain.value == pytest.approx(-0.3)
    assert found.gain.low <= -0.3 <= found.gain.high < 0
    mute = measured([[1, 1]] * 3, [[40.0, 40], [12, 12], [3, 3]])
    assert held_out((uniform, mute), (uniform, reported)) == ()


def test_a_quality_never_reached_has_no_ratio() -> None:
    def curve(name: str, quality: float) -> Curve:
        scores = np.full((2, 4), quality * 10)
        counts = np.array([[60.0] * 4, [6.0] * 4])
        return Curve(name, (1.0, 10.0), scores, counts, np.full(4, 10.0), np.ones(4))

    found = {ratio.policy: ratio for ratio in ratios((curve("uniform", 2.0), curve("mute", 0.5)))}
    assert found["mute"].ratio is None
    assert found["mute"].reached == 0.0
    assert found["uniform"].against_sparsest == 1.0
    with pytest.raises(ValueError, match="expected a curve `uniform`"):
        ratios((curve("ward", 1.0),))


def two(policy: str, scores: list[float], decodings: list[float]) -> Curve:
    """One setting over two streams of a minute and ten annotations each."""
    rows = (np.array([each]) for each in (scores, decodings))
    return Curve(policy, (1.0,), *rows, np.full(2, 10.0), np.ones(2))


def test_what_is_saved_is_compared_with_what_knowing_the_events_saves() -> None:
    measured = (
        two("uniform", [50, 50], [60, 60]),
        two("online", [50, 50], [20, 30]),
        two("events known", [60, 60], [10, 20]),
    )
    online, known = held_out(measured, measured)
    assert online.of_oracle is not None
    assert online.of_oracle.value == pytest.approx((40 + 30) / (50 + 40))
    assert (online.of_oracle.low, online.of_oracle.high) == pytest.approx(
        (30 / 40, 40 / 50)
    )  # one stream twice
    assert known.of_oracle is not None
    assert (known.of_oracle.low, known.of_oracle.high) == (1, 1)
    found = {each.policy: each.against_oracle for each in ratios(measured)}
    assert found["online"] is not None
    assert found["online"].value == pytest.approx(30 / 50)
    assert (found["online"].low, found["online"].high) == pytest.approx((10 / 20, 20 / 30))


def test_without_an_oracle_nothing_is_said_of_it() -> None:
    measured = two("uniform", [50, 50], [60, 60]), two("online", [50, 50], [20, 30])
    assert [each.of_oracle for each in held_out(measured, measured)] == [None]
    assert {each.against_oracle for each in ratios(measured)} == {None}
    dense = *measured, two("events known", [50, 50], [70, 70])  # events come faster than once a second
    assert [each.of_oracle for each in held_out(dense, dense)] == [None, None]
