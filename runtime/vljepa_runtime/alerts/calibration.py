"""Thresholds of alerts from recordings: for a number of alerts a day, or from a few moments that somebody marked.

Knows scores and times of windows; whether they come from a log or a video is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vljepa_runtime.alerts.rule import Alert
from vljepa_runtime.alerts.watch import AlertChange, watch_scores
from vljepa_runtime.arguments import array, number
from vljepa_runtime.errors import InputError

__all__ = ["AlertSpan", "Calibrated", "ScoreSeries", "alert_spans", "calibrate_marked", "calibrate_rate"]

DAY_S = 86_400.0
STEPS = 120  # thresholds that are tried, from the highest score down: dense where alerts are few
TAIL = 20  # of the highest episodes, by which what is rarer than a recording is guessed
FEWEST = 5
EARLY_S = 2.0  # a mark so long before an alert is its own: windows have a length
LATE_S = 10.0  # and so long after it was told: people press late; an alert that is always on has no marks
CLOSE = 1e-6  # of a score
BISECTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreSeries:
    """What one alert scored on one recording.

    Attributes:
        stream: Name of the recording.
        windows: (N, 2) begin and end of each window, in stream time, in order.
        scores: (N,) see `AlertScorer`.
    """

    stream: str
    windows: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        windows, scores = array(self.windows, "windows", np.float64), array(self.scores, "scores", np.float32)
        if windows.shape != (len(scores), 2) or not len(scores):
            raise InputError(f"expected windows (N, 2) and scores (N,), got {windows.shape}, {scores.shape}")
        object.__setattr__(self, "windows", windows)
        object.__setattr__(self, "scores", scores)

    @property
    def seconds(self) -> float:
        """How long it was watched; holes between windows count for nothing."""
        begin, end = self.windows[:, 0], self.windows[:, 1]
        after = np.maximum.accumulate(np.concatenate([begin[:1], end[:-1]]))
        return float(np.maximum(0.0, end - np.maximum(begin, after)).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSpan:
    """An alert from its begin to its end.

    Attributes:
        stream: Of the recording.
        start_s: Where what it describes began.
        told_s: When its begin was told.
        end_s: Where it ended.
        score: When it was told.
    """

    stream: str
    start_s: float
    told_s: float
    end_s: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A threshold, and what it gives on the recordings that it is from.

    Attributes:
        alert: With the threshold.
        spans: The alerts that it gives there.
        days: Length of the recordings.
        per_day: Alerts a day that are to be expected by them.
        guessed: Whether the recordings are too short for so few, so that the tail of the scores was continued.
        marks: How many moments were marked.
        found: How many of them have an alert.
        right: How many of the alerts have a mark.
    """

    alert: Alert
    spans: tuple[AlertSpan, ...]
    days: float
    per_day: float
    guessed: bool = False
    marks: int = 0
    found: int = 0
    right: int = 0


def alert_spans(alert: Alert, series: Iterable[ScoreSeries]) -> list[AlertSpan]:
    """What an alert gives on recordings, by the same states as when a stream runs.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.alerts import Alert, AlertSpan, ScoreSeries, alert_spans
        >>> series = ScoreSeries(stream="door", windows=np.array([(t, t + 2) for t in range(6)]),
        ...                      scores=np.array([0.1, 0.6, 0.7, 0.2, 0.1, 0.1]))
        >>> alert_spans(Alert(text="a cat", threshold=0.5, hold_s=0), [series])
        [AlertSpan(stream='door', start_s=2.0, told_s=3.0, end_s=4.0, score=0.6...)]
    """
    found: list[AlertSpan] = []
    for each in series:
        begun: AlertChange | None = None
        for change in watch_scores(alert, each.scores, each.windows):
            if change.active:
                begun = change
            elif begun is not None:
                found.append(
                    AlertSpan(
                        stream=each.stream,
                        start_s=begun.start_s,
                        told_s=begun.end_s,
                        end_s=change.end_s,
                        score=begun.score,
                    )
                )
    return found


def calibrate_rate(alert: Alert, series: Sequence[ScoreSeries], *, per_day: float) -> Calibrated:
    """The threshold that gives so many alerts a day, or as many below that as there are, on unlabelled recordings.

    Where they are too short for that (one alert a day from an hour), the highest scores of the 20 highest episodes are
    continued as a power law towards the highest score there can be, which is what a bounded tail tends to (Pickands,
    Ann. Stat. 3, 1975; the exponent is Hill's, Ann. Stat. 3, 1975).

    Args:
        alert: Its threshold is not looked at.
        series: What it scored.
        per_day: Alerts a day.

    Raises:
        InputError: there is nothing to calibrate on, or too little to guess from.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.alerts import Alert, Calibrated, ScoreSeries, calibrate_rate
        >>> at = np.arange(86400.0)
        >>> scores = np.random.default_rng(0).normal(0.2, 0.1, len(at))
        >>> day = ScoreSeries(stream="door", windows=np.stack([at, at + 1], 1), scores=scores)
        >>> found: Calibrated = calibrate_rate(Alert(text="a cat", threshold=0, hold_s=0), [day], per_day=6)
        >>> len(found.spans), found.guessed
        (6, False)
    """
    number(per_day, "per_day", above=0)
    days = _days(series)
    allowed = per_day * days
    if allowed < 1:
        threshold, guessed = _rarer(alert, series, math.log(per_day) + math.log(days)), True
    else:
        threshold, guessed = _most(alert, series, allowed), False
    rule = _with(alert, threshold)
    spans = tuple(alert_spans(rule, series))
    expected = per_day if guessed else len(spans) / days
    return Calibrated(alert=rule, spans=spans, days=days, per_day=expected, guessed=guessed)


def calibrate_marked(
    alert: Alert, series: Sequence[ScoreSeries], marks: Mapping[str, Sequence[float]]
) -> Calibrated:
    """The threshold whose alerts agree best (F1) with marked moments; what is not marked counts as a false alarm.

    A mark is found by an alert that is told up to 10 s before it, or began up to 2 s after it.

    Of thresholds that agree equally well it is the middle of the widest range.

    Args:
        alert: Its threshold is not looked at.
        series: What it scored, on all that was looked through for marks.
        marks: Moments in stream time, by the name of the recording.

    Raises:
        InputError: there is no mark, or one is where nothing was recorded.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.alerts import Alert, ScoreSeries, calibrate_marked
        >>> scores = np.full(100, 0.3)
        >>> scores[[20, 60]], scores[40] = 0.8, 0.5
        >>> windows = np.array([(t, t + 2.0) for t in range(100)])
        >>> series = ScoreSeries(stream="door", windows=windows, scores=scores)
        >>> found = calibrate_marked(Alert(text="a cat", threshold=0, hold_s=0), [series], {"door": [21, 61]})
        >>> round(found.alert.threshold, 2), found.found, found.right, len(found.spans)
        (0.65, 2, 2, 2)
    """
    marks = {stream: tuple(sorted(times)) for stream, times in marks.items() if len(times)}
    _check_marks(marks, series)
    tried = [(threshold, _agreement(alert, threshold, series, marks)) for threshold in _thresholds(series)]
    threshold = _widest(tried)
    rule = _with(alert, threshold)
    spans = tuple(alert_spans(rule, series))
    found, right = _matches(spans, marks)
    days = _days(series)
    return Calibrated(
        alert=rule,
        spans=spans,
        days=days,
        per_day=len(spans) / days,
        marks=sum(map(len, marks.values())),
        found=found,
        right=right,
    )


def _with(alert: Alert, threshold: float) -> Alert:
    most = _most_score(alert)
    return replace(alert, threshold=round(min(most, max(-most, threshold)), 6))


def _most_score(alert: Alert) -> float:
    return 2.0 if alert.against else 1.0


def _days(series: Sequence[ScoreSeries]) -> float:
    days = sum(each.seconds for each in series) / DAY_S
    if not days > 0:
        raise InputError("expected recordings to calibrate on, got none")
    return days


def _thresholds(series: Sequence[ScoreSeries]) -> Iterator[float]:
    """From above the highest score downwards, each between two scores."""
    scores = np.sort(np.concatenate([each.scores for each in series]).astype(np.float64))[::-1]
    yield float(scores[0]) + CLOSE
    ranks = np.unique(np.geomspace(1, len(scores), STEPS).round().astype(int))
    for rank in ranks.tolist():
        below = scores[rank] if rank < len(scores) else scores[-1] - 2 * CLOSE
        if scores[rank - 1] > below:
            yield float(scores[rank - 1] + below) / 2


def _most(alert: Alert, series: Sequence[ScoreSeries], allowed: float) -> float:
    """The threshold, from above, that gives the most alerts before one gives more than are allowed.

    Far below it there are fewer again: all of a day is one alert.
    """

    def count(threshold: float) -> int:
        return len(alert_spans(_with(alert, threshold), series))

    best, good, bad, fewer = 0, math.nan, math.nan, math.nan
    for threshold in _thresholds(series):
        if (alerts := count(threshold)) > allowed:
            bad = threshold
            break
        if alerts >= best:
            best, good, fewer = alerts, threshold, fewer if alerts == best else good
    for _ in range(0 if math.isnan(bad) else BISECTIONS):
        middle = (good + bad) / 2
        alerts = count(middle)
        if best <= alerts <= allowed:
            best, good, fewer = alerts, middle, fewer if alerts == best else good
        else:
            bad = middle
    # At the least of these alerts itself: down to the next one, another day gives one more on average.
    for _ in range(0 if math.isnan(fewer) else BISECTIONS):
        middle = (good + fewer) / 2
        good, fewer = (middle, fewer) if count(middle) == best else (good, middle)
    return good


def _rarer(alert: Alert, series: Sequence[ScoreSeries], log_allowed: float) -> float:
    """The threshold of what is rarer than once in these recordings, by the tail of their highest episodes."""
    level = _most(alert, series, TAIL)
    rule = _with(alert, level)
    highest = [
        float(each.scores[(each.windows[:, 1] >= span.told_s) & (each.windows[:, 0] <= span.end_s)].max())
        for each in series
        for span in alert_spans(rule, [each])
    ]
    if len(highest) < FEWEST:
        raise InputError(
            f"the recordings are too short for so few alerts: they show {len(highest)} episodes to guess from, "
            f"{FEWEST} are needed; take longer ones, more alerts a day, or marked moments"
        )
    most = _most_score(alert) + CLOSE
    beyond = [math.log((most - level) / (most - score)) for score in highest]
    further = sum(beyond) / len(beyond) * (math.log(len(highest)) - log_allowed)
    return max(most - (most - level) * math.exp(-further), max(highest) + CLOSE)


def _check_marks(marks: Mapping[str, Sequence[float]], series: Sequence[ScoreSeries]) -> None:
    if not marks:
        raise InputError("expected marked moments, got none")
    for stream, times in marks.items():
        for time_s in times:
            number(time_s, "a mark")
            own = [each.windows for each in series if each.stream == stream]
            if not any(each[0, 0] - EARLY_S <= time_s <= each[-1, 1] + LATE_S for each in own):
                known = ", ".join(sorted({each.stream for each in series}))
                raise InputError(
                    f"the mark at {time_s:g} s of {stream} is in none of the recordings: {known}"
                )


def _matches(spans: Sequence[AlertSpan], marks: Mapping[str, Sequence[float]]) -> tuple[int, int]:
    """How many marks have an alert, and how many alerts a mark."""

    def belongs(span: AlertSpan, stream: str, time_s: float) -> bool:
        return span.stream == stream and span.start_s - EARLY_S <= time_s <= span.told_s + LATE_S

    every = [(stream, time_s) for stream, times in marks.items() for time_s in times]
    found = sum(any(belongs(span, *mark) for span in spans) for mark in every)
    return found, sum(any(belongs(span, *mark) for mark in every) for span in spans)


def _agreement(
    alert: Alert, threshold: float, series: Sequence[ScoreSeries], marks: Mapping[str, Sequence[float]]
) -> float:
    """F1: precision of alerts, recall of marks."""
    spans = alert_spans(_with(alert, threshold), series)
    found, right = _matches(spans, marks)
    precision, recall = right / max(1, len(spans)), found / sum(map(len, marks.values()))
    return 2 * precision * recall / (precision + recall) if found else 0.0


def _widest(tried: Sequence[tuple[float, float]]) -> float:
    """The middle of the widest range of neighbouring thresholds that are the best."""
    best = max(agreement for _, agreement in tried)
    ranges: list[list[float]] = [[]]
    for threshold, agreement in tried:
        if agreement >= best - CLOSE:
            ranges[-1].append(threshold)
        elif ranges[-1]:
            ranges.append([])
    widest = max((each for each in ranges if each), key=lambda each: each[0] - each[-1])
    return (widest[0] + widest[-1]) / 2
