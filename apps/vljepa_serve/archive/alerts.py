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
PARTS = 288  # of a time, 5 minutes of a day: at what every one of them reaches, an alert is told all the time
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
    return archive.read(_scores, _Looked.at(archive, alert, cameras, since), automatic)


def _scores(opened: OpenLog, looked: _Looked, automatic: float | None) -> Scores:
    alert, series = looked.alert, looked.series(opened.log)
    if not series:
        return Scores(bins=(), step_s=STEP_S, counts=(), automatic=automatic)
    highest: dict[float, float] = {}
    for each in series:
        steps = each.windows[:, 1] // STEP_S * STEP_S
        begins = np.flatnonzero(np.diff(steps, prepend=-1.0))
        for at, high in zip(steps[begins].tolist(), np.maximum.reduceat(each.scores, begins).tolist()):
            highest[at] = max(highest.get(at, -2.0), high)
    asked = automatic if alert.threshold is None else alert.threshold
    thresholds = [*([] if asked is None else [asked]), *_thresholds(series)]
    counts = dict(_counts(alert, series, thresholds))
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
    return archive.read(_proposal, _Looked.at(archive, alert, cameras, since), per_day)


def _proposal(opened: OpenLog, looked: _Looked, per_day: float) -> Proposal:
    try:
        found = calibrate_rate(looked.alert, looked.series(opened.log), per_day=per_day)
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


@dataclass(frozen=True, slots=True)
class _Looked:
    """What an alert looks at, and what scores it: all that another process needs.

    Attributes:
        alert: Which.
        scorer: Of its words.
        streams: Cameras that the log has something of, each with the query whose answers are looked at.
        since: In seconds since 1970.
    """

    alert: Alert
    scorer: AlertScorer
    streams: Sequence[tuple[str, str]]
    since: float

    @classmethod
    def at(cls, archive: Archive, alert: Alert, cameras: Sequence[str], since: float) -> _Looked:
        """What of some cameras an alert looks at; those that the log has nothing of are left out."""
        known = {each.name for each in archive.log.streams()}
        streams = [(camera, archive.query_of(camera)) for camera in dict.fromkeys(cameras) if camera in known]
        return cls(alert, AlertScorer(alert, archive.model.embed_text), streams, since)

    def series(self, log: LogReader) -> list[ScoreSeries]:
        """Scores by the wall clock, a camera after the other; where a clock was put back, a series begins anew."""
        return [part for camera, query in self.streams for part in self._series_of(log, camera, query)]

    def _series_of(self, log: LogReader, camera: str, query: str) -> Iterator[ScoreSeries]:
        where = Where(streams=(camera,), queries=(query,), since=self.since)
        times: list[npt.NDArray[np.float64]] = []
        scores: list[npt.NDArray[np.float32]] = []
        for batch in log.windows(where):
            rows = batch.windows
            times.append(np.stack([rows["time"] - rows["end_s"] + rows["start_s"], rows["time"]], axis=1))
            scores.append(self.scorer(batch.embeddings.astype(np.float32)))
        if times:
            windows, found = np.concatenate(times), np.concatenate(scores)
            anew = np.flatnonzero(np.diff(windows[:, 1]) < 0) + 1
            for part, own in zip(np.split(windows, anew), np.split(found, anew)):
                yield ScoreSeries(stream=camera, windows=part, scores=own)


def _thresholds(series: Sequence[ScoreSeries]) -> list[float]:
    """From the highest score down to what every part of the time reaches; the highest score reaches the first."""
    highest = [
        float(part.max())
        for each in series
        for part in np.array_split(each.scores, min(PARTS, len(each.scores)))
    ]
    steps = np.linspace(max(highest), min(highest), THRESHOLDS).tolist()
    return [math.floor(each * 10_000) / 10_000 for each in steps]


def _counts(
    alert: Alert, series: Sequence[ScoreSeries], thresholds: Sequence[float]
) -> Iterator[tuple[float, int]]:
    ends = time.thread_time() + COUNTING_S
    for threshold in thresholds:
        yield threshold, len(alert_spans(replace(alert, threshold=threshold), series))
        if time.thread_time() > ends:
            return
