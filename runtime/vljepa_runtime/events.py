"""What a stream reports, one JSON line each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from vljepa_runtime.arguments import choice
from vljepa_runtime.errors import InputError

__all__ = ["EVENT_VERSION", "Event", "Kind", "LatencyMs"]

Kind = Literal["segment", "answer", "alert", "status", "error"]
EVENT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyMs:
    """Milliseconds spent per stage; None where a stage did not run."""

    capture: float | None = None
    encode: float | None = None
    predict: float | None = None
    decode: float | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            _store_number(self, item.name, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing worth telling about a stream.

    Attributes:
        stream: Name of the source, without credentials.
        kind: `segment`, `answer`, `alert`, `status` or `error`.
        start_s: Begin, in seconds since the first frame.
        end_s: End.
        text: Words, empty until decoded.
        query: The question or prompt this answers, None where there is none.
        score: How sure, on the scale of the policy or the classifier; None where there is none.
        decoded: True when the Y-decoder wrote `text`.
        latency_ms: Time spent on it.
        v: Version of this layout.
    """

    stream: str
    kind: Kind
    start_s: float = 0.0
    end_s: float = 0.0
    text: str = ""
    query: str | None = None
    score: float | None = None
    decoded: bool = False
    latency_ms: LatencyMs = field(default_factory=LatencyMs)
    v: int = EVENT_VERSION

    def __post_init__(self) -> None:
        if self.v != EVENT_VERSION:
            raise InputError(
                f"event version {self.v} is unknown, this reader knows {EVENT_VERSION}: update it"
            )
        choice(self.kind, "event kind", get_args(Kind))
        for name in ("stream", "text"):
            if not isinstance(value := getattr(self, name), str):
                raise InputError(f"event {name} must be text, got {value!r}")
        for name in ("start_s", "end_s"):
            _store_number(self, name)
        _store_number(self, "score", optional=True)
        if self.end_s < self.start_s:
            raise InputError(f"event ends at {self.end_s} s, before it starts at {self.start_s} s")

    def to_json(self) -> str:
        """One line of JSON, fields in the documented order."""
        values = asdict(self)
        return json.dumps({"v": values.pop("v"), **values}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Read what `to_json` wrote.

        Raises:
            InputError: it is not JSON, of another version, or has unknown or missing fields.
        """
        try:
            values = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"an event must be one JSON object, got {line[:80]!r}") from error
        latency = values.get("latency_ms") if isinstance(values, dict) else None
        values = _checked(cls, values, "event")
        return cls(**{**values, "latency_ms": LatencyMs(**_checked(LatencyMs, latency or {}, "latency_ms"))})


def _checked(kind: type[Any], values: object, what: str) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise InputError(f"{what} must be a JSON object, got {type(values).__name__}")
    if unknown := sorted(set(values) - {item.name for item in fields(kind)}):
        raise InputError(f"{what} has unknown fields: {', '.join(unknown)}")
    if kind is Event and (missing := {"v", "stream", "kind"} - set(values)):
        raise InputError(f"{what} lacks {', '.join(sorted(missing))}")
    return values


def _store_number(target: object, name: str, *, optional: bool = False) -> None:
    """Turn numpy numbers into plain floats and refuse what JSON cannot say."""
    value = getattr(target, name)
    if value is None and optional:
        return
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise InputError(f"{name} must be finite, got {number}")
    object.__setattr__(target, name, number)
