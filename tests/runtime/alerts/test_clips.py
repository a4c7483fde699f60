"""Clips of a session's alerts: where they begin and end, that they are the camera's own bytes, how many are kept."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.alerts import Alert, AlertChange, ClipFolder
from vljepa_runtime.alerts.clips import ClipRecorder
from vljepa_runtime.engines.session_options import sums_are_cut_off
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.files import OutputFile
from vljepa_runtime.sources.live.deadline import Deadline
from vljepa_runtime.sources.live.source import LiveSource
from vljepa_runtime.sources.network.stream import ContainerStream

SECONDS, FPS, GROUP = 24, 10, 20
ALWAYS = Alert(text="a box bounces", threshold=-1, hold_s=0)
"""Begins with the first window."""


@pytest.fixture(scope="module")
def model() -> vj.Model:
    return vj.load("tiny", threads=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 s with a key frame every 2 s: dark, bright from 10 to 14 s."""
    path = tmp_path_factory.mktemp("alerts") / "door.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"x264-params": "scenecut=0:bframes=2"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 96, 96, "yuv420p", GROUP
        for index in range(SECONDS * FPS):
            image = np.full((96, 96, 3), 230 if 100 <= index < 140 else 20, np.uint8)
            image[40:50, (index * 3) % 80 : (index * 3) % 80 + 10] = 128
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def bright(model: vj.Model, video: Path) -> Alert:
    """An alert that a session on this video tells once, found by its own scores."""
    rows: list[tuple[float, Any]] = []
    with model.session(decode="never") as session:
        for _ in session.run(video, on_window=lambda window, query, row: rows.append((window.end_s, row))):
            pass
    inside = np.stack([row for end_s, row in rows if 12 < end_s <= 14])
    outside = np.stack([row for end_s, row in rows if end_s <= 10])
    model_texts = [
        "a white box bounces",
        "a black ball rolls",
        "a blue box appears",
        "a red ring jumps",
        "nothing",
    ]
    texts = model.embed_text(model_texts)
    least, most = (texts @ inside.T).min(axis=1), (texts @ outside.T).max(axis=1)
    best = int((least - most).argmax())
    middle = float(least[best] + most[best]) / 2
    return Alert(text=model_texts[best], threshold=middle, hold_s=0, release=0, cool_down_s=60)


def told(events: list[Event]) -> list[Event]:
    return [event for event in events if event.kind == "alert"]


def packets(path: Path) -> list[tuple[float, bool, bytes]]:
    with av.open(str(path)) as container:
        return [
            (float(p.pts * p.time_base), p.is_keyframe, bytes(p)) for p in container.demux(video=0) if p.size
        ]


@pytest.mark.skipif(
    sums_are_cut_off(), reason="int8 with this ONNX Runtime on this processor tells no text apart"
)
def test_a_clip_shows_what_came_before_and_is_the_cameras_own(
    model: vj.Model, video: Path, tmp_path: Path
) -> None:
    rule = bright(model, video)
    clips = ClipFolder(folder=tmp_path / "clips", look_back_s=3, look_ahead_s=2)
    with model.session(alerts=[rule], clips=clips, decode="never") as session:
        begin, end = told(list(session.run(video)))
    assert (begin.active, end.active, begin.text) == (True, False, rule.text)
    assert begin.start_s == end.start_s
    assert 9 <= begin.start_s <= 13 <= end.end_s <= 17
    assert begin.clip == end.clip
    (path,) = (tmp_path / "clips").iterdir()
    assert path.name == begin.clip
    found, whole = packets(path), packets(video)
    assert found[0][1]
    first_s = (begin.start_s - 3) // 2 * 2  # the key frame before
    first = next(i for i, (at_s, *_) in enumerate(whole) if at_s == first_s)
    assert [data for *_, data in found] == [data for *_, data in whole[first : first + len(found)]]
    assert max(at_s for at_s, *_ in found) == pytest.approx(begin.end_s + 2 - first_s, abs=4 / FPS)


def test_without_alerts_an_event_has_neither_field(model: vj.Model, video: Path) -> None:
    with model.session(decode="never") as session:
        lines = [event.to_json() for event in session.run(video, max_seconds=5)]
    assert not any('"active"' in line or '"clip"' in line for line in lines)


def test_a_clip_that_waits_is_written_at_the_end_of_the_stream(
    model: vj.Model, video: Path, tmp_path: Path
) -> None:
    clips = ClipFolder(folder=tmp_path, look_back_s=0, look_ahead_s=1000)
    with model.session(alerts=[ALWAYS], clips=clips, decode="never") as session:
        begin, end = told(list(session.run(video, max_seconds=6)))
    assert end.end_s == pytest.approx(6)
    assert begin.clip is not None
    assert packets(tmp_path / begin.clip)[-1][0] >= 5.5


def test_a_session_left_early_writes_its_clip(model: vj.Model, video: Path, tmp_path: Path) -> None:
    clips = ClipFolder(folder=tmp_path, look_ahead_s=1000)
    with model.session(alerts=[ALWAYS], clips=clips, decode="never") as session:
        for event in session.run(video):
            if event.kind == "alert":
                break
    assert len(list(tmp_path.iterdir())) == 1


def test_a_source_without_packets_is_told_once(model: vj.Model, tmp_path: Path) -> None:
    import cv2

    for index in range(20):
        cv2.imwrite(str(tmp_path / f"{index:02}.png"), np.full((32, 32, 3), 10 * index, np.uint8))
    clips = ClipFolder(folder=tmp_path / "clips")
    with model.session(alerts=[ALWAYS], clips=clips, decode="never") as session:
        events = list(session.run(tmp_path))
    warnings = [event.text for event in events if event.text.startswith("warning: ")]
    assert len(warnings) == 1
    assert "no encoded packets" in warnings[0]
    assert [event.clip for event in told(events)] == [None, None]
    assert not (tmp_path / "clips").exists()


def test_a_full_disk_costs_the_clip_alone(
    model: vj.Model, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: OutputFile, *args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OutputFile, "__init__", full)
    clips = ClipFolder(folder=tmp_path, look_ahead_s=1)
    with model.session(alerts=[ALWAYS], clips=clips, decode="never") as session:
        events = list(session.run(video, max_seconds=8))
    assert [event.text for event in events if "warning: no clip" in event.text and "No space" in event.text]
    assert len(told(events)) == 2
    assert list(tmp_path.iterdir()) == []


class Recorded:
    """A recorder whose ring holds a video, and alerts one after the other."""

    def __init__(self, video: Path, clips: ClipFolder) -> None:
        self.recorder = ClipRecorder(clips, longest_s=100)
        with vj.open_source(video) as source:
            source.keep_packets(self.recorder.ring)
            for _ in source:
                pass

    def clip(self, words: str, at_s: float) -> str | None:
        rule = Alert(text=words, threshold=0)
        change = AlertChange(alert=rule, active=True, start_s=at_s, end_s=at_s + 1, score=1)
        name = self.recorder.name_for(change)
        self.problems = self.recorder.finish()
        time.sleep(0.002)  # names have milliseconds, and the oldest goes first
        return name


def test_the_oldest_clips_go_and_nothing_else(video: Path, tmp_path: Path) -> None:
    (tmp_path / "alert.mp4").write_bytes(b"mine")
    (tmp_path / "alert-20200101T000000000Z-older.mp4").write_bytes(b"of an earlier run")
    recorded = Recorded(video, ClipFolder(folder=tmp_path, look_back_s=2, max_clips=3))
    names = [recorded.clip(f"a cat {index}", index) for index in range(5)]
    assert {path.name for path in tmp_path.iterdir()} == {"alert.mp4", *names[-3:]}


def test_streams_side_by_side_keep_their_clips_of_one_moment(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 11, 28, tzinfo=tz)

    monkeypatch.setattr("vljepa_runtime.alerts.clips.datetime", Stopped)
    streams = [Recorded(video, ClipFolder(folder=tmp_path, look_back_s=2)) for _ in range(2)]
    names = {stream.clip("a cat", 5) for stream in streams}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(names) == 2
    assert all(name and name.startswith("alert-20261128T000000000Z-a-cat-") for name in names)
    assert [stream.problems for stream in streams] == [[], []]


def test_a_clip_that_another_stream_removes_meanwhile_costs_none(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(video, ClipFolder(folder=tmp_path, look_back_s=2))
    first, plain = recorded.clip("first", 5), os.lstat

    def removed(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if os.path.basename(path) == first:
            os.unlink(path)
        return plain(path, *args, **options)

    monkeypatch.setattr(os, "lstat", removed)
    second = recorded.clip("second", 6)
    monkeypatch.undo()
    assert recorded.problems == []
    assert [path.name for path in tmp_path.iterdir()] == [second]


def test_clips_take_no_more_bytes_than_they_may(video: Path, tmp_path: Path) -> None:
    sizes = ClipFolder(folder=tmp_path / "one", look_back_s=2)
    Recorded(video, sizes).clip("a", 5)
    size = sum(path.stat().st_size for path in (tmp_path / "one").iterdir())
    recorded = Recorded(video, ClipFolder(folder=tmp_path / "few", look_back_s=2, max_bytes=3 * size))
    for index in range(8):
        recorded.clip("a", 5 + index)
        assert sum(path.stat().st_size for path in (tmp_path / "few").iterdir()) <= 3 * size
    assert len(list((tmp_path / "few").iterdir())) >= 2
    none = Recorded(video, ClipFolder(folder=tmp_path / "none", look_back_s=2, max_bytes=10))
    none.clip("a", 5)
    assert "of 10 for all clips" in none.problems[0]


@pytest.mark.parametrize("words", ["Jemand liegt!", "倒", "../../etc/passwd", "a" * 500, "a\nb", ".", "CON"])
def test_names_are_plain_whatever_the_words(video: Path, tmp_path: Path, words: str) -> None:
    name = Recorded(video, ClipFolder(folder=tmp_path)).clip(words, 5)
    (path,) = tmp_path.iterdir()
    assert path.name == name
    assert path.name.isascii()
    assert len(path.name) < 100
    event = Event(stream="s", kind="alert", text=words, active=True, clip=name)
    assert Event.from_json(event.to_json()) == event


def test_memory_stays_where_it_is(video: Path, tmp_path: Path) -> None:
    """A camera for a long time: a ring of 100 kB never holds more, whatever waits to be written."""
    recorder = ClipRecorder(ClipFolder(folder=tmp_path, ring_bytes=100_000), longest_s=10)
    largest = 0
    with vj.open_source(video, loop=True) as source:
        source.keep_packets(recorder.ring)
        for index, item in enumerate(source):
            assert isinstance(item, vj.Frame)
            recorder.advance(item.time_s)
            largest = max(largest, recorder.ring.bytes)
            if index > 40 * SECONDS * FPS / 10:
                break
    assert 0 < largest <= 100_000


class Slowly:
    """A container as a live connection: its packets come at their times, twenty times as fast."""

    def __init__(self, video: Path) -> None:
        self._stream = ContainerStream(av.open(str(video)), "door", Deadline(10, stopped=threading.Event()))
        self.note, self.keep_packets, self.close = "", self._stream.keep_packets, self._stream.close

    def pictures(self, interval_s: float | None = None) -> Iterator[Callable[[int | None], Any]]:
        for picture in self._stream.pictures(interval_s):
            time.sleep(1 / FPS / 20)
            yield picture


def test_a_live_source_keeps_packets_at_their_arrival(video: Path) -> None:
    from vljepa_runtime.sources import PacketRing, frames_of

    ring = PacketRing(seconds=60)
    source = LiveSource("door", lambda: Slowly(video))
    source.keep_packets(ring)
    last_s = 0.0
    with source:
        for item in source:
            if isinstance(item, vj.Frame):
                last_s = item.time_s
            elif item.kind == "reconnecting":
                break
    cut = ring.cut(last_s / 2, last_s)
    assert cut is not None
    assert 0 < cut.start_s <= last_s / 2
    whole, part = [data for *_, data in packets(video)], [packet.data for packet in cut.packets]
    assert part in [whole[at : at + len(part)] for at in range(len(whole))]
    assert sum(1 for _ in frames_of(cut)) > 0


def test_what_comes_over_http_has_clips(model: vj.Model, video: Path, tmp_path: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(video.parent))
    clips = ClipFolder(folder=tmp_path, look_ahead_s=1)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with model.session(alerts=[ALWAYS], clips=clips, decode="never") as session:
            url = f"http://127.0.0.1:{server.server_port}/{video.name}"
            begin, _ = told(list(session.run(url, max_seconds=4)))
        server.shutdown()
    found, whole = packets(tmp_path / str(begin.clip)), packets(video)
    assert len(found) > FPS
    assert [data for *_, data in found] == [data for *_, data in whole[: len(found)]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"look_back_s": -1}, "look_back_s"),
        ({"look_ahead_s": float("inf")}, "look_ahead_s"),
        ({"max_clips": 0}, "max_clips"),
        ({"folder": 3}, "folder"),
        ({"folder": __file__}, "not a folder"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClipFolder(**{"folder": tmp_path, **options})


def test_clips_without_alerts_are_refused(model: vj.Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clips are of alerts"):
        model.session(clips=ClipFolder(folder=tmp_path))
