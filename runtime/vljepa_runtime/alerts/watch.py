"""When alerts begin and end: fed with times and embeddings, of a stream that runs or of a log. Knows no frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vljepa_runtime.alerts.rule import Alert
from vljepa_runtime.alerts.words import EmbedTexts, something_else, with_threshold
from vljepa_runtime.arguments import instance
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.holding import ROUNDING_S, Holding
from vljepa_runtime.selection.protocol import Floats, Observation, unit

__all__ = ["AlertChange", "AlertScorer", "AlertWatch", "watch_scores"]

GAP = 2  # windows, or times the hole before, in which nothing was seen: over that nothing holds
HELD = 1.5  # times the usual length of a window; thinned logs have windows that stand for many


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """An alert began or ended.

    Attributes:
        alert: Which.
        active: Whether it began.
        start_s: Where what it describes began, in stream time.
        end_s: At its begin, the end of the window at which it was told; at its end, where it was over.
        score: Of the window at which it was told.

    Examples:
        >>> from vljepa_runtime.alerts import Alert, AlertChange
        >>> AlertChange(alert=Alert(text="a cat", threshold=0.5), active=True, start_s=2, end_s=4, score=0.6)
        AlertChange(alert=Alert(text='a cat', ...), active=True, start_s=2, end_s=4, score=0.6)
    """

    alert: Alert
    active: bool
    start_s: float
    end_s: float
    score: float


class AlertScorer:
    """The score of one alert for predicted embeddings; see `Alert`.

    Args:
        alert: Whose words are embedded, once.
        embed_texts: `Model.embed_text`.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.alerts import Alert, AlertScorer
        >>> words = dict(zip(["cat", "dog"], np.eye(2, 8, dtype=np.float32)))
        >>> alert = Alert(text="cat", against=["dog"], threshold=0.2)
        >>> score = AlertScorer(alert, lambda texts: np.stack([words[text] for text in texts]))
        >>> [round(float(s), 1) for s in score(np.stack([words["cat"], 0.8 * words["cat"] + 0.6 * words["dog"]]))]
        [1.0, 0.2]
    """

    def __init__(self, alert: Alert, embed_texts: EmbedTexts) -> None:
        self._rows = embed_texts([alert.text, *alert.against])
        self._else = something_else(alert.text, embed_texts) if alert.against else -np.inf

    def __call__(self, embeddings: Floats) -> Floats:
        """(N,) scores of embeddings (N, S)."""
        cosines = embeddings @ self._rows.T
        if len(self._rows) == 1:
            return np.asarray(cosines[:, 0], np.float32)
        return np.asarray(cosines[:, 0] - np.maximum(cosines[:, 1:].max(axis=1), self._else), np.float32)


@dataclass(slots=True)
class _State:
    """One alert on one stream."""

    alert: Alert
    threshold: float = field(init=False)
    holding: Holding[bool] = field(init=False)
    began_s: float = 0.0
    seen_s: float = 0.0
    quiet_until_s: float = float("-inf")
    score: float = 0.0

    def __post_init__(self) -> None:
        if self.alert.threshold is None:
            raise InputError(f"expected an alert with a threshold, got {self.alert}: see with_threshold")
        self.threshold = self.alert.threshold
        self.holding = Holding(self.alert.hold_s, present=False, rival=False)

    @property
    def is_idle(self) -> bool:
        """Whether nothing but a window that scores enough can change anything."""
        return not (self.holding.present or self.holding.rival)

    def push(self, score: float, seen: Observation, *, after_gap: bool) -> AlertChange | None:
        if after_gap:
            self.holding.begin_anew()
        self.seen_s, self.score = seen.end_s, score
        active = self.holding.present
        shows = score >= self.threshold - (self.alert.release if active else 0.0)
        if not active and seen.end_s < self.quiet_until_s - ROUNDING_S:
            shows = False
        if not self.holding.push(shows, seen):
            return None
        return self._begin(seen.end_s) if shows else self._end(self.holding.start_s)

    def finish(self) -> AlertChange | None:
        """The stream ended, and with it what is still told."""
        return self._end(self.seen_s) if self.holding.present else None

    def _begin(self, now_s: float) -> AlertChange:
        self.began_s = min(self.holding.start_s, now_s)
        return AlertChange(alert=self.alert, active=True, start_s=self.began_s, end_s=now_s, score=self.score)

    def _end(self, end_s: float) -> AlertChange:
        self.holding.present = False
        self.quiet_until_s = self.seen_s + self.alert.cool_down_s
        return AlertChange(
            alert=self.alert,
            active=False,
            start_s=self.began_s,
            end_s=max(self.began_s, end_s),
            score=self.score,
        )


@dataclass(slots=True)
class _Holes:
    """Between the windows of one query."""

    end_s: float = float("inf")
    before_s: float = 0.0

    def push(self, seen: Observation) -> bool:
        """Whether a gap lies before the next window."""
        hole_s, before_s = seen.start_s - self.end_s, self.before_s
        self.end_s, self.before_s = seen.end_s, hole_s
        return hole_s > GAP * max(seen.end_s - seen.start_s, before_s)


class AlertWatch:
    """Several alerts on one stream.

    Args:
        alerts: No two with the same words; one without a threshold is given what its words say.
        embed_texts: `Model.embed_text`.
        queries: What the stream is asked; the first one is what alerts without a query look at.

    Raises:
        InputError: two alerts have the same words, or one asks what the stream is not asked.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.alerts import Alert, AlertWatch
        >>> from vljepa_runtime.selection import observe
        >>> one, other = np.eye(2, 8, dtype=np.float32)
        >>> alert = Alert(text="a cat", threshold=0.5, hold_s=2, cool_down_s=0)
        >>> watch = AlertWatch([alert], lambda texts: one[None], queries=["What is there?"])
        >>> for seen in observe(np.stack([other, other, one, one, one, other, other, other]), np.arange(8.0)):
        ...     for change in watch.push("What is there?", seen):
        ...         print("begins" if change.active else "ends", change.start_s, change.end_s, change.score)
        begins 2.0 4.0 1.0
        ends 2.0 5.0 0.0
    """

    def __init__(self, alerts: Iterable[Alert], embed_texts: EmbedTexts, *, queries: Sequence[str]) -> None:
        found = tuple(alerts)
        for alert in found:
            instance(alert, "an alert", Alert)
        if len({alert.text for alert in found}) != len(found):
            raise InputError("expected alerts with words of their own, two have the same")
        self.alerts = tuple(with_threshold(alert, embed_texts) for alert in found)
        self._states: dict[str, list[tuple[AlertScorer, _State]]] = {}
        self._holes = {query: _Holes() for query in queries}
        for alert in self.alerts:
            query = queries[0] if alert.query is None else alert.query
            if query not in queries:
                raise InputError(
                    f"the alert {alert.text!r} looks at the answers to {query!r}, which is not asked: pass it as query"
                )
            self._states.setdefault(query, []).append((AlertScorer(alert, embed_texts), _State(alert)))

    @property
    def queries(self) -> tuple[str, ...]:
        """Those whose answers are looked at."""
        return tuple(self._states)

    def push(self, query: str, seen: Observation) -> list[AlertChange]:
        """Take the next window of one query, in time order."""
        if not (states := self._states.get(query)):
            return []
        row, after_gap = unit(seen.embedding)[None], self._holes[query].push(seen)
        changes = [state.push(float(score(row)[0]), seen, after_gap=after_gap) for score, state in states]
        return [change for change in changes if change]

    def finish(self) -> list[tuple[str, AlertChange]]:
        """The stream ended: every alert that is told ends, with the query whose answers it looked at."""
        found = [(query, state.finish()) for query, states in self._states.items() for _, state in states]
        return [(query, change) for query, change in found if change]


def watch_scores(alert: Alert, scores: Floats, windows: npt.NDArray[np.floating]) -> Iterator[AlertChange]:
    """One alert over a recording whose scores (N,) are known; what calibration repeats for many thresholds.

    Args:
        alert: Its words are not looked at.
        scores: See `AlertScorer`.
        windows: (N, 2) begin and end of each, in stream time; one much longer than most shows a held picture.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.alerts import Alert, watch_scores
        >>> alert = Alert(text="a cat", threshold=0.5, hold_s=0)
        >>> windows = np.array([(0, 1), (1, 2), (2, 3)])
        >>> [change.active for change in watch_scores(alert, np.array([0.1, 0.6, 0.2]), windows)]
        [True, False]
    """
    state, nothing = _State(alert), np.zeros(0, np.float32)
    above = np.flatnonzero(scores >= state.threshold)
    lengths = windows[:, 1] - windows[:, 0]
    held = lengths > HELD * np.median(lengths) if len(lengths) else lengths
    gaps = _gaps(windows)
    index = 0
    while index < len(scores):
        if state.is_idle:  # most windows of most streams: nothing happens until one scores enough
            later = above.searchsorted(index)
            index = int(above[later]) if later < len(above) else len(scores)
            if index == len(scores):
                break
        start_s, end_s = windows[index].tolist()
        seen = Observation(
            index=index, start_s=start_s, end_s=end_s, embedding=nothing, held=int(held[index])
        )
        if (change := state.push(float(scores[index]), seen, after_gap=bool(gaps[index]))) is not None:
            yield change
        index += 1
    if (change := state.finish()) is not None:
        yield change


def _gaps(windows: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """(N,) what `_Holes` says of each."""
    holes = np.append(-np.inf, windows[1:, 0] - windows[:-1, 1])[: len(windows)]
    before = np.append(0.0, holes[:-1])[: len(windows)]
    return np.asarray(holes > GAP * np.maximum(windows[:, 1] - windows[:, 0], before))
