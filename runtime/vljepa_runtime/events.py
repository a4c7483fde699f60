"""What a stream reports, one JSON line each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from vljepa_runtime.errors import InputError
from vljepa_runtime.files.records import check_record, read_record
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.values import RecordError, shown, wrong
from vljepa_runtime.printable import json_text

__all__ = ["EVENT_VERSION", "Event", "Kind", "LatencyMs"]

Kind = Literal["segment", "answer", "alert", "status", "error"]
EVENT_VERSION = 1
MAX_LINE = 1 << 20  # characters; a text of 512 tokens has some 2,500


def _version(value: object, where: str) -> int:
    if type(value) is not int or value != EVENT_VERSION:
        raise RecordError(
            f"event version {shown(value)} is unknown, this reader knows {EVENT_VERSION}: update it"
        )
    return value


def _any_text(value: object, where: str) -> str:
    """Whatever a model or a camera says; `to_json` escapes what must not reach a terminal."""
    if not isinstance(value, str):
        raise wrong(where, "text", value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyMs:
    """Milliseconds spent per stage; None where a stage did not run."""

    capture: float | None = None
    encode: float | None = None
    predict: float | None = None
    decode: float | None = None

    def __post_init__(self) -> None:
        check_record(self, error=InputError)


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

    Examples:
        >>> import vljepa_runtime as vj
        >>> event = vj.Event(stream="door", kind="segment", start_s=2, end_s=5, text="a ball falls")
        >>> event.to_json()
        '{"v": 1, "stream": "door", "kind": "segment", "start_s": 2..., "text": "a ball falls", ...}'
        >>> vj.Event.from_json(event.to_json()) == event
        True
    """

    stream: Annotated[str, _any_text]
    kind: Kind
    start_s: float = 0.0
    end_s: float = 0.0
    text: Annotated[str, _any_text] = ""
    query: Annotated[str, _any_text] | None = None
    score: float | None = None
    decoded: bool = False
    latency_ms: LatencyMs = field(default_factory=LatencyMs)
    v: Annotated[int, _version] = EVENT_VERSION

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
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
        found = (
            {"v": None, **plain} if isinstance(plain, dict) else plain
        )  # an object without a version is none of ours
        return read_record(cls, found, "event", error=InputError)
