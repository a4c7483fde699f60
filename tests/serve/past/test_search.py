"""Moments near to words, a picture or a moment; the oracle multiplies all that was written."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import pytest
from past_log import MEANINGS, Past

import vljepa_runtime as vj
from vljepa_runtime.alerts import weak_below


def search(past: Past, **wanted: Any) -> dict[str, Any]:
    answer = past.server.client.post("/api/search", json=wanted)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def picture(array: np.ndarray, kind: str = "png") -> str:
    data = cv2.imencode(f".{kind}", array[..., ::-1])[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def test_words_find_the_windows_that_brute_force_finds(past: Past, model: vj.Model) -> None:
    words = "a red ball falls"
    scores = past.rows @ model.embed_text([words])[0]
    found = search(past, words=words, cameras=["gate"], k=3)
    best = found["moments"][0]
    assert best["score"] == pytest.approx(float(scores.max()), abs=1e-3)
    end = past.ends[int(scores.argmax())]
    assert best["start"] <= end - 2 + 1e-3
    assert end - 1e-3 <= best["end"]
    assert found["searched"] == len(past.rows)
    hours: dict[float, float] = {}
    for score, at in zip(scores.tolist(), past.ends.tolist()):
        hours[at // 3600 * 3600] = max(hours.get(at // 3600 * 3600, -1), score)
    assert {each["at"]: each["score"] for each in found["hours"]} == pytest.approx(hours, abs=1e-3)
    ranks = [each["score"] for each in found["moments"]]
    assert ranks == sorted(ranks, reverse=True)


def test_what_is_weak_is_known_of_words(past: Past, model: vj.Model) -> None:
    words = "a hand shows the digit seven"
    found = search(past, words=words, cameras=["gate"], k=3)
    assert found["weak_below"] == pytest.approx(weak_below(words, model.embed_text))
    assert all(
        each["score"] < found["weak_below"] for each in found["moments"]
    )  # of meanings that are no words
    for wanted in ({"words": "ball"}, {"like": past.moment(70, 80)}):
        assert search(past, cameras=["gate"], **wanted)["weak_below"] is None


def test_a_moment_finds_when_it_was_like_that(past: Past) -> None:
    found = search(past, like=past.moment(70, 80), cameras=["gate"], k=2)["moments"]
    spans = sorted((each["start"] - past.began, each["end"] - past.began) for each in found)
    np.testing.assert_allclose(spans, [(60, 151), (180, 301)], atol=1.1)
    assert found[0]["score"] > 0.99


def test_a_picture_finds_what_looks_like_it(past: Past, model: vj.Model) -> None:
    shown = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    wanted = model.embed(shown)
    found = search(past, picture=picture(shown), cameras=["gate"], k=1)["moments"]
    assert found[0]["score"] == pytest.approx(float((past.rows @ wanted).max()), abs=1e-3)


def test_cameras_and_times_are_held_to(past: Past) -> None:
    found = search(past, words="a ball", k=50)["moments"]
    assert {each["camera"] for each in found} == {"door", "gate", "shed", "barn"}
    span = {"from": past.began + 100, "to": past.began + 140}
    for each in search(past, words="a ball", cameras=["gate"], k=50, **span)["moments"]:
        assert span["from"] - 2.1 <= each["start"]
        assert each["end"] <= span["to"]
    nothing = search(past, words="a ball", cameras=["nobody"])
    assert (nothing["moments"], nothing["searched"], nothing["hours"]) == ([], 0, [])


def test_words_of_what_was_found_come_with_it(past: Past) -> None:
    found = search(past, like=past.moment(70, 80), cameras=["gate"], k=2)["moments"]
    assert {each["text"] for each in found} == {"a cat sleeps", ""}


BROKEN = base64.b64encode(b"\xff\xd8\xff not a picture").decode()


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({}, 422),
        ({"words": "a", "like": "gate@1-2"}, 422),
        ({"words": "  "}, 422),
        ({"words": "a" * 501}, 422),
        ({"words": "a", "k": 0}, 422),
        ({"words": "a", "k": 1000}, 422),
        ({"words": "a", "from": 5, "to": 5}, 422),
        ({"words": "a", "from": -5}, 422),
        ({"words": "a", "cameras": ["x"] * 65}, 422),
        ({"words": "a", "other": 1}, 422),
        ({"picture": "http://10.0.0.1/a.png"}, 422),
        ({"picture": "data:image/png;base64,@@@@"}, 422),
        ({"picture": "data:image/png;base64,AAAA"}, 422),
        ({"picture": f"data:image/jpeg;base64,{BROKEN}"}, 422),
        ({"like": "../../etc/passwd"}, 404),
        ({"like": "gate@5-2"}, 404),
        ({"like": "gate@99999999999999999-99999999999999999"}, 404),
        ({"like": "nobody@1000-2000"}, 404),
        ({"like": "gate@1000-2000"}, 404),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_searched_for_is_refused_with_a_sentence(
    past: Past, wanted: dict[str, Any], status: int
) -> None:
    answer = past.server.client.post("/api/search", json=wanted)
    assert answer.status_code == status, answer.text
    assert answer.json()["sentence"].endswith(".")
    assert "/tmp" not in answer.text


def test_nan_in_json_is_refused(past: Past) -> None:
    answer = past.server.client.post(
        "/api/search", content=b'{"words": "a", "from": NaN}', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422


def test_meanings_of_the_gate_are_far_from_each_other() -> None:
    assert np.abs(np.triu(MEANINGS @ MEANINGS.T, 1)).max() < 1e-5
