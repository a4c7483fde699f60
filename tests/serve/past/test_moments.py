"""One moment: its picture, its words, and what is not there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from past_log import Past

import vljepa_runtime as vj


def test_a_picture_is_the_one_of_the_log_and_as_wide_as_asked(past: Past) -> None:
    moment = past.moment(0, 3, "door")
    kept = past.server.service.log.thumbnail("door", 0, time=past.door + 1.5)
    assert kept is not None
    whole = past.server.client.get(f"/api/moments/{moment}.jpg")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "image/jpeg")
    assert whole.content == kept.jpeg
    small = past.server.client.get(f"/api/moments/{moment}.jpg", params={"width": 32})
    assert cv2.imdecode(np.frombuffer(small.content, np.uint8), cv2.IMREAD_COLOR).shape[1] == 32
    again = past.server.client.get(
        f"/api/moments/{moment}.jpg", headers={"if-none-match": whole.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_where_no_picture_was_kept_there_is_none(past: Past) -> None:
    for moment in (
        past.moment(100, 110),
        past.moment(500, 510, "door"),
        past.moment(1, 2, "door").replace("door", "x"),
    ):
        answer = past.server.client.get(f"/api/moments/{moment}.jpg")
        assert (answer.status_code, answer.content) == (204, b"")


def test_words_are_made_once_and_kept_while_the_server_writes(
    past: Past, model: vj.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    decode = vj.Model.decode

    def counted(self: vj.Model, embedding: np.ndarray) -> str:
        made.append(embedding)
        return decode(self, embedding)

    monkeypatch.setattr(vj.Model, "decode", counted)
    moment = past.moment(20, 30, "shed")
    assert past.server.get(f"/api/moments/{moment}")["text"] == ""
    first = past.server.client.post(f"/api/moments/{moment}/decode").json()
    assert (first["decoded"], len(made)) == (True, 1)
    assert first["text"] == decode(model, made[0])
    again = past.server.client.post(f"/api/moments/{moment}/decode").json()
    assert (again, len(made)) == (first, 1)
    assert past.server.get(f"/api/moments/{moment}")["text"] == first["text"]


@pytest.mark.parametrize(
    "name", ["gate@9-1", "gate@1", "@1-2", "gate@-1-2", "gate@1-2-3", "gate@1e3-2e3", "x" * 300]
)
@pytest.mark.parametrize("suffix", ["", ".jpg"])
def test_names_that_are_no_moments_are_refused(past: Past, name: str, suffix: str) -> None:
    answer = past.server.client.get(f"/api/moments/{name}{suffix}")
    assert answer.status_code in (404, 422)
    assert answer.json()["sentence"]


def test_what_was_never_seen_is_404_with_a_sentence(past: Past) -> None:
    for moment in (past.moment(5000, 5001), "nobody@1000-2000"):
        for method, path in (("GET", moment), ("POST", f"{moment}/decode")):
            answer = past.server.client.request(method, f"/api/moments/{path}")
            assert answer.status_code == 404
            assert "holds nothing" in answer.json()["sentence"]
