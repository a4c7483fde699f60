"""Servers are killed and started again, packets are corrupt: pictures come again, and it was told."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

from vljepa_runtime.sources import Frame, SourceStatus
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.network.opening import open_network

TESTS = Path(__file__).parents[3]
FAST = Backoff(first_s=0.05, cap_s=0.2)
PATIENCE_S = 60.0


def stop(server: subprocess.Popen[str]) -> None:
    """As a power failure does."""
    server.kill()
    server.wait()
    assert server.stdout is not None
    server.stdout.close()


def test_a_server_is_killed_and_started_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, str(TESTS / "rtsp_server.py"), str(port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    server, said, after = start(), [], 0
    try:
        with open_network(f"rtsp://127.0.0.1:{port}/live", backoff=FAST) as source:
            frames, end_s = 0, time.monotonic() + PATIENCE_S
            for item in source:
                assert time.monotonic() < end_s, said
                if isinstance(item, SourceStatus):
                    said.append(item.kind)
                    if (
                        item.kind == "reconnecting"
                        and server.poll() is not None
                        and said.count(item.kind) == 2
                    ):
                        server = start()
                    continue
                frames += 1
                after += said.count("connected") == 2
                if frames == 5:
                    stop(server)
                if after == 3:
                    break
    finally:
        stop(server)
    assert said[0] == said[-1] == "connected"
    assert set(said[1:-1]) == {"reconnecting"}
    assert len(said) >= 4


def test_corrupt_packets_in_the_middle_cost_their_own_pictures(live_servers: ModuleType) -> None:
    data = bytearray(live_servers.clip(100))
    third = len(data) // 3
    for at in range(third, 2 * third, 701):
        data[at] ^= 0x5A
    sent: list[float] = []

    def send(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER)
        for start in range(0, len(data), 4096):
            if start > 0.8 * len(data):
                sent.append(start)
            client.sendall(data[start : start + 4096])
            time.sleep(0.01)

    with (
        live_servers.serving(send) as port,
        open_network(f"http://127.0.0.1:{port}/live", backoff=FAST) as source,
    ):
        frames: list[Frame] = []
        said: list[str] = []
        end_s = time.monotonic() + PATIENCE_S
        for item in source:
            assert time.monotonic() < end_s, said
            if isinstance(item, Frame):
                frames.append(item)
            else:
                said.append(item.kind)
            if sent and isinstance(item, Frame):  # one that came after the damage
                break
    assert frames[-1].index >= 60
    assert said == ["connected"]
