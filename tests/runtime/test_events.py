"""Events are one JSON line each, and what comes back is what was written."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event, LatencyMs, wall_clock

FULL = Event(
    stream="camera 0",
    kind="segment",
    start_s=1.5,
    end_s=3.25,
    text="a red ball – „rollt“ 球\nleft",
    query="What happens?",
    score=0.75,
    decoded=True,
    latency_ms=LatencyMs(capture=1.0, encode=2.5, predict=0.25, decode=9.0),
    time="2026-11-27T20:54:08.123+00:00",
    embedding=(0.6, -0.8),
    active=False,
    clip="alert.mp4",
)


@pytest.mark.parametrize(
    "event", [FULL, Event(stream="", kind="status"), Event(stream="x", kind="error", text="broken")]
)
def test_json_round_trip_is_one_line(event: Event) -> None:
    line = event.to_json()
    assert "\n" not in line
    assert Event.from_json(line) == event


def test_layout_is_the_documented_one() -> None:
    values = json.loads(FULL.to_json())
    assert list(values) == [
        "v", "stream", "kind", "start_s", "end_s", "time", "text", "query", "score", "change", "unknown",
        "decoded", "latency_ms", "embedding", "active", "clip",
    ]  # fmt: skip
    assert not {"embedding", "active", "clip"} & set(json.loads(Event(stream="s", kind="segment").to_json()))
    assert list(values["latency_ms"]) == ["capture", "encode", "predict", "decode"]
    assert values["v"] == 3


def test_a_line_of_the_version_before_is_read() -> None:
    event = Event.from_json('{"v": 1, "stream": "s", "kind": "segment", "text": "a ball rolls"}')
    assert (event.text, event.time, event.embedding) == ("a ball rolls", None, None)


def test_an_alert_of_the_version_before_is_read() -> None:
    event = Event.from_json('{"v": 2, "stream": "s", "kind": "alert", "text": "a ball rolls"}')
    assert (event.v, event.active, event.clip) == (2, None, None)


def test_a_segment_of_version_2_is_read_as_it_was_written() -> None:
    event = Event.from_json(
        '{"v": 2, "stream": "s", "kind": "segment", "score": 1.0, "text": "a ball rolls"}'
    )
    assert (event.v, event.score, event.change, event.unknown) == (2, 1.0, None, None)


def test_a_line_says_no_more_than_clocks_and_engines_know() -> None:
    third = 1 / 3
    event = Event(
        stream="s", kind="segment", start_s=third, end_s=2 * third, score=third,
        latency_ms=LatencyMs(encode=third), embedding=(third,),
    )  # fmt: skip
    values = json.loads(event.to_json())
    assert (values["start_s"], values["end_s"], values["score"]) == (0.333, 0.667, 0.333333)
    assert (values["latency_ms"]["encode"], values["embedding"]) == (0.33, [0.333333])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": "2026-11-27T20:54:08"}, "time: expected ISO 8601 with its offset"),
        ({"time": "yesterday"}, "time: expected ISO 8601 with its offset"),
        ({"embedding": [0.5, "0.5"]}, r"embedding\[1\]: expected a finite number"),
        ({"embedding": [0.0] * 70_000}, "embedding: expected at most 65536"),
    ],
    ids=["no-offset", "no-time", "text", "long"],
)
def test_a_time_or_an_embedding_that_is_none_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Event(stream="s", kind="segment", **changes)


def test_the_wall_clock_is_a_time_that_events_take() -> None:
    before = datetime.now(timezone.utc)
    told = datetime.fromisoformat(str(Event(stream="s", kind="status", time=wall_clock()).time))
    assert abs((told - before).total_seconds()) < 60


def test_numpy_numbers_become_plain_ones() -> None:
    event = Event(
        stream="s",
        kind="segment",
        start_s=np.float32(1),  # type: ignore[arg-type]
        end_s=np.float64(2),
        score=np.float32(0.5),  # type: ignore[arg-type]
        latency_ms=LatencyMs(encode=np.float32(3)),  # type: ignore[arg-type]
    )
    assert Event.from_json(event.to_json()) == event
    assert type(event.score) is float


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "segmnt"}, "kind: expected segment or answer or alert or status or error"),
        ({"v": 4}, "version 4 is unknown"),
        ({"score": float("nan")}, "score: expected a finite number, got nan"),
        ({"start_s": 2.0, "end_s": 1.0}, "before it starts"),
        ({"end_s": "soon"}, "end_s: expected a finite number, got 'soon'"),
        ({"text": None}, "text: expected text, got None"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_values_are_refused(changes: dict[str, object], message: str) -> None:
    values: dict[str, object] = {"stream": "s", "kind": "segment", **changes}
    with pytest.raises(InputError, match=message):
        Event(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "one JSON object"),
        ("[1, 2]", r"^event: expected an object, got \[1, 2\]"),
        ('{"v": 1, "kind": "status"}', "^event: `stream` is missing"),
        (
            '{"v": 1, "stream": "s", "kind": "status", "colour": 1}',
            "^event: unknown keys colour; known: stream, ",
        ),
        (
            '{"v": 1, "stream": "s", "kind": "status", "latency_ms": {"gpu": 1}}',
            "^latency_ms: unknown keys gpu; known: ",
        ),
        (
            '{"v": 1, "stream": "s", "kind": "status", "latency_ms": 3}',
            "^latency_ms: expected an object, got 3",
        ),
        ('{"v": 9, "stream": "s", "kind": "status"}', "version 9"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_lines_are_refused(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Event.from_json(line)


HEAD = '{"v": 1, "stream": "s", "kind": "segment", '


@pytest.mark.parametrize(
    "line",
    [
        HEAD + '"decoded": -Infinity}',
        HEAD + '"decoded": 1}',
        HEAD + '"start_s": 1' + "0" * 400 + "}",
        HEAD + '"start_s": "1"}',
        HEAD + '"start_s": true}',
        HEAD + '"score": [1]}',
        HEAD + '"query": 7}',
        HEAD + '"latency_ms": []}',
        HEAD + '"latency_ms": null}',
        HEAD + '"latency_ms": {"encode": "1"}}',
        HEAD + '"text": "\\ud800"}',
        HEAD + '"text": "a", "text": "b"}',
        '{"v": true, "stream": "s", "kind": "segment"}',
        '{"v": 1.0, "stream": "s", "kind": "segment"}',
        '{"v": 1, "stream": "s", "kind": ["segment"]}',
        "[" * 100_000,
        "x" * 2_000_000,
        None,
    ],
    ids=lambda line: str(line)[-40:],
)
def test_hostile_lines_are_refused_in_one_short_sentence(line: Any) -> None:
    with pytest.raises(InputError) as refused:
        Event.from_json(line)
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


def test_numbers_that_no_float_holds_are_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        Event(stream="s", kind="segment", end_s=10**400)
