"""A camera's past in segments and in a trace, as a page asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from past_log import MEANINGS, SHOWN, Past

import vljepa_runtime as vj


def segments(past: Past, first: float, last: float, camera: str = "gate") -> list[dict[str, Any]]:
    query = {"from": past.began + first, "to": past.began + last}
    answer = past.server.client.get(f"/api/cameras/{camera}/segments", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["segments"]
    return found


def test_segments_are_what_the_log_says_with_the_words_that_it_has(past: Past) -> None:
    found = segments(past, 0, 400)
    begins = [each["start"] - past.began for each in found]
    np.testing.assert_allclose(begins, [0, 60, 150, 180, 300], atol=1.01)
    assert [each["end"] for each in found[:-1]] == [each["start"] for each in found[1:]]
    assert [each["text"] for each in found] == ["", "a cat sleeps", "", "", ""]
    assert [each["decoded"] for each in found] == [False, True, False, False, False]
    assert {each["camera"] for each in found} == {"gate"}


def test_a_moment_of_a_segment_is_that_segment(past: Past) -> None:
    for each in segments(past, 0, 400):
        shown = past.server.get(f"/api/moments/{each['moment']}")
        assert {name: shown[name] for name in ("text", "decoded", "query", "moment")} == {
            name: each[name] for name in ("text", "decoded", "query", "moment")
        }
        assert abs(shown["start"] - each["start"]) < 0.001


def test_a_span_has_what_reaches_into_it(past: Past) -> None:
    found = segments(past, 100, 155)
    assert [each["text"] for each in found] == ["a cat sleeps", ""]
    assert segments(past, 5000, 5100) == []


def test_words_of_a_session_are_those_that_it_told(past: Past, model: vj.Model) -> None:
    log = past.server.service.log
    told = [each for each in log.events() if each.event.stream == "door" and each.event.text]
    params = {"from": past.door - 1, "to": past.door + 60}
    found = past.server.client.get("/api/cameras/door/segments", params=params).json()
    assert [each["text"] for each in found["segments"]] == [each.event.text for each in told]
    assert found["query"] == model.prompts["caption"]


def test_a_trace_has_the_lowest_and_highest_similarity_of_each_bin(past: Past) -> None:
    points, first, last = 37, 0.0, 362.0
    params = {"from": past.began + first, "to": past.began + last, "points": points}
    trace = past.server.client.get("/api/cameras/gate/windows", params=params).json()
    cut = past.server.service.archive.cut("gate", past_query(past), past.began, past.began + 400)
    expected: dict[int, list[float]] = {}
    for row, end in zip(past.rows, past.ends):
        of = [each for each in cut if each.began <= end - 1.0][-1]
        number = min(points - 1, int((end - past.began) * points / last))
        expected.setdefault(number, []).append(float(row @ of.embedding))
    assert [each["windows"] for each in trace["bins"]] == [len(each) for each in expected.values()]
    np.testing.assert_allclose(
        [each["low"] for each in trace["bins"]], [min(x) for x in expected.values()], atol=1e-3
    )
    np.testing.assert_allclose(
        [each["high"] for each in trace["bins"]], [max(x) for x in expected.values()], atol=1e-3
    )
    assert trace["step_s"] == pytest.approx(last / points)
    assert trace["decoded"] == [past.began + 64]
    assert sum(each["decoded"] for each in trace["bins"]) == 1


def past_query(past: Past) -> str:
    return past.server.service.archive.query_of("gate")


def test_what_is_alike_is_near_one(past: Past) -> None:
    params = {"from": past.began + 10, "to": past.began + 50, "points": 10}
    trace = past.server.client.get("/api/cameras/gate/windows", params=params).json()
    assert len(trace["bins"]) == 10
    assert min(each["low"] for each in trace["bins"]) > 0.99
    assert MEANINGS[SHOWN[0]] @ MEANINGS[SHOWN[70]] < 0.01


@pytest.mark.parametrize("route", ["segments", "windows"])
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "from"),
        ({"from": "nan", "to": 5}, "from"),
        ({"from": 5, "to": "inf"}, "to"),
        ({"from": 5, "to": 5}, "to"),
        ({"from": 9, "to": 5}, "to"),
        ({"from": -1, "to": 5}, "from"),
        ({"from": 0, "to": 1e12}, "to"),
        ({"from": 0, "to": 8 * 86400}, "to"),
    ],
    ids=str,
)
def test_spans_that_cannot_be_are_refused_with_a_sentence(
    past: Past, route: str, params: dict[str, Any], field: str
) -> None:
    answer = past.server.client.get(f"/api/cameras/gate/{route}", params=params)
    assert answer.status_code == 422
    assert answer.json()["field"].endswith(field)
    assert answer.json()["sentence"].endswith(".")


def test_cameras_and_questions_that_are_not_there_are_404(past: Past) -> None:
    span = {"from": past.began, "to": past.began + 9}
    for path, more, field in (
        ("/api/cameras/nobody/segments", {}, "camera"),
        ("/api/cameras/gate/segments", {"query": "Who?"}, "query"),
        ("/api/cameras/gate/windows", {"query": "Who?"}, "query"),
    ):
        answer = past.server.client.get(path, params={**span, **more})
        assert (answer.status_code, answer.json()["field"]) == (404, field)
