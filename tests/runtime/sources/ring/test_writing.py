"""Cuts of real videos as files: ffprobe says what is in them, ffmpeg plays them, and no byte was encoded anew."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.sources import PacketRing, frames_of, write_cut

SECONDS, FPS, GROUP = 8, 10, 15
PIXELS = {"mjpeg": "yuvj420p"}


def make(path: Path, codec: str, options: dict[str, str], *, begin: int = 0) -> Path:
    """A video in which every picture differs, a key frame every 1.5 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = (
            96,
            64,
            PIXELS.get(codec, "yuv420p"),
            GROUP,
        )
        stream.codec_context.time_base = Fraction(1, FPS)
        for index in range(SECONDS * FPS):
            image = np.full((64, 96, 3), 40, np.uint8)
            image[:, : 1 + index] = 200
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = begin + index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


KINDS = {
    "h264 in mp4": ("a.mp4", "libx264", {"x264-params": "scenecut=0:bframes=2"}, 0, ".mp4"),
    "h264 in mpeg-ts, late": ("a.ts", "libx264", {"x264-params": "scenecut=0:bframes=2"}, 50, ".mp4"),
    "h264 in matroska": ("a.mkv", "libx264", {"x264-params": "scenecut=0:bframes=3:b-pyramid=1"}, 0, ".mp4"),
    "mpeg4 in avi": ("a.avi", "mpeg4", {}, 0, ".mp4"),
    "mjpeg in avi": ("j.avi", "mjpeg", {}, 0, ".mkv"),
    "vp8 in webm": ("a.webm", "libvpx", {"deadline": "realtime"}, 0, ".mkv"),
}


@pytest.fixture(scope="module", params=KINDS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    name, codec, options, begin, suffix = KINDS[request.param]
    return make(tmp_path_factory.mktemp("ring") / name, codec, dict(options), begin=begin), suffix


def recorded(path: Path) -> PacketRing:
    ring = PacketRing(seconds=100)
    with vj.open_source(path) as source:
        source.keep_packets(ring)
        assert sum(isinstance(item, vj.Frame) for item in source) == SECONDS * FPS
    return ring


def payloads(path: Path) -> list[bytes]:
    """Packets without the framing of H.264 units, which MPEG-TS has in another way than MP4."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        annex_b = container.format.name == "mpegts"
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
        return [_units(data, annex_b) for data in packets] if stream.codec.name == "h264" else packets


def _units(data: bytes, annex_b: bool) -> bytes:
    if annex_b:
        parts = [part for long in data.split(b"\0\0\0\1") for part in long.split(b"\0\0\1")]
        return b"".join(part for part in parts if part and part[0] & 31 in (1, 5))
    units = []
    while data:
        size = int.from_bytes(data[:4], "big")
        units.append(data[4 : 4 + size])
        data = data[4 + size :]
    return b"".join(unit for unit in units if unit[0] & 31 in (1, 5))  # slices


def probe(path: Path) -> list[dict[str, Any]]:
    command = ["ffprobe", "-v", "error", "-show_packets", "-of", "json", str(path)]
    told = subprocess.run(command, capture_output=True, check=True).stdout
    found: list[dict[str, Any]] = json.loads(told)["packets"]
    return found


def test_a_clip_is_a_part_of_the_video_byte_by_byte(video: tuple[Path, str], tmp_path: Path) -> None:
    path, suffix = video
    cut = recorded(path).cut(4.0, 6.0)
    assert cut is not None
    assert cut.track.suffix == suffix
    first_s = 4.0 if "j.avi" in path.name else 3.0  # all pictures of Motion JPEG are key frames
    assert cut.start_s == pytest.approx(first_s, abs=0.002)
    clip = tmp_path / f"clip{suffix}"
    with clip.open("w+b") as file:
        write_cut(cut, file)
    part, whole = payloads(clip), payloads(path)
    assert part in [whole[at : at + len(part)] for at in range(len(whole))]
    with av.open(str(clip)) as container:
        times = sorted(float(p.pts * p.time_base) for p in container.demux(video=0) if p.size)
    assert times[0] == pytest.approx(0, abs=0.002)
    assert times[-1] == pytest.approx(6.0 - first_s - 1 / FPS, abs=0.002)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is the oracle")
def test_ffprobe_and_ffmpeg_take_it(video: tuple[Path, str], tmp_path: Path) -> None:
    path, suffix = video
    cut = recorded(path).cut(4.0, 6.0)
    assert cut is not None
    clip = tmp_path / f"clip{suffix}"
    with clip.open("w+b") as file:
        write_cut(cut, file)
    packets = probe(clip)
    assert packets[0]["flags"].startswith("K")
    assert len(packets) == len(cut.packets)
    played = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(clip), "-f", "framemd5", "-"], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert played.stderr == ""
    assert sum(not line.startswith("#") for line in played.stdout.splitlines()) == len(packets)


def test_pictures_decoded_again_are_those_of_the_stream(video: tuple[Path, str]) -> None:
    path, _ = video
    cut = recorded(path).cut(4.0, 6.0)
    assert cut is not None
    with vj.open_source(path) as source:
        frames = {round(f.time_s, 3): f.image for f in source if isinstance(f, vj.Frame)}
    again = list(frames_of(cut))
    assert again[-1].time_s == pytest.approx(5.9, abs=0.002)
    for frame in again:
        time_s = min(frames, key=lambda each: abs(each - frame.time_s))
        assert time_s == pytest.approx(frame.time_s, abs=0.002)
        np.testing.assert_array_equal(frame.image, frames[time_s])


def test_a_raw_stream_without_times_leaves_a_ring_empty(tmp_path: Path) -> None:
    ring = recorded(make(tmp_path / "a.h264", "libx264", {"x264-params": "scenecut=0:bframes=0"}))
    assert ring.bytes == 0


@pytest.mark.parametrize(("codec", "pixels"), [("gif", "rgb8"), ("apng", "rgb24")])
def test_what_no_container_takes_is_shown_and_not_kept(tmp_path: Path, codec: str, pixels: str) -> None:
    path = tmp_path / f"moving.{codec}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, 10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
        for level in range(0, 200, 20):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), "rgb24")
            container.mux(stream.encode(picture.reformat(format=pixels)))
        container.mux(stream.encode())
    ring = PacketRing(seconds=60)
    with vj.open_source(path) as source:
        source.keep_packets(ring)
        assert len([item for item in source if isinstance(item, vj.Frame)]) == 10
    assert ring.bytes == 0
    assert ring.cut(0, 60) is None


def test_pictures_have_no_packets(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    ring = PacketRing(seconds=5)
    with vj.open_source(tmp_path) as source:
        source.keep_packets(ring)
        assert list(source)
    assert (ring.track, ring.bytes) == (None, 0)


def test_a_loop_goes_on_in_stream_time(tmp_path: Path) -> None:
    ring = PacketRing(seconds=5)
    with vj.open_source(make(tmp_path / "a.mp4", "libx264", {}), loop=True) as source:
        source.keep_packets(ring)
        for frame in source:
            assert isinstance(frame, vj.Frame)
            ring.advance(frame.time_s)
            if frame.time_s >= 11.95:
                break
    cut = ring.cut(9.9, 11.5)
    assert cut is not None
    assert cut.start_s == pytest.approx(9.5)
    file = io.BytesIO()
    write_cut(cut, file)
    assert len(file.getvalue()) > cut.bytes
