"""Cameras that come, change and go while others run; what is looked for in them; questions."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from serving import Running, camera_toml, running, wait_for

import vljepa_runtime as vj
from vljepa_log import LogWriter, writer


@pytest.fixture(scope="module")
def house(model: vj.Model, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of this module's own, for it is changed: one camera that goes on all the time."""
    with running(model, tmp_path_factory.mktemp("house"), camera_toml("door", recording, loop=True)) as found:
        wait_for(lambda: found.service.fleet.camera("door").newest)
        yield found


def connections(server: Running, id: str) -> int:
    """How often a camera was connected."""
    told = [each.event for each in server.service.hub.newest(2000) if each.event.stream == id]
    return sum(event.text.startswith("connected") for event in told)


def test_a_camera_comes_changes_and_goes_and_the_others_do_not_notice(
    house: Running, recording: Path
) -> None:
    before = connections(house, "door")
    added = house.client.post(
        "/api/cameras", json={"name": "Back Yard", "source": str(recording), "loop": True}
    )
    assert added.status_code == 201
    assert added.json()["id"] == "back-yard"
    yard = house.service.fleet.camera("back-yard")
    wait_for(lambda: yard.now)
    assert house.client.patch("/api/cameras/back-yard", json={"name": "Yard"}).json()["name"] == "Yard"
    assert connections(house, "back-yard") == 1  # a name is no reason to connect anew
    off = house.client.patch("/api/cameras/back-yard", json={"on": False}).json()
    assert (off["state"], off["sentence"]) == ("off", "Switched off.")
    assert house.client.delete("/api/cameras/back-yard").status_code == 204
    assert house.client.get("/api/cameras/back-yard").status_code == 404
    assert [each["id"] for each in house.get("/api/cameras")] == ["door"]
    assert connections(house, "door") == before


def test_a_recording_that_ends_can_be_played_again(house: Running, recording: Path) -> None:
    short = recording.with_name("short.mp4")
    if not short.exists():
        from vljepa_apps.demo.stream import write_video

        write_video(np.full((8, 64, 64, 3), 90, np.uint8), short, fps=8)
    house.client.post("/api/cameras", json={"name": "Once", "source": str(short)})
    once = house.service.fleet.camera("once")
    wait_for(lambda: once.stopped)
    assert house.get("/api/cameras/once")["sentence"].startswith("The recording has ended.")
    assert house.client.post("/api/cameras/once/retry").json()["state"] in ("starting", "live", "slowed")
    house.client.delete("/api/cameras/once")


def test_what_decodes_a_camera_is_its_own_entry(house: Running, recording: Path) -> None:
    entry = {"id": "chip", "name": "Chip", "source": str(recording), "loop": True, "hwaccel": "nvidia"}
    house.service.change(lambda file: file.put("camera", entry))
    told = house.get("/api/cameras/chip")
    assert told["state"] == "stopped"
    assert "xpected hwaccel as none, auto or what this FFmpeg was built for" in told["sentence"]
    house.service.change(lambda file: file.put("camera", {"id": "chip", "hwaccel": "auto"}))
    wait_for(lambda: house.service.fleet.camera("chip").now)
    house.client.delete("/api/cameras/chip")


def test_a_probability_without_a_network_is_told(house: Running) -> None:
    house.service.change(lambda file: file.set("select", {"boundary": 0.7}))
    assert house.service.problems == []  # tiny has a network for a window a second
    house.service.change(lambda file: file.set("model", {"stride_s": 0.7}))
    (problem,) = house.service.problems
    assert "tiny has no network for windows 0.7 s apart" in problem
    house.service.change(lambda file: file.set("select", {"boundary": None}))
    assert house.service.problems == []
    house.service.change(lambda file: file.set("model", {"stride_s": None}))


def test_what_cannot_be_opened_is_stopped_with_its_sentence(house: Running) -> None:
    added = house.client.post("/api/cameras", json={"name": "Gone", "source": "/no/such/clip.mp4"}).json()
    assert added["state"] == "stopped"
    assert "no such file" in added["sentence"]
    assert added["retry_at"] > time.time()
    house.client.delete("/api/cameras/gone")


def test_a_source_is_tried_before_it_is_added(house: Running, recording: Path) -> None:
    good = house.client.post("/api/cameras/test", json={"source": str(recording)}).json()
    assert (good["ok"], good["width"], good["height"], good["fps"]) == (True, 128, 128, 8.0)
    jpeg = base64.b64decode(good["picture"].removeprefix("data:image/jpeg;base64,"))
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (128, 128, 3)
    bad = house.client.post("/api/cameras/test", json={"source": "http://u:hunter2@127.0.0.1:1/x"}).json()
    assert not bad["ok"]
    assert "hunter2" not in bad["sentence"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "", "source": "0"}, "name"),
        ({"name": "x"}, "source"),
        ({"name": "x", "source": "0", "sauce": 1}, "sauce"),
        ({"name": "x", "source": "0\n1"}, "camera"),
        ({"name": "x", "source": "0", "queries": ["q"] * 9}, "queries"),
    ],
)
def test_what_is_no_camera_is_refused_by_its_field(
    house: Running, body: dict[str, object], field: str
) -> None:
    answer = house.client.post("/api/cameras", json=body)
    assert answer.status_code == 422
    assert (answer.json()["field"] or "").startswith(field)
    assert answer.json()["sentence"]


def test_a_question_is_answered_from_what_is_seen_now(house: Running) -> None:
    ask = {"query": "What is there?", "candidates": ["a ball", "a box", "a cross"]}
    found = house.client.post("/api/cameras/door/ask", json=ask).json()
    assert found["answered_from"] == "live"
    assert {each["text"] for each in found["scores"]} == {*ask["candidates"]}
    scores = [each["score"] for each in found["scores"]]
    assert scores == sorted(scores, reverse=True)
    assert found["event"]["text"] == found["scores"][0]["text"]
    assert found["at_end"] > found["at_start"]
    wordy = house.client.post("/api/cameras/door/ask", json={"query": "What happens?"}).json()
    assert wordy["event"]["decoded"]
    assert wordy["event"]["text"]


def test_a_question_about_the_past_is_answered_from_the_video(house: Running, model: vj.Model) -> None:
    door = house.service.fleet.camera("door")
    wait_for(lambda: house.service.video.pieces("door", 0, time.time()))
    piece = house.service.video.pieces("door", 0, time.time())[0]
    ask = {"query": "What is there?", "candidates": ["a ball", "a box"], "start": piece.start + 1}
    whole = {**ask, "end": piece.start + 4}
    wait_for(lambda: house.client.post("/api/cameras/door/ask", json=whole).status_code == 200)
    found = house.client.post("/api/cameras/door/ask", json=whole).json()
    assert found["answered_from"] in ("video", "embedding")
    late = house.client.post("/api/cameras/door/ask", json={**ask, "start": 100.0, "end": 102.0})
    assert late.status_code == 404
    assert door.stopped == ""


def test_standing_questions_are_asked_of_every_window(house: Running) -> None:
    before = connections(house, "door")
    asked = house.client.put("/api/cameras/door/queries", json={"queries": ["What colour is it?"]})
    assert asked.json()["queries"] == ["What colour is it?"]
    wait_for(lambda: any(each.event.query == "What colour is it?" for each in house.service.hub.newest(2000)))
    assert house.service.fleet.camera("door").now.event.query != "What colour is it?"
    house.client.put("/api/cameras/door/queries", json={"queries": []})
    assert connections(house, "door") == before


def test_an_alert_fires_with_a_clip_and_is_changed_while_the_camera_goes_on(house: Running) -> None:
    before = connections(house, "door")
    alert = {"id": "any", "name": "Any", "query": "a ball falls", "threshold": -1.0, "hold_s": 0.0}
    house.service.change(lambda file: file.put("alert", {**alert, "look_back_s": 3.0}))

    def fired() -> list[vj.Event]:
        told = house.service.hub.newest(2000)
        return [each.event for each in told if each.about == "any" and each.event.kind == "alert"]

    wait_for(fired)
    (shown,) = house.get("/api/state")["alerts"]
    assert (shown["id"], [*shown["active"]]) == ("any", ["door"])
    event = fired()[0]
    assert event.active
    assert event.clip is not None
    clip = house.service.recorder.clips / event.clip
    wait_for(clip.exists)
    with vj.open_source(clip) as source:
        frames = [item for item in source if isinstance(item, vj.Frame)]
    assert frames[-1].time_s > 3.0  # what was before, and after
    house.service.change(lambda file: file.put("alert", {"id": "any", "threshold": 1.0}))
    house.service.change(lambda file: file.remove("alert", "any"))
    assert house.service.fleet.camera("door").standing.active == {}
    assert connections(house, "door") == before


def test_settings_are_shown_without_secrets_and_changed(house: Running) -> None:
    secret = "rtsp://admin:hunter2@127.0.0.1:1/live"
    house.client.post("/api/cameras", json={"name": "Lobby", "source": secret, "on": False})
    shown = house.get("/api/cameras/lobby")["source"]
    assert "hunter2" not in house.client.get("/api/config").text
    house.client.patch("/api/cameras/lobby", json={"source": shown, "name": "Hall"})  # as it was shown
    config = house.service.config
    assert next(each for each in config.camera if each.id == "lobby").source == secret
    house.client.delete("/api/cameras/lobby")
    changed = house.client.patch(
        "/api/config", json={"log": {"keep_days": 30}, "server": {"port": 81}}
    ).json()
    assert (changed["log"]["keep_days"], changed["restart"]) == (30, ["server.port"])
    gone = house.client.patch("/api/config", json={"log": {"keep_days": None}}).json()
    assert gone["log"]["keep_days"] is None
    bad = house.client.patch("/api/config", json={"log": {"keep_days": -3}})
    assert bad.status_code == 422
    assert "days above 0" in bad.json()["sentence"]


def test_how_long_meaning_is_kept_is_in_force_without_a_restart(
    model: vj.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "UPKEEP_S", 0.01)
    with LogWriter(tmp_path, model.bundle.manifest) as log:
        for days in (5, 3, 1, 0):
            at = time.time() - 86_400 * days
            log.add_window("door", "q", start_s=-days, end_s=1 - days, embedding=np.eye(256)[0], at=at)
    with running(model, tmp_path) as server:

        def kept() -> int:
            return sum(each.windows for each in server.service.log.store.held())

        for keep_days, windows in ((4, 3), (2, 2)):
            server.client.patch("/api/config", json={"log": {"keep_days": keep_days}})
            wait_for(lambda windows=windows: kept() == windows)


def test_receivers_and_sections_are_changed_all_or_none(house: Running) -> None:
    receiver = {"kind": "webhook", "address": "http://127.0.0.1:9/hook", "secret": "hunter2"}

    def patch(**change: object) -> tuple[int, dict[str, object]]:
        answer = house.client.patch("/api/config", json=change)
        return answer.status_code, answer.json()

    code, shown = patch(sink=[receiver])
    assert (code, "hunter2" in str(shown)) == (200, False)
    code, _ = patch(sink=[*shown["sink"], {"": 1}], log={"keep_days": 5})  # type: ignore[misc]
    assert code == 422
    assert house.service.config.log.keep_days is None
    assert house.service.config.sink == (receiver,)
    code, _ = patch(sink=[{**shown["sink"][0], "": None}], log={"keep_days": 5})  # type: ignore[index]
    assert code == 200
    assert house.service.config.log.keep_days == 5
    assert house.service.config.sink == (receiver,)
    patch(sink=[], log={"keep_days": None})


def test_a_file_changed_by_hand_is_in_force_without_a_restart(house: Running, recording: Path) -> None:
    path = house.service.file.path
    path.write_text(path.read_text() + camera_toml("gate", recording, loop=True, on=False))
    wait_for(lambda: "gate" in house.service.fleet.cameras)
    path.write_text(path.read_text() + "\n[[broken")
    wait_for(lambda: house.get("/api/state")["problems"])
    assert "not in force" in house.get("/api/state")["problems"][0]
    path.write_text(path.read_text().replace("\n[[broken", ""))
    wait_for(lambda: not house.get("/api/state")["problems"])
    house.client.delete("/api/cameras/gate")


def test_the_device_is_measured(house: Running) -> None:
    wait_for(
        lambda: house.get("/api/system")["cameras"]["door"]["windows"]
    )  # a change of settings began it anew
    system = house.get("/api/system")
    assert system["memory_mb"] > 50
    assert 0 <= system["cpu_share"] <= 1
    assert {each["graph"] for each in system["engines"]} >= {"x_encoder", "predictor"}
    assert system["disk"]["free_gb"] > 0


def test_prometheus_reads_the_metrics(house: Running) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    families = {each.name: each for each in text_string_to_metric_families(house.client.get("/metrics").text)}
    windows = families["vljepa_windows"].samples[0]
    assert windows.labels == {"camera": "door"}
    assert windows.value >= 1
    assert families["vljepa_stage_seconds"].type == "summary"
    assert families["vljepa_memory_bytes"].samples[0].value > 5e7


def test_a_pipeline_which_may_write_files_is_not_taken_from_a_page(house: Running, tmp_path: Path) -> None:
    pipeline = f"gst:videotestsrc num-buffers=1 ! filesink location={tmp_path}/written"
    asks = [
        house.client.post("/api/cameras", json={"name": "Gst", "source": pipeline}),
        house.client.post("/api/cameras/test", json={"source": pipeline.removeprefix("gst:")}),
        house.client.patch("/api/cameras/door", json={"source": f" {pipeline}".upper()}),
    ]
    assert [answer.status_code for answer in asks] == [422] * 3
    assert {answer.json()["field"] for answer in asks} == {"source"}
    assert [each["id"] for each in house.get("/api/cameras")].count("gst") == 0
    assert not (tmp_path / "written").exists()
