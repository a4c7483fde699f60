"""A day in few words, as JSON and as files to keep."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from past_log import SHOWN, Past


def day_of(past: Past) -> str:
    return datetime.fromtimestamp(past.began + 100).date().isoformat()


def test_a_day_has_its_changes_and_the_most_telling_of_them_in_words(past: Past) -> None:
    params = {"day": day_of(past), "camera": "barn", "budget": 3}
    found = past.server.client.get("/api/digest", params=params).json()
    assert found["day"] == day_of(past)
    assert (found["all"], len(found["segments"]), sum(each["count"] for each in found["changes"])) == (
        1,
        1,
        1,
    )
    assert found["segments"][0]["text"]
    assert found["changes"][0]["at"] == past.began // 600 * 600
    again = past.server.client.get("/api/digest", params=params).json()
    assert again == {**found, "decodings": 0}


def test_a_day_of_all_cameras_is_in_the_order_of_time(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past.server.service.archive, "keep", lambda segments: None)
    found = past.server.client.get("/api/digest", params={"day": day_of(past), "budget": 4}).json()
    begins = [each["start"] for each in found["segments"]]
    assert len(begins) <= 4 < found["all"]
    assert begins == sorted(begins)
    assert len(SHOWN) > 300


def test_a_day_without_anything_is_empty(past: Past) -> None:
    found = past.server.client.get("/api/digest", params={"day": "2001-02-03"}).json()
    assert found == {"day": "2001-02-03", "segments": [], "changes": [], "decodings": 0, "all": 0}


@pytest.mark.parametrize(("kind", "media"), [("html", "text/html"), ("md", "text/markdown")])
def test_a_day_is_saved_as_a_file(past: Past, kind: str, media: str) -> None:
    params = {"day": day_of(past), "camera": "door"}
    saved = past.server.client.get(f"/api/digest.{kind}", params=params)
    assert saved.headers["content-type"].startswith(media)
    assert saved.headers["content-disposition"] == f'attachment; filename="digest-{day_of(past)}.{kind}"'
    shown = past.server.client.get("/api/digest", params=params).json()
    text = re.sub(r"\\(.)", r"\1", saved.text)
    assert all(each["text"] in text for each in shown["segments"])


@pytest.mark.parametrize(
    "params",
    [{"day": "today; rm"}, {"day": "0001-01-01"}, {"day": "9999-12-31"}, {"budget": 0}, {"budget": 1000}],
    ids=str,
)
@pytest.mark.parametrize("path", ["digest", "digest.html"])
def test_days_that_cannot_be_are_refused(past: Past, params: dict[str, object], path: str) -> None:
    answer = past.server.client.get(f"/api/{path}", params=params)
    assert answer.status_code == 422
    assert answer.json()["sentence"]


def test_other_files_are_not_there(past: Past) -> None:
    assert past.server.client.get("/api/digest.pdf").status_code in (404, 422)
