"""Sinks write files that other programs read: JSON lines, SubRip, MP4."""

from __future__ import annotations

import io
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import JsonlSink, Sink, SubtitleSink, VideoSink
from vljepa_runtime.sinks.subtitles import srt_time
from vljepa_runtime.sinks.video import FONT, draw_banner, wrap_text
from vljepa_runtime.sources.protocol import Frame


def segment(start_s: float, end_s: float, text: str, query: str | None = None) -> Event:
    return Event(
        stream="s", kind="segment", start_s=start_s, end_s=end_s, text=text, query=query, decoded=True
    )


def picture(time_s: float, index: int, height: int = 96, width: int = 128) -> Frame:
    return Frame(image=np.full((height, width, 3), (200, 40, 90), np.uint8), time_s=time_s, index=index)


@pytest.mark.parametrize("kind", [JsonlSink, SubtitleSink, VideoSink])
class TestEverySink:
    def test_is_a_sink(self, kind: type[JsonlSink | SubtitleSink | VideoSink], tmp_path: Path) -> None:
        with kind(tmp_path / "out.mp4") as sink:
            assert isinstance(sink, Sink)

    def test_overwrites_only_when_told(
        self, kind: type[JsonlSink | SubtitleSink | VideoSink], tmp_path: Path
    ) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("precious")
        with pytest.raises(InputError, match="exists already"):
            kind(path)
        assert path.read_text() == "precious"
        with kind(path, overwrite=True) as sink:
            sink.write(segment(0, 1, "a ball"))
            if isinstance(sink, VideoSink):
                sink.write_frame(picture(0, 0))
        assert path.read_bytes()[:8] != b"precious"

    def test_missing_folder_is_named(
        self, kind: type[JsonlSink | SubtitleSink | VideoSink], tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match="nowhere does not exist"):
            kind(tmp_path / "nowhere" / "out")
        with pytest.raises(InputError, match="is a folder"):
            kind(tmp_path)


class TestJsonl:
    def test_lines_are_there_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        events = [segment(0, 1, "ein Bär"), Event(stream="s", kind="status", text="\ud800 odd")]
        with JsonlSink(path) as sink:
            sink.write(events[0])
            assert Event.from_json(path.read_text("utf-8")) == events[0]
            sink.write(events[1])
        assert len(path.read_text("utf-8").splitlines()) == 2

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
            assert not path.exists()
        assert cues(path) == [
            ("00:00:00,000", "00:00:04,000", "first"),
            ("00:00:04,000", "00:00:09,000", "later\nbeside"),
            ("00:00:10,000", "00:00:10,001", "an instant"),
        ]
        assert list(tmp_path.iterdir()) == [path]

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
            assert not path.exists()
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.pix_fmt == "yuv420p"
            found = [f.time for f in container.decode(stream)]
        assert found == pytest.approx(times, abs=1e-3)
        assert list(tmp_path.iterdir()) == [path]

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
