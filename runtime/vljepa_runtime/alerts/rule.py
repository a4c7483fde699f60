"""What an alert is: words, and when a stream counts as showing them. Read strictly from files that people may write."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from vljepa_runtime.errors import InputError
from vljepa_runtime.files.records import AtMost, check_record, plain, read_record
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.values import Name, RecordError, Text, shown, within

__all__ = ["ALERTS_VERSION", "Alert", "AlertFile", "read_alerts"]

ALERTS_VERSION = 1
MAX_BYTES = 4 << 20  # of a file
MAX_ALERTS = 256
MAX_AGAINST = 64
MAX_S = 7 * 86_400.0  # of a time


Seconds = Annotated[float, within(0, MAX_S, "seconds")]


def _version(value: object, where: str) -> int:
    if type(value) is not int or value != ALERTS_VERSION:
        raise RecordError(f"alerts of version {shown(value)} are unknown, this reader knows {ALERTS_VERSION}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A standing query.

    Its score is the cosine between the embedding of `text` and the predicted one; with `against` it is how much nearer
    `text` is than the nearest of those, or than windows are that show none of them, by what the words say: a difference
    of cosines. It ranks moments, and is no probability.

    An alert begins when every window over `hold_s` scored `threshold` or more, and ends when every window over `hold_s`
    scored less than `threshold - release`. For `cool_down_s` after its end it does not begin again; what is still
    there then begins it anew.

    Attributes:
        text: What shall be told, in your own words.
        threshold: From -1 to 1, with `against` from -2 to 2: see `vljepa alerts calibrate`; None for what the words
            say, and 0 with `against`.
        against: What else a stream may show, in your own words.
        hold_s: For how long, in seconds.
        release: How far the score must fall below the threshold, so that it does not flicker.
        cool_down_s: Seconds of silence after an end.
        query: Of the session's queries the one whose predictions are looked at; None takes the first.

    Raises:
        InputError: a value is out of its bounds.

    Examples:
        >>> from vljepa_runtime.alerts import Alert
        >>> Alert(text="a person lies on the floor", against=["the room is empty"], threshold=0.1, hold_s=3)
        Alert(text='a person lies on the floor', threshold=0.1, against=('the room is empty',), hold_s=3.0, ...)
    """

    text: Text
    threshold: Annotated[float, within(-2, 2, "a score")] | None = None
    against: Annotated[tuple[Text, ...], AtMost(MAX_AGAINST)] = ()
    hold_s: Seconds = 1.0
    release: Annotated[float, within(0, 2, "a difference of scores")] = 0.05
    cool_down_s: Seconds = 10.0
    query: Text | None = None

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        if not self.text.strip() or not all(other.strip() for other in self.against):
            raise InputError("an alert needs words, got blanks alone")
        if self.text in self.against:
            raise InputError(f"{shown(self.text)} cannot compete with itself: leave it out of `against`")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFile:
    """Alerts as they lie in a file.

    Attributes:
        alerts: At least one, no two with the same words.
        model: Whose scores the thresholds are, by `bundle.identity_of`; empty where a person chose them.
        v: Version of the layout.

    Examples:
        >>> from vljepa_runtime.alerts import Alert, AlertFile, read_alerts
        >>> from vljepa_runtime.files import plain
        >>> import json, pathlib
        >>> found = AlertFile(alerts=[Alert(text="a ball falls", threshold=0.4)])
        >>> _ = pathlib.Path("alerts.json").write_text(json.dumps(plain(found)))
        >>> read_alerts("alerts.json") == found
        True
    """

    alerts: Annotated[tuple[Alert, ...], AtMost(MAX_ALERTS)]
    model: Mapping[Name, Name] = field(default_factory=dict)
    v: Annotated[int, _version] = ALERTS_VERSION

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        words = [alert.text for alert in self.alerts]
        if not words or len(set(words)) != len(words):
            raise InputError("expected one alert or more, each with words of its own")

    def check_model(self, model: Mapping[str, str]) -> None:
        """See that thresholds which were calibrated are for the scores of this model.

        Raises:
            InputError: they are another one's.
        """
        if self.model and dict(self.model) != dict(model):
            raise InputError(
                "these alerts have thresholds for the scores of another model or preprocessing: calibrate them "
                "with this bundle (vljepa alerts calibrate)"
            )

    @classmethod
    def from_json(cls, data: bytes, *, where: str = "alerts") -> AlertFile:
        """Read what `to_dict` gave, as UTF-8; `where` names it in messages.

        Raises:
            InputError: it is no JSON, or something else.
        """
        try:
            if len(data) > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
            values = parse_json(data.decode("utf-8-sig"))
        except ValueError as error:
            raise InputError(f"expected a file of alerts, cannot read {where}: {error}") from error
        advice = "see docs/alerts.md for what a file of alerts holds"
        return read_record(cls, values, "alerts", error=InputError, advice=advice)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        found: dict[str, object] = plain(self)
        return {"v": found.pop("v"), **found}


def read_alerts(path: str | os.PathLike[str]) -> AlertFile:
    """Read a file of alerts.

    Args:
        path: JSON, as `AlertFile.to_dict` gives it.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"expected a file of alerts, cannot read {path}: {error}") from error
    return AlertFile.from_json(data, where=os.fspath(path))
