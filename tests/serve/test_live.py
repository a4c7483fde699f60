"""What happens now: state, pictures, the WebSocket."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from serving import PATIENCE_S, Running, camera_toml, running, wait_for
from websockets.sync.client import connect

import vljepa_runtime as vj
from vljepa_serve.pictures import NewestPicture

CLOSED = b"\x88\x02\x03\xf5"  # the frame that says 1013, try again later


def messages(server: Running, *, until: str, after: int | None = None) -> list[dict[str, object]]:
    """What a page is told until a kind of message came."""
    address = server.address.replace("http", "ws") + "/api/live"
    found: list[dict[str, object]] = []
    with connect(address if after is None else f"{address}?after={after}") as socket:
        ends = time.monotonic() + PATIENCE_S
        while not any(each["kind"] == until for each in found):
            found.append(json.loads(socket.recv(timeout=ends - time.monotonic())))
    return found


def test_health_and_state_tell_of_every_camera(server: Running) -> None:
    wait_for(lambda: server.get("/health")["cameras"] == {"live": 1, "all": 1})
    state = server.get("/api/state")
    assert [(each["id"], each["state"]) for each in state["cameras"]] == [("door", "live"), ("yard", "off")]
    door = state["cameras"][0]
    assert door["now"]["kind"] == "segment"
    assert (door["width"], door["height"]) == (128, 128)
    assert door["now"]["camera"] == "door"
    assert abs(door["now"]["at_end"] - state["now"]) < PATIENCE_S
    assert state["last_id"] == max(each["id"] for each in state["events"])
    ids = [each["id"] for each in state["events"]]
    assert ids == sorted(set(ids))


def test_a_picture_is_what_the_camera_shows_and_as_wide_as_asked(server: Running) -> None:
    whole, small = (server.client.get(f"/api/cameras/door/live.jpg{ask}") for ask in ("", "?width=64"))
    pictures = [
        cv2.imdecode(np.frombuffer(each.content, np.uint8), cv2.IMREAD_COLOR) for each in (whole, small)
    ]
    assert [each.shape for each in pictures] == [(128, 128, 3), (64, 64, 3)]
    assert pictures[0].std() > 5


def test_pictures_come_one_after_the_other(server: Running) -> None:
    data = b""
    with server.client.stream("GET", "/api/cameras/door/live.mjpeg?width=96") as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        for chunk in answer.iter_raw():
            data += chunk
            if data.count(b"--frame\r\n") > 3:
                break
    parts = [part.partition(b"\r\n\r\n")[2][:-2] for part in data.split(b"--frame\r\n")[1:-1]]
    decoded = [cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR) for part in parts]
    assert {each.shape for each in decoded} == {(96, 96, 3)}
    assert len(set(parts)) > 1


def test_a_picture_that_was_seen_is_not_sent_again() -> None:
    newest, image = NewestPicture(), np.full((32, 32, 3), 80, np.uint8)
    newest.put(image)
    first = newest.tag, newest.jpeg(None)
    assert (newest.tag, newest.jpeg(None)) == first
    newest.put(image // 2)
    assert newest.tag != first[0]
    assert newest.jpeg(None) != first[1]


def test_no_picture_is_said_in_a_sentence(server: Running) -> None:
    assert server.client.get("/api/cameras/yard/live.jpg").status_code == 204
    answer = server.client.get("/api/cameras/yard/live.mjpeg")
    asked = server.client.post("/api/cameras/yard/ask", json={"query": "What happens?"})
    for each in (answer, asked):
        assert each.status_code == 409
        assert each.json()["sentence"] == "There is no picture of Yard now. Switched off."


def test_a_page_is_told_events_windows_and_counters(server: Running) -> None:
    told = messages(server, until="event") + messages(server, until="windows")
    kinds = {each["kind"] for each in told}
    assert {"event", "windows"} <= kinds
    assert kinds <= {"event", "windows", "stats", "camera", "system"}
    window = next(each for each in told if each["kind"] == "windows")["windows"][0]  # type: ignore[index]
    assert set(window) == {"at", "similarity", "opened", "decided", "unknown"}


def test_a_page_that_comes_back_is_told_what_it_missed(server: Running) -> None:
    events = server.get("/api/state")["events"]
    first = messages(server, until="event", after=events[0]["id"])
    assert first[0]["event"]["id"] == events[1]["id"]  # type: ignore[index]
    assert messages(server, until="gap", after=2**52)[0] == {"kind": "gap"}


@pytest.mark.parametrize(
    "path", ["/nowhere", "/page/../service.py", "/page/%2e%2e/service.py", "/page//etc/passwd"]
)
def test_no_address_leads_out_of_the_page(server: Running, path: str) -> None:
    answer = server.client.get(path)
    assert answer.status_code == 404
    assert "sentence" in answer.json()


def test_files_of_the_page_are_sent_once(server: Running) -> None:
    first = server.client.get("/")
    assert first.status_code == 200
    again = server.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_everything_is_there_again_after_a_restart(model: vj.Model, recording: Path, tmp_path: Path) -> None:
    with running(model, tmp_path, camera_toml("door", recording, loop=True)) as before:
        wait_for(lambda: before.service.fleet.camera("door").now)
        last = before.get("/api/state")["last_id"]
    with running(model, tmp_path) as after:
        state = after.get("/api/state")
    told = [each for each in state["events"] if each["kind"] == "segment"]
    assert [each["id"] for each in state["cameras"]] == ["door"]
    assert told
    assert told[0]["id"] <= last < state["last_id"]


def test_a_camera_of_which_nothing_is_kept_yet_has_an_empty_past(server: Running) -> None:
    now = time.time()
    span = {"from": now - 60, "to": now}
    for path, empty in (("segments", "segments"), ("windows", "bins")):
        answer = server.client.get(f"/api/cameras/yard/{path}", params=span)
        assert answer.status_code == 200, answer.text
        assert answer.json()[empty] == []
        assert (
            server.client.get(f"/api/cameras/yard/{path}", params={**span, "query": "Who?"}).status_code
            == 404
        )
        assert server.client.get(f"/api/cameras/nobody/{path}", params=span).status_code == 404
    shown = server.get(f"/api/moments/yard@{1000 * now - 2000:.0f}-{1000 * now:.0f}")
    assert (shown["text"], shown["decoded"], shown["kept_video"]) == ("", False, False)
    assert server.client.get("/api/moments/yard@1000-2000").status_code == 404


def test_a_reader_that_is_too_slow_is_sent_away_and_comes_back(server: Running) -> None:
    hub, place = server.service.hub, urlsplit(server.address)
    greeting = (
        f"GET /api/live HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE_S)
        slow.connect((place.hostname, place.port))
        slow.sendall(greeting.encode())
        wait_for(lambda: hub.pages)
        for number in range(2500):  # 12 MB, more than any buffer on the way
            text = f"{number} " + "x" * 5000
            event = vj.Event(stream="door", kind="segment", start_s=0, end_s=1, text=text)
            hub.tell(event, at_end=time.time())
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        got = b""
        while not got.endswith(CLOSED) and (part := slow.recv(1 << 20)):
            got = (got + part)[-16:]
    assert got.endswith(CLOSED)
    wait_for(lambda: not hub.pages)
    ids = [each.id for each in hub.newest(100)]
    told = messages(server, until="stats", after=ids[0])
    again = [each["event"]["id"] for each in told if each["kind"] == "event"]  # type: ignore[index]
    assert again[:99] == ids[1:]
