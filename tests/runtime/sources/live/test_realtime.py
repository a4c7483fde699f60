"""A recording as a camera: each picture at its time, the newest where nobody keeps up, on and on where it loops."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.sources import EVERY_FRAME, Hints, PacketRing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures."""
    import cv2

    place = tmp_path_factory.mktemp("pictures")
    for index in range(4):
        cv2.imwrite(str(place / f"{index}.png"), np.full((16, 24, 3), 60 * index, np.uint8))
    return place


def test_pictures_come_at_their_times(folder: Path) -> None:
    begun, came = 0.0, []
    with vj.open_source(folder, fps=10, realtime=True) as source:
        assert source.live
        for item in source:
            if isinstance(item, vj.Frame):
                begun = begun or time.monotonic()
                came.append((time.monotonic() - begun, item.time_s, int(item.image.mean())))
    assert [value for _, _, value in came] == [0, 60, 120, 180]
    assert [time_s for _, time_s, _ in came] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert all(after >= time_s - 1e-3 for after, time_s, _ in came)  # never early


def test_times_go_on_where_it_loops(folder: Path) -> None:
    times: list[float] = []
    with vj.open_source(folder, fps=100, loop=True, realtime=True) as source:
        for item in source:
            if isinstance(item, vj.Frame):
                times.append(item.time_s)
            if len(times) == 10:
                break
    assert times == pytest.approx([index / 100 for index in range(10)])


def test_who_does_not_keep_up_loses_pictures(folder: Path) -> None:
    given = []
    with vj.open_source(folder, fps=50, loop=True, realtime=True) as source:
        for item in source:
            if isinstance(item, vj.Frame):
                given.append(item.index)
                if len(given) == 2:
                    time.sleep(1.5)  # longer than it waits for anybody
                if len(given) == 6:
                    break
    assert given[:2] == [0, 1]
    assert max(np.diff(given)) > 10


def test_a_wait_is_seen_and_ends_when_it_is_closed(folder: Path) -> None:
    source = vj.open_source(folder, fps=0.001, realtime=True)
    items = source.frames(Hints(wake_s=0.02))
    kinds = [getattr(next(items), "kind", "frame") for _ in range(4)]
    assert kinds == ["connected", "frame", "waiting", "waiting"]
    threading.Timer(0.05, source.close).start()
    assert {getattr(item, "kind", "frame") for item in items} <= {"waiting"}


def test_packets_are_kept_as_of_a_file(lossless: ModuleType, tmp_path: Path) -> None:
    ring = PacketRing(seconds=60)
    path = lossless.write_lossless(tmp_path / "clip.mkv", lossless.numbered(8), np.arange(8) / 8)
    with vj.open_source(path, realtime=True) as source:
        source.keep_packets(ring)
        frames = source.frames(EVERY_FRAME)
        for _ in range(5):
            next(frames)
        assert ring.track is not None


def test_what_is_live_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from vljepa_runtime.sources import opening

    live = vj.open_source
    monkeypatch.setattr(opening, "_open", lambda *found, **options: Live())
    assert isinstance(live("0", realtime=True), Live)


class Live(vj.Source):
    """A camera."""

    name, live = "camera 0", True

    def frames(self, hints: Hints = EVERY_FRAME):  # type: ignore[no-untyped-def]
        yield from ()

    def close(self) -> None: ...
