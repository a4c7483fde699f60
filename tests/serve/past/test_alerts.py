"""Alerts: edited through the configuration, judged by what is kept, told with what they saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from past_log import MEANINGS, Past, write_gate

import vljepa_runtime as vj
from vljepa_log import LogReader
from vljepa_runtime.alerts import Alert, AlertScorer, ScoreSeries, alert_spans, with_threshold
from vljepa_serve.archive import Archive, score_alert

RULE = {"query": "a cat", "cameras": ["gate"], "hold_s": 2, "cool_down_s": 5}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of a cat mean what the gate shows from 150 to 180 s."""
    words = {"a cat": MEANINGS[2], "a dog": MEANINGS[1]}
    monkeypatch.setattr(
        vj.Model,
        "embed_text",
        lambda self, texts: np.stack([words.get(text, MEANINGS[20]) for text in texts]),
    )


def scores_of(past: Past) -> np.ndarray:
    return past.rows @ MEANINGS[2]


def test_an_alert_is_made_changed_and_removed_in_the_configuration(past: Past) -> None:
    client, service = past.server.client, past.server.service
    made = client.post("/api/alerts", json={**RULE, "name": "A cat!", "threshold": 0.4})
    assert (made.status_code, made.json()["id"]) == (201, "a-cat")
    assert {name: made.json()[name] for name in ("fired_24h", "last_fired")} == {
        "fired_24h": 0,
        "last_fired": None,
    }
    assert service.config.alert[0].rule() == Alert(text="a cat", threshold=0.4, hold_s=2, cool_down_s=5)
    changed = client.put("/api/alerts/a-cat", json={**RULE, "name": "Cat", "threshold": 0.6, "on": False})
    assert (changed.json()["name"], changed.json()["on"]) == ("Cat", False)
    assert [each["threshold"] for each in past.server.get("/api/alerts")] == [0.6]
    second = client.post("/api/alerts", json={**RULE, "name": "a cat", "query": "two cats"}).json()["id"]
    assert second == "a-cat-2"
    assert [client.delete(f"/api/alerts/{id}").status_code for id in ("a-cat", second, "a-cat")] == [
        204,
        204,
        404,
    ]
    assert service.config.alert == ()


def test_scores_and_counts_are_those_of_brute_force(past: Past, seen: None) -> None:
    found = past.server.client.post("/api/alerts/scores", json={**RULE, "hours": 24}).json()
    scores = scores_of(past)
    steps = past.ends // 300 * 300
    expected = {at: float(scores[steps == at].max()) for at in np.unique(steps).tolist()}
    assert found["step_s"] == 300
    assert {each["at"]: each["high"] for each in found["bins"]} == pytest.approx(expected, abs=1e-3)
    series = ScoreSeries(stream="gate", windows=np.stack([past.ends - 2, past.ends], 1), scores=scores)
    assert len(found["counts"]) > 10
    for each in found["counts"]:
        rule = Alert(text="a cat", threshold=each["threshold"], hold_s=2, cool_down_s=5)
        assert each["fires"] == len(alert_spans(rule, [series]))
    assert 1 in [each["fires"] for each in found["counts"]]


@pytest.mark.parametrize("edge_s", [20, 165, 250], ids=["before", "within", "behind"])
def test_counts_do_not_depend_on_where_bins_begin(
    tmp_path: Path, model: vj.Model, seen: None, edge_s: float
) -> None:
    """A cat is there from 150 to 180 s: with an edge within, both bins have the highest score."""
    began = 1_800_000_000.0 - edge_s
    scores = write_gate(tmp_path, model, began).astype(np.float16).astype(np.float32) @ MEANINGS[2]
    with LogReader(tmp_path, model.bundle.manifest) as log:
        archive = Archive(log, model, keep=lambda segments: None)
        alert = Alert(text="a cat", threshold=0.5, hold_s=2, cool_down_s=5)
        found = score_alert(archive, alert, ["gate"], 0)
    thresholds = [threshold for threshold, _ in found.counts]
    assert thresholds[0] == pytest.approx(scores.max(), abs=1e-3)
    assert thresholds[-1] < 0.1
    assert -np.diff(thresholds).max() < 0.05
    assert 1 in [fires for threshold, fires in found.counts if 0.2 < threshold < 0.8]


@pytest.mark.parametrize("threshold", [None, 0.4321], ids=["by its words", "chosen"])
def test_the_threshold_in_force_is_counted_to_the_alert(
    past: Past, seen: None, threshold: float | None
) -> None:
    asked = {**RULE, "threshold": threshold}
    found = past.server.client.post("/api/alerts/scores", json=asked).json()
    words = with_threshold(Alert(text="a cat"), past.server.service.model.embed_text).threshold
    assert found["automatic"] == pytest.approx(words, abs=1e-4)
    used = found["automatic"] if threshold is None else threshold
    rule = Alert(text="a cat", threshold=used, hold_s=2, cool_down_s=5)
    series = ScoreSeries(
        stream="gate", windows=np.stack([past.ends - 2, past.ends], 1), scores=scores_of(past)
    )
    counted = {each["threshold"]: each["fires"] for each in found["counts"]}
    assert counted[used] == len(alert_spans(rule, [series]))


def test_an_alert_without_a_threshold_takes_what_its_words_say(past: Past) -> None:
    client, service = past.server.client, past.server.service
    made = client.post("/api/alerts", json={"name": "fall", "query": "a ball falls down"}).json()
    assert (made["threshold"], made["send_to"]) == (None, None)
    assert service.config.alert[0].threshold is None
    chosen = {"name": "fall", "query": "a ball falls down", "threshold": 0.3, "send_to": ["mqtt"]}
    assert client.put(f"/api/alerts/{made['id']}", json=chosen).json()["send_to"] == ["mqtt"]
    page_only = client.put(f"/api/alerts/{made['id']}", json={**chosen, "threshold": None, "send_to": []})
    assert (page_only.json()["threshold"], page_only.json()["send_to"]) == (None, [])
    assert service.config.alert[0].send_to == ()
    client.delete(f"/api/alerts/{made['id']}")
    refused = client.post("/api/alerts", json={"name": "fall", "query": "falls"})
    assert (refused.status_code, refused.json()["field"]) == (422, "threshold")


def test_rivals_count_as_they_do_in_a_session(past: Past, model: vj.Model, seen: None) -> None:
    found = past.server.client.post("/api/alerts/scores", json={**RULE, "rivals": ["a dog"]}).json()
    scores = AlertScorer(Alert(text="a cat", against=["a dog"]), model.embed_text)(past.rows)
    assert max(each["high"] for each in found["bins"]) == pytest.approx(float(scores.max()), abs=1e-3)


def test_a_threshold_is_proposed_for_so_many_a_day(past: Past, seen: None) -> None:
    days = len(past.rows) / 86_400
    found = past.server.client.post("/api/alerts/propose", json={**RULE, "per_day": 1.5 / days}).json()
    assert 0.1 < found["threshold"] < 1
    assert "once" in found["sentence"]
    assert found["expected_per_day"] == pytest.approx(1 / days, rel=0.01)
    rare = past.server.client.post("/api/alerts/propose", json={**RULE, "per_day": 0.01}).json()
    assert rare["threshold"] is None
    assert "too short" in rare["sentence"]
    nothing = past.server.client.post(
        "/api/alerts/propose", json={**RULE, "cameras": ["nobody"], "per_day": 1}
    ).json()
    assert nothing["threshold"] is None


def test_what_fired_is_told_with_its_moment_and_its_clip(past: Past) -> None:
    client, service = past.server.client, past.server.service
    client.post("/api/alerts", json={**RULE, "name": "cat"})
    name = "alert-20260101T000000000Z-gate-cat.mp4"
    service.recorder.clips.mkdir(parents=True, exist_ok=True)
    (service.recorder.clips / name).write_bytes(b"a clip")
    for active, clip in ((True, name), (False, name), (True, "../serve.toml")):
        event = vj.Event(
            stream="gate", kind="alert", start_s=150, end_s=153, text="a cat", active=active, clip=clip
        )
        service.hub.tell(event, at_end=past.began + 153, about="cat")
    span = {"from": past.began, "to": past.began + 400}
    found = client.get("/api/alerts/fired", params=span).json()
    assert {each["about"] for each in found} == {"cat"}
    assert found[0]["moment"] == past.moment(150, 153)
    assert found[0]["clip_address"] == f"/api/clips/{name}"
    assert found[0]["clip_start"] <= past.began + 150
    assert client.get(found[0]["clip_address"]).content == b"a clip"
    part = client.get(found[0]["clip_address"], headers={"range": "bytes=2-3"})
    assert (part.status_code, part.content) == (206, b"cl")
    (shown,) = past.server.get("/api/alerts")
    assert shown["fired_24h"] == len(found) == 1
    assert shown["last_fired"] == past.began + 153
    client.delete("/api/alerts/cat")


@pytest.mark.parametrize(
    "name",
    [
        "..%2Fserve.toml",
        "%2e%2e/serve.toml",
        "serve.toml",
        "alert-x.mp4",
        "a" * 300,
        "alert-20260101T000000000Z-gone.mp4",
    ],
)
def test_clips_that_are_not_there_are_404(past: Past, name: str) -> None:
    assert past.server.client.get(f"/api/clips/{name}").status_code in (404, 422)


@pytest.mark.parametrize(
    "change",
    [
        {"query": " "}, {"rivals": ["a cat"]}, {"threshold": 3}, {"hold_s": -1}, {"hold_s": 1e12}, {"name": ""},
        {"cameras": ["nobody"]}, {"look_back_s": 1e9}, {"send_to": ["fax"]}, {"other": 1},
        {"rivals": ["x"] * 65}, {"name": "a\nb"},
    ],
    ids=str,
)  # fmt: skip
def test_alerts_that_cannot_be_are_refused_with_a_sentence(past: Past, change: dict[str, Any]) -> None:
    answer = past.server.client.post("/api/alerts", json={**RULE, "name": "cat", **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["sentence"]
    assert past.server.service.config.alert == ()
