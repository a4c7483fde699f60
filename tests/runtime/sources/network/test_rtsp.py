"""RTSP against a small server on the loopback that plays, drops the line, and comes back."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, SourceStatus, open_source
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.network.opening import open_network


def test_plays_with_a_login_and_comes_back_after_the_end(rtsp_server: ModuleType) -> None:
    with rtsp_server.playing(60, protected=True) as (address, server):
        source = open_network(f"rtsp://admin:secret@{address}", backoff=Backoff(first_s=0.05, cap_s=0.2))
        assert source.live
        assert source.name == f"rtsp://***@{address}"
        frames: list[Frame] = []
        remarks: list[SourceStatus] = []
        for item in source:
            if isinstance(item, Frame):
                frames.append(item)
            else:
                remarks.append(item)
            if (
                server.played == 2
                and [r.kind for r in remarks].count("connected") == 2
                and item is frames[-1]
            ):
                source.close()
    assert [r.kind for r in remarks] == ["connected", "reconnecting", "connected"]
    assert all("secret" not in r.message for r in remarks)
    assert np.abs(frames[0].image.astype(int) - (200, 60, 30)).mean() < 5
    assert all(b.time_s >= a.time_s and b.index > a.index for a, b in pairwise(frames))


def test_alerts_have_clips_of_what_was_played(rtsp_server: ModuleType, tmp_path: Path) -> None:
    always = vj.Alert(text="a box", threshold=-1, hold_s=0)
    clips = vj.ClipFolder(folder=tmp_path, look_ahead_s=0.2)
    with rtsp_server.playing(500) as (place, _), vj.load("tiny", threads=1).session(
        alerts=[always], clips=clips, decode="never"
    ) as session:  # fmt: skip
        events = [event for event in session.run(f"rtsp://{place}", max_seconds=2.5) if event.kind == "alert"]
    (clip,) = tmp_path.iterdir()
    assert {event.clip for event in events} == {clip.name}
    with av.open(str(clip)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) > 25
    assert np.abs(np.stack(shown).mean((0, 1, 2)) - (200, 60, 30)).max() < 8


def test_wrong_password_is_final_and_not_repeated_in_words(rtsp_server: ModuleType) -> None:
    with rtsp_server.playing(1, protected=True) as (address, _):
        source = open_source(f"rtsp://admin:wrong@{address}")
        with source, pytest.raises(SourceError, match=r"[Uu]nauthorized|401") as caught:
            list(source)
    assert "wrong" not in str(caught.value)


def test_silence_is_noticed(rtsp_server: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.sources.network.opening.SILENCE_S", 1.0)
    with rtsp_server.playing(40, stalls=True) as (address, _):
        source = open_network(f"rtsp://{address}", backoff=Backoff(first_s=0.05))
        for item in source:
            if isinstance(item, SourceStatus) and item.kind == "reconnecting":
                assert "no data for 1 s" in item.message
                source.close()


def test_nobody_listens() -> None:
    source = open_network("rtsp://127.0.0.1:9/live", backoff=Backoff(first_s=0.01))
    with source, pytest.raises(SourceError, match="no picture after 3 attempts: connection refused"):
        list(source)


def send_garbage(client: socket.socket, _: bytes) -> None:
    while True:
        client.sendall(bytes(range(256)) * 64)


def redirect(client: socket.socket, _: bytes) -> None:
    client.sendall(b"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: rtsp://127.0.0.1:9/elsewhere\r\n\r\n")
    time.sleep(5)


def dribble(client: socket.socket, _: bytes) -> None:
    for byte in b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n" + b"X-A: bbbb\r\n" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.05)


def describe_for_ever(client: socket.socket, _: bytes) -> None:
    client.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n")
    client.recv(65536)
    head = (
        b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: 2000000000\r\n\r\n"
    )
    client.sendall(head)
    while True:
        client.sendall(b"a=x\r\n" * 5000)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (send_garbage, "without end before the stream begins|invalid data"),
        (redirect, "redirects to another address: open that one"),
        (dribble, r"no answer for 0\.6 s"),
        (describe_for_ever, "without end before the stream begins"),
    ],
)
def test_misbehaviour_before_the_stream_ends_with_a_sentence(
    live_servers: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[socket.socket, bytes], None],
    message: str,
) -> None:
    monkeypatch.setattr("vljepa_runtime.sources.network.opening.ANSWER_S", 0.6)
    with live_servers.serving(answer) as port:
        source = open_network(f"rtsp://me:secret@127.0.0.1:{port}/live", backoff=Backoff(first_s=0.01))
        with source, pytest.raises(SourceError, match=message) as caught:
            list(source)
    assert "secret" not in str(caught.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "relay"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_tls_ends_in_the_relay(rtsp_server: ModuleType, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=cam", "-days", "2"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with (
        rtsp_server.playing(40, protected=True, context=context) as (address, _),
        open_network(f"rtsps://admin:secret@{address}") as source,
    ):
        frame = next(item for item in source if isinstance(item, Frame))
    assert np.abs(frame.image.astype(int) - (200, 60, 30)).mean() < 5
