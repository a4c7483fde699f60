"""Sinks write files that other programs read: JSON lines, SubRip, MP4."""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import JsonlSink, SinkGroup, SubtitleSink, VideoSink, subtitles
from vljepa_runtime.sinks.subtitles import srt_time
from vljepa_runtime.sinks.video import FONT, draw_banner, wrap_text
from vljepa_runtime.sources import open_source
from vljepa_runtime.sources.protocol import Frame


def segment(start_s: float, end_s: float, text: str, query: str | None = None) -> Event:
    return Event(
        stream="s", kind="segment", start_s=start_s, end_s=end_s, text=text, query=query, decoded=True
    )


def picture(time_s: float, index: int, height: int = 96, width: int = 128) -> Frame:
    return Frame(image=np.full((height, width, 3), (200, 40, 90), np.uint8), time_s=time_s, index=index)


class TestJsonl:
    def test_lines_are_there_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        events = [segment(0, 1, "ein Bär"), Event(stream="s", kind="status", text="\ud800 odd")]
        with JsonlSink(path) as sink:
            sink.write(events[0])
            assert Event.from_json(path.read_text("utf-8")) == events[0]
            sink.write(events[1])
        assert len(path.read_text("utf-8").splitlines()) == 2

    @pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16", "gb2312"])
    def test_a_stream_of_any_encoding(self, encoding: str) -> None:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        with JsonlSink(stream) as sink:
            sink.write(segment(0, 1, "Bär мяч 何 👩"))
        text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert Event.from_json(text).text == "Bär мяч 何 👩"

    @pytest.mark.parametrize("exists", [False, True])
    def test_a_log_that_is_rotated_goes_on_at_its_new_end(self, exists: bool, tmp_path: Path) -> None:
        """As logrotate's `copytruncate` does it: a copy, then the file is cut while it is written."""
        path, copy = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
        if exists:
            path.write_text("{}\n")
        with JsonlSink(path, append=True) as sink:
            sink.write(segment(0, 1, "before"))
            shutil.copyfile(path, copy)
            os.truncate(path, 0)
            sink.write(segment(1, 2, "after"))
        assert Event.from_json(path.read_text()).text == "after"
        assert Event.from_json(copy.read_text().splitlines()[-1]).text == "before"

    def test_open_stream_stays_open(self) -> None:
        stream = io.StringIO()
        with JsonlSink(stream) as sink:
            sink.write(segment(0, 1, "a"))
        assert Event.from_json(stream.getvalue()).text == "a"


def cues(path: Path) -> list[tuple[str, str, str]]:
    """A strict reader: number, times, text lines, blank line."""
    blocks = path.read_text("utf-8").strip().split("\n\n")
    found = []
    for number, block in enumerate(blocks, start=1):
        head, times, *lines = block.split("\n")
        assert head == str(number)
        match = re.fullmatch(r"(\d\d:\d\d:\d\d,\d{3}) --> (\d\d:\d\d:\d\d,\d{3})", times)
        assert match
        assert match[1] < match[2]
        assert lines
        found.append((match[1], match[2], "\n".join(lines)))
    return found


def plain_cues(events: list[Event]) -> list[tuple[str, str, str]]:
    """All cues of a run at once, as slow as it gets."""
    texts: dict[int, list[str]] = {}
    ends: dict[int, int] = {}
    for event in events:
        start = round(event.start_s * 1000)
        texts.setdefault(start, [])
        if event.text not in texts[start]:
            texts[start].append(event.text)
        ends[start] = max(ends.get(start, start + 1), round(event.end_s * 1000))
    starts = sorted(texts)
    limits = [*starts[1:], 10**9]
    return [
        (srt_time(start), srt_time(min(ends[start], limit)), "\n".join(texts[start]))
        for start, limit in zip(starts, limits, strict=True)
    ]


class TestSubtitles:
    def test_sorted_joined_and_without_overlap(self, tmp_path: Path) -> None:
        path = tmp_path / "out.srt"
        with SubtitleSink(path) as sink:
            sink.write(segment(4, 8, "later"))
            sink.write(segment(0, 6, "first"))
            sink.write(segment(0, 6, "first"))
            sink.write(segment(4, 9, "beside"))
            sink.write(segment(10, 10, "an instant"))
            sink.write(segment(11, 12, ""))
            sink.write(Event(stream="s", kind="status", text="not shown"))
        assert cues(path) == [
            ("00:00:00,000", "00:00:04,000", "first"),
            ("00:00:04,000", "00:00:09,000", "later\nbeside"),
            ("00:00:10,000", "00:00:10,001", "an instant"),
        ]
        assert list(tmp_path.iterdir()) == [path]

    def test_it_is_whole_and_sorted_after_every_event(self, tmp_path: Path) -> None:
        """Three queries out of order, against the plain way: keep all, sort, join, shorten."""
        rng, path, events = random.Random(3), tmp_path / "out.srt", []
        with SubtitleSink(path) as sink:
            for _ in range(120):
                start = rng.randrange(0, 40) * 500
                events.append(
                    segment(start / 1000, start / 1000 + rng.choice([0, 0.7, 3, 30]), rng.choice("abc"))
                )
                sink.write(events[-1])
                assert cues(path) == plain_cues(events)
        assert cues(path) == plain_cues(events)

    def test_long_runs_keep_little_and_place_late_events_where_they_can(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subtitles, "OPEN_CUES", 8)
        monkeypatch.setattr(subtitles, "SETTLED_AT_ONCE", 4)
        path, pipe = tmp_path / "out.srt", tmp_path / "pipe"
        os.mkfifo(pipe)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
        reader.start()
        with SubtitleSink(path) as sink, SubtitleSink(pipe) as piped:
            for start in range(50):
                for each in (sink, piped):
                    each.write(segment(start, start + 1, f"at {start}"))
            for each in (sink, piped):
                each.write(segment(0, 60, "very late"))
        reader.join(30)
        found = cues(path)
        assert [text for _, _, text in found[:44]] == [f"at {start}" for start in range(44)]
        assert sum("very late" in text for _, _, text in found) == 1
        assert got == [path.read_bytes()]

    def test_hours_of_three_digits_that_become_two(self, tmp_path: Path) -> None:
        path, hours = tmp_path / "out.srt", 100 * 3600
        with SubtitleSink(path) as sink:
            sink.write(segment(hours - 30, hours + 5, "long"))
            sink.write(segment(hours - 10, hours - 5, "next"))
            assert path.read_text().count("\n") == 7
        assert path.read_text().endswith("99:59:50,000 --> 99:59:55,000\nnext\n")

    def test_text_cannot_break_the_format(self, tmp_path: Path) -> None:
        path = tmp_path / "out.srt"
        with SubtitleSink(path) as sink:
            sink.write(segment(0, 1, "one\n\n2\n00:00:00,000 --> 00:00:01,000\r\nend " + "long " * 20))
        ((_, _, text),) = cues(path)
        assert "-->" not in text
        assert all(len(line) <= 42 for line in text.split("\n"))

    def test_ffmpeg_reads_it(self, tmp_path: Path) -> None:
        path = tmp_path / "out.srt"
        with SubtitleSink(path) as sink:
            for start in range(5):
                sink.write(segment(start * 2, start * 2 + 1.5, f"Ereignis {start} äöü"))
        with av.open(str(path)) as container:
            stamps = [p.pts * p.time_base for p in container.demux() if p.pts is not None and p.size]
        assert stamps == [0, 2, 4, 6, 8]

    def test_nothing_to_say_is_an_empty_file(self, tmp_path: Path) -> None:
        SubtitleSink(tmp_path / "out.srt").close()
        assert (tmp_path / "out.srt").read_bytes() == b""

    def test_long_times(self) -> None:
        assert srt_time(100 * 3_600_000 + 61_001) == "100:01:01,001"


class TestVideo:
    @pytest.mark.parametrize("size", [(96, 128), (97, 131), (241, 321), (2, 2)], ids=str)
    def test_frames_times_and_format(self, tmp_path: Path, size: tuple[int, int]) -> None:
        path = tmp_path / "out.mp4"
        times = [0.0, 0.04, 0.5, 1.25, 1.26]
        with VideoSink(path) as sink:
            for index, time_s in enumerate(times):
                sink.write_frame(picture(time_s, index, *size))
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.pix_fmt == "yuv420p"
            found = [f.time for f in container.decode(stream)]
        assert found == pytest.approx(times, abs=1e-3)
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH")
    @pytest.mark.parametrize("size", [(96, 128), (720, 400)], ids=["small", "HD"])
    def test_players_show_the_colours_that_were_written(self, size: tuple[int, int], tmp_path: Path) -> None:
        colours = np.array([[(220, 20, 20), (20, 200, 20)], [(20, 20, 220), (200, 200, 20)]], np.uint8)
        image = cv2.resize(colours, size[::-1], interpolation=cv2.INTER_NEAREST)
        path = tmp_path / "out.mp4"
        with VideoSink(path, crf=10) as sink:
            sink.write_frame(Frame(image=image, time_s=0.0, index=0))
        options = ["-frames:v", "1", "-c:v", "ppm", "-f", "image2pipe", "-"]
        done = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", path, *options], capture_output=True, check=True
        )
        shown = cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        ours = next(item for item in open_source(path) if isinstance(item, Frame)).image
        assert np.abs(shown.astype(int) - image).mean() < 3
        assert np.abs(ours.astype(int) - image).mean() < 3

    def test_the_words_are_on_the_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoSink(path, crf=10) as sink:
            sink.write_frame(picture(0, 0, 240, 320))
            sink.write(segment(0, 1, "a red ball"))
            sink.write_frame(picture(1, 1, 240, 320))
            sink.write_frame(picture(2, 2, 120, 160))  # another size is fitted in
        with av.open(str(path)) as container:
            before, after, small = (f.to_ndarray(format="rgb24") for f in container.decode(video=0))
        assert np.abs(before[-20:].astype(int) - (200, 40, 90)).max() < 12
        assert after[-40:].mean() < 90
        assert after[-40:].max() > 200
        assert small.shape == (240, 320, 3)

    def test_it_plays_while_it_is_written(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoSink(path) as sink:
            for index in range(100):
                sink.write_frame(picture(index / 25, index))
            with av.open(str(path)) as container:
                assert (
                    sum(1 for _ in container.decode(video=0)) >= 70
                )  # all but a second and the last picture

    def test_a_file_of_ordinary_rate_is_smaller_and_no_less_safe(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        still = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (320, 240))
        sizes = []
        for duration_s in (0.04, None):
            path = tmp_path / f"{duration_s}.mp4"
            with VideoSink(path) as sink:
                for index in range(125):
                    image = np.roll(still, index // 4, axis=1)
                    frame = Frame(image=image, time_s=index / 25, index=index, duration_s=duration_s)
                    sink.write_frame(frame)
                with av.open(str(path)) as container:
                    assert sum(1 for _ in container.decode(video=0)) >= 75  # all but two seconds
            with av.open(str(path)) as container:
                found = [f.time for f in container.decode(video=0)]
                assert float(container.duration / av.time_base) == pytest.approx(5, abs=1e-3)
            assert found == pytest.approx([index / 25 for index in range(125)])
            sizes.append(path.stat().st_size)
        assert sizes[0] < sizes[1]

    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            ([4.0, 4.5, 5.0], [0.0, 4.0, 4.5, 5.0]),
            ([0.2, 0.5], [0.0, 0.5]),
            ([0.0, 25_200.0, 25_201.0], [0.0, 21_600.0, 25_200.0, 25_201.0]),
            ([0.0, 3 * 86_400.0], [*(21_600.0 * i for i in range(13))]),
            ([0.0, 1.0, 1e12, 1e12 + 1], [0.0, 1.0, 1.0333, 2.0333]),
            ([100.0, 101.0, 0.0, 1.0], [0.0, 100.0, 101.0, 101.0333, 102.0333]),
            ([1.8e9, 1.8e9 + 1], [0.0, 1.0]),
            ([-5.0, -4.0], [0.0, 1.0]),
            ([0.0, 0.0, 0.0], [0.0, 1 / 90_000, 2 / 90_000]),
        ],
        ids=[
            "late",
            "a little late",
            "hole of 7 h",
            "of days",
            "of ages",
            "back",
            "epoch",
            "negative",
            "repeated",
        ],
    )
    def test_times_are_the_streams(self, times: list[float], expected: list[float], tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoSink(path) as sink:
            for index, time_s in enumerate(times):
                sink.write_frame(picture(time_s, index))
        with av.open(str(path)) as container:
            pictures = [(f.time, f.to_ndarray(format="rgb24").mean()) for f in container.decode(video=0)]
            assert container.streams.video[0].start_time in (0, None)
        assert [time_s for time_s, _ in pictures] == pytest.approx(expected, abs=1e-4)
        assert bool(pictures[0][1] < 20) is (times[0] in (4.0, 100.0))  # black until the stream begins

    def test_the_last_picture_of_a_time_lapse_is_on_show_as_long_as_the_others(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoSink(path) as sink:
            for index in range(4):
                sink.write_frame(picture(5.0 * index, index))
        with av.open(str(path)) as container:
            assert float(container.duration / av.time_base) == pytest.approx(20, abs=0.01)

    @pytest.mark.parametrize(
        ("sizes", "coded"),
        [
            ([(1, 1), (200, 300)], (64, 64)),
            ([(1, 3000)], (64, 3000)),
            ([(4320, 7680)], (2160, 3840)),
            ([(96, 128), (128, 96), (960, 1280)], (96, 128)),
        ],
        ids=["a dot first", "a line", "8K", "changing"],
    )
    def test_sizes(self, sizes: list[tuple[int, int]], coded: tuple[int, int], tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoSink(path) as sink:
            for index, size in enumerate(sizes):
                sink.write_frame(picture(index, index, *size))
        with av.open(str(path)) as container:
            assert [(f.height, f.width) for f in container.decode(video=0)] == [coded] * len(sizes)

    def test_a_time_that_is_none(self, tmp_path: Path) -> None:
        with VideoSink(tmp_path / "out.mp4") as sink, pytest.raises(InputError, match="finite"):
            sink.write_frame(picture(float("nan"), 0))

    def test_no_frame_no_file(self, tmp_path: Path) -> None:
        VideoSink(tmp_path / "out.mp4").close()
        assert list(tmp_path.iterdir()) == []

    def test_a_stopped_run_keeps_what_it_has(self, tmp_path: Path) -> None:
        def stopped() -> None:
            with VideoSink(tmp_path / "out.mp4") as sink:
                sink.write_frame(picture(0, 0))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stopped()
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert len(list(container.decode(video=0))) == 1

    def test_closed_sink_refuses_frames(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        sink.write_frame(picture(0, 0))
        sink.close()
        sink.close()
        with pytest.raises(InputError, match="closed"):
            sink.write_frame(picture(1, 1))

    @pytest.mark.parametrize("width", [40, 160, 640])
    @pytest.mark.parametrize(
        "text", ["word " * 60, "x" * 300, "éàü 球 short", "", "two\nlines"], ids=lambda t: t[:9]
    )
    def test_wrapped_lines_fit(self, text: str, width: int) -> None:
        lines = wrap_text(text, width, 0.5, 1)
        assert len(lines) <= 3
        assert all(cv2.getTextSize(line, FONT, 0.5, 1)[0][0] <= width for line in lines)
        draw_banner(np.zeros((width // 2, width, 3), np.uint8), text)

    def test_short_text_is_whole(self) -> None:
        assert wrap_text("a red ball rolls", 640, 0.5, 1) == ["a red ball rolls"]
        assert wrap_text("Bär", 640, 0.5, 1) == ["Bar"]


FULL = """
import resource, sys
import numpy as np
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import JsonlSink, SinkGroup, SubtitleSink, VideoSink
from vljepa_runtime.sources.protocol import Frame

folder, limit = sys.argv[1], int(sys.argv[2])
noise = np.random.default_rng(0).integers(0, 256, (200, 64, 96, 3), np.uint8)
with SinkGroup(lambda error: print(error)) as group:
    group.add(JsonlSink(f"{folder}/e.jsonl"))
    group.add(SubtitleSink(f"{folder}/e.srt"))
    group.add(VideoSink(f"{folder}/e.mp4", crf=10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for index in range(200):
        group.write_frame(Frame(image=noise[index], time_s=index / 10, index=index))
        group.write(Event(stream="s", kind="segment", start_s=index, end_s=index + 1, text=f"at {index}"))
print([len(group.failures), len(group)])
"""


@pytest.mark.parametrize(("limit", "failed"), [(5_000, 3), (9_000, 2), (60_000, 1)])
def test_a_full_disk_ends_one_output_and_not_the_others(limit: int, failed: int, tmp_path: Path) -> None:
    """A limit on the size of a file stands for the disk: each output fails when it gets there, and stays readable."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path, str(limit)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.count("File too large") == failed
    assert done.stdout.endswith(f"[{failed}, 0]\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.jsonl", "e.mp4", "e.srt"]
    seen = cues(tmp_path / "e.srt")
    assert [text for _, _, text in seen] == [f"at {i}" for i in range(len(seen))]
    assert (len(seen) == 200) is (failed < 3)
    whole = [Event.from_json(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert [event.text for event in whole if event.kind == "segment"] == [
        f"at {i}" for i in range(len(whole))
    ]
    assert len(whole) == 200 if failed == 1 else len(whole) >= 15
    if limit > 9_000:
        with av.open(str(tmp_path / "e.mp4")) as container:
            assert sum(1 for _ in container.decode(video=0)) >= 2


def test_the_reader_of_a_pipe_that_goes_away_ends_that_output_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: (tmp_path / "pipe").open("rb").close())
    reader.start()
    told: list[str] = []
    with SinkGroup(lambda error: told.append(str(error))) as group:
        group.add(JsonlSink(tmp_path / "pipe"))
        reader.join(30)
        group.add(JsonlSink(tmp_path / "e.jsonl"))
        for start in range(5):
            group.write(segment(start, start + 1, "a"))
        assert len(group) == 1
    assert told == [f"cannot write {tmp_path / 'pipe'}: Broken pipe"]
    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == 5
