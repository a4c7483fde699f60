"""Times of whole files: FFmpeg makes them, ffprobe says when a player would show their pictures."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.sampling import WindowSampler, hints_for
from vljepa_runtime.sources import EVERY_FRAME, Frame, Hints, SourceStatus, open_source

pytestmark = pytest.mark.skipif(
    shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None, reason="no ffmpeg and ffprobe on PATH"
)

SOUND = ["-f", "lavfi", "-i", "sine=d=6"]
# One thread: those of libvpx spin, and two encoders at once on two cores hung for minutes over these small pictures.
VP8 = ["-c:v", "libvpx", "-threads", "1"]
STEP_S = 1 / 25
PRE = Preprocess(size=24, patch=8)


def picture(fps: float | str = 25, seconds: float = 4, size: str = "96x64") -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={fps}:d={seconds}"]


def ffmpeg(path: Path, *arguments: str | Path) -> Path:
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "Unknown encoder" in done.stderr:
        pytest.skip(f"this ffmpeg lacks an encoder: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return path


def ffprobe(path: Path, entries: str) -> dict[str, Any]:
    ask = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json"]
    return dict(json.loads(subprocess.run([*ask, str(path)], capture_output=True, check=True).stdout))


def read(path: Path, hints: Hints = EVERY_FRAME) -> tuple[list[Frame], list[str]]:
    with open_source(path) as source:
        items = list(source.frames(hints))
    return [i for i in items if isinstance(i, Frame)], [
        i.message for i in items if isinstance(i, SourceStatus)
    ]


def end_s(frames: list[Frame]) -> float:
    assert frames[-1].duration_s is not None
    return frames[-1].time_s + frames[-1].duration_s


def shift_stamps(path: Path, which: tuple[int, ...], shift_s: float) -> None:
    """Add to the PTS and DTS of the given pictures of a transport stream, in place (ISO/IEC 13818-1 2.4.3.7)."""
    data = bytearray(path.read_bytes())
    number = -1
    for packet in range(0, len(data), 188):
        payload = packet + 4 + (1 + data[packet + 4] if data[packet + 3] & 0x20 else 0)
        if not data[packet + 1] & 0x40 or data[payload : payload + 4] != b"\0\0\1\xe0":
            continue
        number += 1
        fields = data[payload + 7] >> 6  # 2: PTS, 3: PTS and DTS
        for at in [payload + 9, payload + 14][: fields - 1] if number in which else []:
            a, b, c, d, e = data[at : at + 5]
            ticks = (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
            ticks = (ticks + round(shift_s * 90_000)) % 2**33
            parts = (a & 0xF0) | (ticks >> 30) << 1 | 1, ticks >> 22 & 255, (ticks >> 15 & 127) << 1 | 1
            data[at : at + 5] = bytes([*parts, ticks >> 7 & 255, (ticks & 127) << 1 | 1])
    assert number > max(which)
    path.write_bytes(data)


def flv_tags(path: Path) -> list[bytes]:
    """Video and sound tags of an FLV file, each with the size that follows it."""
    data, at, found = path.read_bytes(), 13, list[bytes]()
    while at < len(data):
        end = at + 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
        if data[at] in (8, 9):
            found.append(data[at:end])
        at = end
    return found


def stamp_ms(tag: bytes) -> int:
    return int.from_bytes(tag[4:7], "big")


def assert_whole(frames: list[Frame]) -> None:
    """A picture is on show until the next one, and times never go back."""
    for one, other in pairwise(frames):
        assert one.duration_s is not None
        assert one.duration_s >= 0
        assert one.time_s + one.duration_s == pytest.approx(other.time_s, abs=1e-9)


EVERY_FOURTH = ["-vf", "select=not(mod(n\\,4))", "-fps_mode", "passthrough"]
IN_BURSTS = ["-vf", "select=lt(mod(n\\,25)\\,10)", "-fps_mode", "passthrough"]
LATE = ["-filter_complex", "[0:v]setpts=PTS+2/TB[v]", "-map", "[v]", "-map", "1:a"]

# name -> arguments, end of the stream in seconds after its begin
FILES: dict[str, tuple[list[str], float]] = {
    "plain.mp4": ([*picture(), "-c:v", "libx264"], 4.0),
    "plain.mkv": ([*picture(), "-c:v", "libx264", "-bf", "3"], 4.0),
    "plain.ts": ([*picture(), "-c:v", "libx264", "-bf", "3"], 4.0),
    "plain.mpg": ([*picture(), "-c:v", "mpeg2video", "-bf", "2"], 4.0),
    "plain.flv": ([*picture(), "-c:v", "flv"], 4.0),
    "plain.avi": ([*picture(), "-c:v", "mpeg4"], 4.0),
    "with sound.mkv": ([*picture(), *SOUND, "-t", "4", "-c:v", "libx264", "-c:a", "aac"], 4.0),
    "late.mkv": ([*picture(), *SOUND, *LATE, "-c:v", "libx264", "-c:a", "aac"], 6.0),
    "late.ts": ([*picture(), *SOUND, *LATE, "-c:v", "libx264", "-c:a", "aac"], 6.0),
    "late.mov": ([*picture(), *SOUND, *LATE, "-c:v", "mpeg4", "-c:a", "aac"], 6.0),
    "variable.mp4": ([*picture(), *IN_BURSTS, "-c:v", "libx264"], 3.4),
    "variable.webm": ([*picture(), *EVERY_FOURTH, *VP8], 3.88),
    "variable.mkv": ([*picture(), *IN_BURSTS, "-c:v", "mpeg4"], 3.4),
    "a minute each.mkv": ([*picture("1/60", 300), "-c:v", "libx264"], 300.0),
    "a minute each.webm": ([*picture("1/60", 300), *VP8], 300.0),
    "an hour each.mp4": ([*picture("1/3600", 4 * 3600), "-c:v", "libx264"], 4 * 3600.0),
    "slides.mov": ([*picture("1/3", 15), "-c:v", "mjpeg"], 15.0),
    "slides.gif": ([*picture("1/3", 15)], 15.0),
    "slow.apng": ([*picture(2, 5)], 5.0),
    "dropped.avi": (
        [
            *picture(),
            "-vf",
            "select=not(eq(mod(n\\,5)\\,2))",
            "-fps_mode",
            "vfr",
            "-r",
            "25",
            "-c:v",
            "mpeg4",
        ],
        4.0,
    ),
    "mostly dropped.avi": (
        [*picture(), *IN_BURSTS[:2], "-fps_mode", "vfr", "-r", "25", "-c:v", "mjpeg"],
        3.4,
    ),
    "begins at hours.ts": ([*picture(), "-c:v", "libx264", "-output_ts_offset", "7200"], 4.0),
    "begins at hours.mkv": ([*picture(), "-c:v", "libx264", "-output_ts_offset", "7200"], 4.0),
    "counter wraps.ts": ([*picture(), "-c:v", "libx264", "-bf", "0", "-output_ts_offset", "95440"], 4.0),
}


@pytest.mark.parametrize("name", FILES)
def test_a_player_agrees(tmp_path: Path, name: str) -> None:
    arguments, length_s = FILES[name]
    path = ffmpeg(tmp_path / name, *arguments)
    frames, remarks = read(path)
    told = ffprobe(path, "format=start_time:frame=best_effort_timestamp_time")
    times = [float(frame.get("best_effort_timestamp_time", "nan")) for frame in told["frames"]]
    start_s = float(told["format"].get("start_time", times[0]))
    assert len(frames) == len(times)
    known = [(f.time_s, t - start_s) for f, t in zip(frames, times) if not math.isnan(t)]
    assert len(known) > len(times) / 2
    assert [time_s for time_s, _ in known] == pytest.approx([told_s for _, told_s in known], abs=2e-3)
    assert end_s(frames) == pytest.approx(length_s, abs=0.03)  # sound begins a few milliseconds early
    assert remarks == []
    assert_whole(frames)


def test_h264_in_avi_has_its_pictures_in_order_of_time(tmp_path: Path) -> None:
    """FFmpeg stamps them in the order of decoding; ffprobe itself gives up on their times."""
    path = ffmpeg(tmp_path / "clip.avi", *picture(24, 3), "-c:v", "libx264", "-bf", "2")
    frames, remarks = read(path)
    steps = [other.time_s - one.time_s for one, other in pairwise(frames)]
    assert steps == pytest.approx([1 / 24] * 71)
    assert remarks == []


@pytest.mark.parametrize("codec", [["libx264", "-qp", "0"], ["mpeg4", "-q:v", "2"]], ids=["H.264", "MPEG-4"])
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_pictures_stay_on_their_side_of_a_hole_in_an_avi(
    tmp_path: Path, codec: list[str], b_frames: str
) -> None:
    """As dash cameras drop frames; black before the hole, white after it."""
    colours = ["-f", "lavfi", "-i", "color=black:s=96x64:r=25:d=6"]
    turn = "drawbox=c=white:t=fill:enable='gte(t,3)',select='lt(t,2)+gte(t,4)'"
    how = ["-vf", turn, "-fps_mode", "vfr", "-c:v", *codec, "-bf", b_frames, "-b_strategy", "0"]
    frames, remarks = read(ffmpeg(tmp_path / "clip.avi", *colours, *how))
    held = max(frames[:-1], key=lambda frame: frame.duration_s or 0)
    assert (held.index, held.duration_s) == (49, pytest.approx(2.04))
    assert [frame.image.mean() > 128 for frame in frames] == [False] * 50 + [True] * 50
    assert remarks == []


TRIMS = ["trim.mp4", "trim.mov", "trim.mkv", "trim.ts", "trim.avi", "trim.flv"]


@pytest.fixture(scope="module", params=[[], [*SOUND, "-c:a", "aac"]], ids=["silent", "with sound"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s with a key frame every 2 s."""
    path = tmp_path_factory.mktemp("whole") / "whole.mp4"
    return ffmpeg(path, *picture(25, 12), *request.param, "-c:v", "libx264", "-g", "50")


@pytest.mark.parametrize("name", TRIMS)
def test_a_lossless_trim_is_not_cut_off(tmp_path: Path, name: str, whole: Path) -> None:
    path = ffmpeg(tmp_path / name, "-ss", "3.5", "-i", whole, "-t", "6", "-c", "copy")
    frames, remarks = read(path)
    told = ffprobe(path, "format=duration")
    assert remarks == []
    assert end_s(frames) == pytest.approx(float(told["format"]["duration"]), abs=0.1)


@pytest.mark.parametrize("sound", [[], [*SOUND, "-c:a", "aac"]], ids=["silent", "with sound"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flv"])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, suffix: str, sound: list[str]) -> None:
    codec = ["-c:v", "mpeg4" if suffix == "avi" else "libx264", "-g", "10"]
    place = ["-movflags", "faststart"] if suffix == "mp4" else []
    whole = ffmpeg(tmp_path / f"whole.{suffix}", *picture(25, 6), *sound, *codec, *place)
    assert read(whole)[1] == []
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames, remarks = read(path)
    assert 0.5 < end_s(frames) < 5
    assert len(remarks) == 1


@pytest.mark.parametrize("suffix", ["mp4", "flv"])
def test_the_whole_pictures_before_a_cut_one_are_given(tmp_path: Path, suffix: str) -> None:
    """Slides 5 s apart; decoding threads hold some when the broken last packet comes."""
    place = ["-movflags", "faststart"] if suffix == "mp4" else []
    slides = ["-vf", "setpts=N*5/TB", "-fps_mode", "passthrough", "-c:v", "libx264", "-crf", "1", "-bf", "2"]
    whole = ffmpeg(tmp_path / f"whole.{suffix}", *picture(25, 0.2), *slides, *place)
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole.read_bytes()[:-200])
    told = ffprobe(path, "frame=best_effort_timestamp_time:format=start_time")
    start_s = float(told["format"]["start_time"])
    frames, remarks = read(path)
    assert [frame.time_s for frame in frames] == pytest.approx(
        [float(frame["best_effort_timestamp_time"]) - start_s for frame in told["frames"]]
    )
    assert len(frames) == 4
    assert [remark.rsplit("/", 1)[-1] for remark in remarks] == [
        f"cut.{suffix}: 1 damaged packets were skipped, 4 frames decoded: the last one is cut off"
    ]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flv", "wmv", "ts"])
def test_a_video_shorter_than_its_sound_is_not_cut_off(tmp_path: Path, suffix: str) -> None:
    codec = {"avi": "mpeg4", "wmv": "wmv2"}.get(suffix, "libx264")
    path = ffmpeg(tmp_path / f"clip.{suffix}", *picture(25, 2), *SOUND, "-c:v", codec)
    frames, remarks = read(path)
    assert end_s(frames) - frames[0].time_s == pytest.approx(2.0, abs=0.05)
    assert remarks == []


def test_sound_may_begin_when_the_video_is_open(tmp_path: Path) -> None:
    video = flv_tags(ffmpeg(tmp_path / "video.flv", *picture(25, 8), "-c:v", "libx264", "-g", "25"))
    sound = flv_tags(ffmpeg(tmp_path / "sound.flv", "-f", "lavfi", "-i", "sine=d=8", "-c:a", "aac"))
    late = sorted([tag for tag in video + sound[1:] if stamp_ms(tag) >= 6000], key=stamp_ms)
    path = tmp_path / "both.flv"
    early = [tag for tag in video if stamp_ms(tag) < 6000]
    path.write_bytes(b"FLV\1\1\0\0\0\x09\0\0\0\0" + b"".join([*early, sound[0], *late]))
    with av.open(path) as container:
        assert len(container.streams) == 1
    code = "import sys, vljepa_runtime as vj; print(*(item.time_s for item in vj.open_source(sys.argv[1])))"
    memory = {**os.environ, "MALLOC_PERTURB_": "165"}  # PyAV reads beyond its list of tracks: by chance, else
    done = subprocess.run([sys.executable, "-c", code, path], env=memory, capture_output=True, text=True)
    assert done.stderr == ""
    assert [float(time_s) for time_s in done.stdout.split()] == pytest.approx(
        [n * STEP_S for n in range(200)]
    )


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_stray_stamp_is_no_reason_to_call_a_file_cut_off(tmp_path: Path, suffix: str) -> None:
    """The length in its header reaches up to that stamp."""
    stray = ["-c:v", "libx264", "-bf", "0", "-bsf:v", "setts=pts=PTS+if(eq(N\\,50)\\,9000/TB\\,0):dts=DTS"]
    path = ffmpeg(tmp_path / f"clip.{suffix}", *picture(), *stray)
    assert float(ffprobe(path, "format=duration")["format"]["duration"]) > 10
    frames, remarks = read(path)
    assert [frame.time_s for frame in frames] == pytest.approx([n * STEP_S for n in range(100)], abs=2e-3)
    assert remarks == []


@pytest.fixture(scope="module", params=["0", "2"], ids=["in order", "with B-frames"])
def transport_stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "clip.ts"
    return ffmpeg(path, *picture(), "-c:v", "libx264", "-bf", request.param)


class TestStamps:
    @pytest.mark.parametrize(
        ("name", "codec", "stamps"),
        [
            ("every third repeated.mp4", "libx264", "if(eq(mod(N\\,3)\\,2)\\,PREV_OUTPTS\\,PTS)"),
            ("every fourth repeated.mkv", "libx264", "if(eq(mod(N\\,4)\\,1)\\,PREV_OUTPTS\\,PTS)"),
            ("every second repeated.nut", "mpeg4", "if(eq(mod(N\\,2)\\,1)\\,PREV_OUTPTS\\,PTS)"),
            ("an hour ahead.mkv", "libx264", "PTS+eq(N\\,40)*3600000"),
            ("half a second ahead.mp4", "libx264", "PTS+eq(N\\,40)*6400"),
            ("two an hour ahead.mkv", "mpeg4", "PTS+between(N\\,40\\,41)*3600000"),
            ("the first an hour ahead.mkv", "mpeg4", "PTS+eq(N\\,0)*3600000"),
        ],
    )
    def test_a_bad_one_costs_only_itself(self, tmp_path: Path, name: str, codec: str, stamps: str) -> None:
        ordered = "max(PREV_OUTDTS\\,DTS)" if name.endswith(("mkv", "nut")) else "DTS-2"
        path = ffmpeg(
            tmp_path / name,
            *picture(),
            "-c:v",
            codec,
            "-bf",
            "0",
            "-bsf:v",
            f"setts=pts={stamps}:dts={ordered}",
        )
        frames, _ = read(path)
        assert [frame.time_s for frame in frames] == pytest.approx([n * STEP_S for n in range(100)], abs=2e-3)
        assert end_s(frames) == pytest.approx(4.0, abs=2e-3)

    @pytest.mark.parametrize("suffix", ["ts", "mpg"])
    def test_files_joined_end_to_end_go_on(self, tmp_path: Path, suffix: str) -> None:
        parts = [
            ffmpeg(tmp_path / f"{seconds}.{suffix}", *picture(25, seconds), "-c:v", "mpeg2video", "-bf", "2")
            for seconds in (4, 2, 3)
        ]
        path = tmp_path / f"joined.{suffix}"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        frames, _ = read(path)
        assert end_s(frames) == pytest.approx(9.0, abs=0.05)
        assert_whole(frames)

    @pytest.mark.parametrize("suffix", ["ts", "mpg"])
    def test_a_camera_that_starts_again_goes_on(self, tmp_path: Path, suffix: str) -> None:
        """FFmpeg takes the step back for the end of a 33-bit count, 26 hours on."""
        parts = [
            ffmpeg(
                tmp_path / f"{begin}.{suffix}",
                *picture(25, 2),
                "-c:v",
                "mpeg2video",
                "-output_ts_offset",
                begin,
            )
            for begin in ("3600", "30", "0")
        ]
        path = tmp_path / f"joined.{suffix}"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        frames, _ = read(path)
        assert [frame.time_s for frame in frames] == pytest.approx([n * STEP_S for n in range(150)], abs=2e-3)

    @pytest.mark.parametrize(
        ("which", "shift_s"),
        [((40,), 3600), ((40,), -3600), ((40,), -1), ((40,), 0.3), ((0,), 3600), ((20, 40, 41, 60), -2)],
        ids=[
            "an hour ahead",
            "an hour behind",
            "a second behind",
            "a little ahead",
            "the first ahead",
            "some behind",
        ],
    )
    def test_stray_ones_of_a_transport_stream(
        self, tmp_path: Path, transport_stream: Path, which: tuple[int, ...], shift_s: float
    ) -> None:
        path = Path(shutil.copy(transport_stream, tmp_path))
        shift_stamps(path, which, shift_s)
        frames, _ = read(path)
        off_s = [abs(frame.time_s - number * STEP_S) for number, frame in enumerate(frames)]
        assert len(frames) == 100
        assert max(off_s) <= STEP_S + 1e-3
        assert sum(value > 2e-3 for value in off_s) <= len(which)
        assert end_s(frames) == pytest.approx(4.0, abs=2e-3)

    @pytest.mark.parametrize("name", ["hole.mkv", "hole.mp4", "hole.mov"])
    def test_a_hole_is_a_held_picture(self, tmp_path: Path, name: str) -> None:
        hole = "setpts=PTS+gte(N\\,50)*9000/TB"
        path = ffmpeg(tmp_path / name, *picture(), "-vf", hole, "-fps_mode", "passthrough", "-c:v", "libx264")
        frames, remarks = read(path)
        longest = max(frames, key=lambda frame: frame.duration_s or 0)
        assert (longest.index, longest.duration_s) == (49, pytest.approx(9000.04, abs=2e-3))
        assert end_s(frames) == pytest.approx(9004, abs=2e-3)
        assert remarks == []


class TestRawStreams:
    @pytest.mark.parametrize(
        ("name", "arguments", "fps"),
        [
            ("a.h264", ["-c:v", "libx264"], 12),
            ("b.h264", ["-c:v", "libx264", "-bf", "3"], 59.94),
            ("a.hevc", ["-c:v", "libx265", "-x265-params", "log-level=none"], 12),
            ("b.h265", ["-c:v", "libx265", "-x265-params", "log-level=none", "-f", "hevc"], 50),
            ("a.m2v", ["-c:v", "mpeg2video", "-bf", "2"], 30),
            ("a.m4v", ["-c:v", "mpeg4", "-f", "m4v"], 15),
        ],
    )
    def test_the_rate_is_in_the_header(
        self, tmp_path: Path, name: str, arguments: list[str], fps: float
    ) -> None:
        frames, remarks = read(ffmpeg(tmp_path / name, *picture(fps, 3), *arguments))
        assert [frame.time_s for frame in frames] == pytest.approx(
            [n / fps for n in range(len(frames))], rel=1e-3
        )
        assert end_s(frames) == pytest.approx(len(frames) / fps, rel=1e-3)
        assert remarks == []

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("a.hevc", ["-c:v", "libx265", "-x265-params", "log-level=none:vui-timing-info=0"]),
            ("a.mjpeg", ["-c:v", "mjpeg"]),
            ("clock.h264", ["-c:v", "libx264", "-bsf:v", "h264_metadata=tick_rate=180000"]),
            ("days.h264", ["-c:v", "libx264", "-bsf:v", "h264_metadata=tick_rate=1/86400"]),
        ],
    )
    def test_without_a_credible_one_it_is_guessed_and_told(
        self, tmp_path: Path, name: str, arguments: list[str]
    ) -> None:
        frames, remarks = read(ffmpeg(tmp_path / name, *picture(12, 3), *arguments))
        assert end_s(frames) == pytest.approx(36 / 25)
        assert [("guessed" in remark, name in remark) for remark in remarks] == [(True, True)]


def test_ends_of_shared_clips(shared_data: Path) -> None:
    """First and last times against ffprobe, over every clip with one video track."""
    checked = 0
    for path in sorted((shared_data / "clips").rglob("*")):
        if path.suffix not in (".mp4", ".mkv", ".webm", ".avi", ".gif") or "nasa_13013.mp4" in path.name:
            continue
        told = ffprobe(path, "format=start_time,duration:packet=pts_time,duration_time")
        if float(told["format"]["duration"]) > 6:
            continue  # their decoding takes most of the time
        sampler = WindowSampler(PRE)
        shown = [p for p in told["packets"] if "pts_time" in p]
        start_s = float(told["format"]["start_time"])
        last_s = max(float(p["pts_time"]) for p in shown) - start_s
        frames, remarks = read(path, hints_for(PRE))
        windows = [window for frame in frames for window in sampler.push(frame)] + list(sampler.flush())
        assert windows[0].start_s == frames[0].time_s
        assert windows[-1].end_s == pytest.approx(end_s(frames), abs=frames[-1].duration_s)
        assert frames[0].time_s == pytest.approx(min(float(p["pts_time"]) for p in shown) - start_s, abs=2e-3)
        assert frames[-1].time_s == pytest.approx(last_s, abs=2e-3), path
        assert last_s < end_s(frames) < last_s + 0.2
        assert remarks == []
        checked += 1
    assert checked > 30
