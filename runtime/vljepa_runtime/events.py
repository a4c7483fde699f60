"""What a stream reports, one JSON line each."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from vljepa_runtime.arguments import choice
from vljepa_runtime.errors import InputError
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.values import shown
from vljepa_runtime.printable import json_text

__all__ = ["EVENT_VERSION", "Event", "Kind", "LatencyMs"]

Kind = Literal["segment", "answer", "alert", "status", "error"]
EVENT_VERSION = 1
MAX_LINE = 1 << 20  # characters; a text of 512 tokens has some 2,500


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
        start_s: Begin, in seconds since the stream began, as a player counts.
        end_s: End, in the same.
        text: Words, empty until decoded.
        query: The question or prompt this answers, None where there is none.
        score: How sure, on the scale of the policy or the classifier; None where there is none.
        decoded: True when the Y-decoder wrote `text`.
        latency_ms: Time that its window and its words took.
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
        if type(self.v) is not int or self.v != EVENT_VERSION:
            raise InputError(
                f"event version {shown(self.v)} is unknown, this reader knows {EVENT_VERSION}: update it"
            )
        choice(self.kind, "event kind", get_args(Kind))
        for name in ("stream", "text", "query"):
            value = getattr(self, name)
            if not isinstance(value, str) and (name != "query" or value is not None):
                raise InputError(f"event {name} must be text, got {shown(value)}")
        if not isinstance(self.decoded, bool):
            raise InputError(f"event decoded must be true or false, got {shown(self.decoded)}")
        if not isinstance(self.latency_ms, LatencyMs):
            raise InputError(f"event latency_ms must be a LatencyMs, got {shown(self.latency_ms)}")
        for name in ("start_s", "end_s"):
            _store_number(self, name)
        _store_number(self, "score", optional=True)
        if self.end_s < self.start_s:
            raise InputError(f"event ends at {self.end_s} s, before it starts at {self.start_s} s")

    def to_json(self) -> str:
        """One line of JSON, fields in the documented order; safe to show on a terminal."""
        values = asdict(self)
        return json_text({"v": values.pop("v"), **values})

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Read what `to_json` wrote.

        Raises:
            InputError: it is not JSON, of another version, or has unknown, missing or impossible fields.
        """
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"it is longer than {MAX_LINE} characters")
            plain = parse_json(line)
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"an event must be one JSON object, got {shown(line)} ({error})") from error
        values = dict(_checked(cls, plain, "event"))
        latency = _checked(LatencyMs, values.pop("latency_ms", {}), "latency_ms")
        return cls(**values, latency_ms=LatencyMs(**latency))


def _checked(kind: type[Any], values: object, what: str) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise InputError(f"{what} must be a JSON object, got {type(values).__name__}")
    if unknown := sorted(set(values) - {item.name for item in fields(kind)}):
        raise InputError(f"{what} has unknown fields: {shown(', '.join(unknown))[1:-1]}")
    if kind is Event and (missing := {"v", "stream", "kind"} - set(values)):
        raise InputError(f"{what} lacks {', '.join(sorted(missing))}")
    return values


def _store_number(target: object, name: str, *, optional: bool = False) -> None:
    """Turn numpy numbers into plain floats and refuse what JSON cannot say."""
    value = getattr(target, name)
    if value is None and optional:
        return
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise InputError(f"{name} must be a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{name} must be finite, got {shown(value)}")
    object.__setattr__(target, name, number)
