"""What a stream reports, one JSON line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Literal

from vljepa_runtime.errors import InputError
from vljepa_runtime.files.records import AtMost, check_record, read_record
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.values import Name, RecordError, shown, wrong
from vljepa_runtime.novelty import shown_text
from vljepa_runtime.printable import json_text

__all__ = ["EVENT_VERSION", "Event", "Kind", "LatencyMs", "Told", "in_turn", "wall_clock"]

Kind = Literal["segment", "answer", "alert", "status", "error"]
EVENT_VERSION = 3
# 1 had neither `time` nor `embedding`; 2 none of `change` (a segment's `score` then), `unknown`, `active`, `clip`.
READABLE = (1, 2, EVENT_VERSION)
OPTIONAL = ("embedding", "active", "clip")  # only where there is one
DECIMALS = {"start_s": 3, "end_s": 3, "score": 6, "change": 6}
MAX_EMBEDDING = 1 << 16  # values; the paper's model has 1,536
MAX_LINE = 1 << 20  # characters; a text of 512 tokens has some 2,500


def _version(value: object, where: str) -> int:
    if type(value) is not int or value not in READABLE:
        raise RecordError(
            f"event version {shown(value)} is unknown, this reader knows {EVENT_VERSION}: update it"
        )
    return value


def _any_text(value: object, where: str) -> str:
    """Whatever a model or a camera says; `to_json` escapes what must not reach a terminal."""
    if not isinstance(value, str):
        raise wrong(where, "text", value)
    return value


def _moment(value: object, where: str) -> str:
    try:
        if isinstance(value, str) and datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo:
            return value
    except ValueError:
        pass
    raise wrong(where, "ISO 8601 with its offset from UTC", value)


def wall_clock() -> str:
    """Now, as `Event.time` has it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


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
        time: When it was told, by the wall clock: ISO 8601 in UTC, to the millisecond; None where nobody noted it.
        text: Words, empty until decoded.
        query: The question or prompt this answers, None where there is none.
        score: How well `text` was found to fit: of a label its cosine with the prediction, -1..1; of a state its
            probability; of an alert see `Alert`. None where nothing was compared, as with words of the Y-decoder.
        change: Of a segment, the cosine distance, 0..2, to the one before it; None of the first, and of all else.
        unknown: Whether it shows nothing that the model knows, by most of its windows; None where nobody could
            tell: the bundle has no calibration for it, or only a part of the tokens was encoded.
        decoded: True when the Y-decoder wrote `text`.
        latency_ms: Time that its window and its words took.
        embedding: (S,) the predicted embedding, L2-normalised, where it was asked for.
        active: Of an alert: True at its begin, False at its end; None else.
        clip: Of an alert: name of the file that shows it, in the folder of clips, once its last seconds have come.
        v: Version of this layout.

    Examples:
        >>> import vljepa_runtime as vj
        >>> event = vj.Event(stream="door", kind="segment", start_s=2, end_s=5, text="a ball falls")
        >>> event.to_json()
        '{"v": 3, "stream": "door", "kind": "segment", "start_s": 2..., "text": "a ball falls", ...}'
        >>> vj.Event.from_json(event.to_json()) == event
        True
    """

    stream: Annotated[str, _any_text]
    kind: Kind
    start_s: float = 0.0
    end_s: float = 0.0
    time: Annotated[str, _moment] | None = None
    text: Annotated[str, _any_text] = ""
    query: Annotated[str, _any_text] | None = None
    score: float | None = None
    change: float | None = None
    unknown: bool | None = None
    decoded: bool = False
    latency_ms: LatencyMs = field(default_factory=LatencyMs)
    embedding: Annotated[tuple[float, ...], AtMost(MAX_EMBEDDING)] | None = None
    active: bool | None = None
    clip: Name | None = None
    v: Annotated[int, _version] = EVENT_VERSION

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        if self.end_s < self.start_s:
            raise InputError(f"event ends at {self.end_s} s, before it starts at {self.start_s} s")

    @property
    def shown(self) -> str:
        """What people read of it: its text, or that the model knows nothing of what it shows."""
        return shown_text(self.text, unknown=self.unknown)

    def to_json(self) -> str:
        """One line of JSON, fields in the documented order, those of `OPTIONAL` only where there is one; safe to print.

        Seconds have three decimals, cosines six, milliseconds two: no clock or engine here knows more.
        """
        values = asdict(self)
        for name, decimals in DECIMALS.items():
            values[name] = None if values[name] is None else round(values[name], decimals)
        for stage, spent_ms in values["latency_ms"].items():
            values["latency_ms"][stage] = None if spent_ms is None else round(spent_ms, 2)
        if self.embedding is not None:
            values["embedding"] = [round(value, 6) for value in self.embedding]
        values = {key: value for key, value in values.items() if key not in OPTIONAL or value is not None}
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


Told = Event | Callable[[], list[Event]]
"""An event, or what puts one into words and gives it."""


def in_turn(told: Iterator[Told]) -> Iterator[Event]:
    """Events, each put into words before the next is asked for."""
    for item in told:
        if isinstance(item, Event):
            yield item
        else:
            yield from item()
