"""What an alert would have done, from what the log keeps: its scores, how often it had been told, a threshold."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log import Where
from vljepa_log.days import duration
from vljepa_runtime import InputError
from vljepa_runtime.alerts import AlertScorer, ScoreSeries, alert_spans, calibrate_rate, with_threshold

if TYPE_CHECKING:
    from vljepa_log import LogReader
    from vljepa_runtime.alerts import Alert
    from vljepa_serve.archive.process import OpenLog
    from vljepa_serve.archive.reading import Archive

__all__ = ["Proposal", "Scores", "automatic_threshold", "propose_threshold", "score_alert"]

STEP_S = 300.0
DAY_S = 86_400.0
THRESHOLDS = 48
COUNTING_S = 3.0
"""Of a processor; thresholds are counted from the highest down: at low ones an alert is told all the time anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What an alert scored on the past.

    Attributes:
        bins: Begin of each step in seconds since 1970, and the highest score in it, over all cameras.
        step_s: Seconds of a step.
        counts: Thresholds, and how often the alert would have begun at them; the highest first.
        automatic: The threshold that the alert's words say; None for a single word.
    """

    bins: Sequence[tuple[float, float]]
    step_s: float
    counts: Sequence[tuple[float, int]]
    automatic: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A threshold for so many alerts a day.

    Attributes:
        threshold: None where nothing can be said.
        expected_per_day: Alerts that are to be expected then.
        sentence: What it is from.
    """

    threshold: float | None
    expected_per_day: float | None
    sentence: str


def score_alert(archive: Archive, alert: Alert, cameras: Sequence[str], since: float) -> Scores:
    """Score all windows from a time on.

    Args:
        archive: Whose log is read.
        alert: Is counted at its own threshold, or else at what its words say, as at many others.
        cameras: Names of streams; those that the log has nothing of count for nothing.
        since: In seconds since 1970.
    """
    automatic = automatic_threshold(archive, alert)
    scorer = AlertScorer(alert, archive.model.embed_text)
    return archive.read(_scores, alert, scorer, _watched(archive, cameras), since, automatic)


def _scores(
    opened: OpenLog,
    alert: Alert,
    scorer: AlertScorer,
    watched: Sequence[tuple[str, str]],
    since: float,
    automatic: float | None,
) -> Scores:
    series = list(_series(opened.log, scorer, watched, since))
    if not series:
        return Scores(bins=(), step_s=STEP_S, counts=(), automatic=automatic)
    highest: dict[float, float] = {}
    for each in series:
        steps = each.windows[:, 1] // STEP_S * STEP_S
        begins = np.flatnonzero(np.diff(steps, prepend=-1.0))
        for at, high in zip(steps[begins].tolist(), np.maximum.reduceat(each.scores, begins).tolist()):
            highest[at] = max(highest.get(at, -2.0), high)
    low, high = min(highest.values()), max(highest.values())
    asked = automatic if alert.threshold is None else alert.threshold
    counts = dict(_counts(alert, series, [*([] if asked is None else [asked]), *_thresholds(low, high)]))
    return Scores(
        bins=sorted(highest.items()),
        step_s=STEP_S,
        counts=sorted(counts.items(), reverse=True),
        automatic=automatic,
    )


def automatic_threshold(archive: Archive, alert: Alert) -> float | None:
    """What an alert's words say, whatever threshold it has; None for a single word, which says nothing."""
    with suppress(InputError):
        found = with_threshold(replace(alert, threshold=None), archive.model.embed_text)
        return None if found.threshold is None else round(found.threshold, 4)
    return None


def propose_threshold(
    archive: Archive, alert: Alert, cameras: Sequence[str], since: float, *, per_day: float
) -> Proposal:
    """The threshold that would have given so many alerts a day; see `calibrate_rate`."""
    scorer = AlertScorer(alert, archive.model.embed_text)
    return archive.read(_proposal, alert, scorer, _watched(archive, cameras), since, per_day)


def _proposal(
    opened: OpenLog,
    alert: Alert,
    scorer: AlertScorer,
    watched: Sequence[tuple[str, str]],
    since: float,
    per_day: float,
) -> Proposal:
    series = list(_series(opened.log, scorer, watched, since))
    try:
        found = calibrate_rate(alert, series, per_day=per_day)
    except InputError as error:
        reason = str(error)
        return Proposal(threshold=None, expected_per_day=None, sentence=f"{reason[:1].upper()}{reason[1:]}.")
    threshold, times = found.alert.threshold or 0.0, len(found.spans)
    often = "once" if times == 1 else f"{times} times"
    sentence = f"At {threshold:.2f} it would have fired {often} in {duration(found.days * DAY_S)}."
    if found.guessed:
        sentence = f"{sentence[:-1]}: too short for so few, so the highest scores were continued."
    return Proposal(
        threshold=found.alert.threshold, expected_per_day=round(found.per_day, 3), sentence=sentence
    )


def _watched(archive: Archive, cameras: Sequence[str]) -> list[tuple[str, str]]:
    """Cameras that the log has something of, and what their answers are looked at of."""
    known = {each.name for each in archive.log.streams()}
    return [(camera, archive.query_of(camera)) for camera in dict.fromkeys(cameras) if camera in known]


def _series(
    log: LogReader, scorer: AlertScorer, watched: Sequence[tuple[str, str]], since: float
) -> Iterator[ScoreSeries]:
    """Scores by the wall clock, a camera after the other; where a clock was put back, a series begins anew."""
    for camera, query in watched:
        where = Where(streams=(camera,), queries=(query,), since=since)
        times: list[npt.NDArray[np.float64]] = []
        scores: list[npt.NDArray[np.float32]] = []
        for batch in log.windows(where):
            rows = batch.windows
            times.append(np.stack([rows["time"] - rows["end_s"] + rows["start_s"], rows["time"]], axis=1))
            scores.append(scorer(batch.embeddings.astype(np.float32)))
        if times:
            windows, found = np.concatenate(times), np.concatenate(scores)
            anew = np.flatnonzero(np.diff(windows[:, 1]) < 0) + 1
            for part, own in zip(np.split(windows, anew), np.split(found, anew)):
                yield ScoreSeries(stream=camera, windows=part, scores=own)


def _thresholds(low: float, high: float) -> list[float]:
    """Down from the highest, each a little below, so that the highest score reaches the first."""
    return [math.floor(each * 10_000) / 10_000 for each in np.linspace(high, low, THRESHOLDS).tolist()]


def _counts(
    alert: Alert, series: Sequence[ScoreSeries], thresholds: Sequence[float]
) -> Iterator[tuple[float, int]]:
    ends = time.thread_time() + COUNTING_S
    for threshold in thresholds:
        yield threshold, len(alert_spans(replace(alert, threshold=threshold), series))
        if time.thread_time() > ends:
            return
