"""Pipelines in a process of their own, with the real GStreamer; skips where its programs are not installed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Item, Source, open_source
from vljepa_runtime.sources.live.camera import open_pipeline
from vljepa_runtime.sources.live.source import Backoff

psutil = pytest.importorskip("psutil")
pytestmark = [
    pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gstreamer1.0-tools is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="pipes of other processes cannot be waited for"),
    pytest.mark.skipif(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="OpenCV has GStreamer"),
]
TEST = "videotestsrc is-live=true pattern={} ! video/x-raw,width=101,height=60,framerate=30/1"


def children() -> list[psutil.Process]:
    """The pipelines that this process runs; other tests may have left processes of their own."""
    return [child for child in psutil.Process().children() if is_pipeline(child)]


def is_pipeline(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "gst-launch-1.0" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


def all_end() -> bool:
    """Whether none is left soon, however busy the machine is."""
    end_s = time.monotonic() + 20
    while children() and time.monotonic() < end_s:
        time.sleep(0.02)
    return children() == []


@contextmanager
def closing(source: Source) -> Iterator[Iterator[Item]]:
    """The items of a source, which leaves no process behind."""
    with source:
        yield iter(source)
    assert all_end()


def test_pictures_are_as_they_were_made() -> None:
    with closing(open_source("gst:" + TEST.format("smpte"))) as items:
        image = next(item for item in items if isinstance(item, Frame)).image
    assert image.shape == (60, 101, 3)
    assert image.dtype == np.uint8
    bars = image[5, [3, 17, 31, 45, 60, 75, 96]] > 100
    assert [tuple(map(int, bar)) for bar in bars] == [
        (1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)
    ]  # fmt: skip
    assert np.ptp(image[:35], axis=0).max() <= 2  # no row is shifted, whatever its length is rounded to


@pytest.mark.parametrize(
    "end",
    ["", " ! appsink", " ! videoconvert ! appsink drop=true", " ! videoconvert ! video/x-raw, format=I420"],
)
def test_a_pipeline_ends_as_others_have_it(end: str) -> None:
    with closing(open_source(f"{TEST.format('red')}{end}")) as items:
        frames = [next(item for item in items if isinstance(item, Frame)) for _ in range(3)]
    assert np.abs(frames[-1].image.astype(int) - (255, 0, 0)).max() <= 5
    assert frames[0].time_s < frames[1].time_s < frames[2].time_s


def test_pixels_that_are_no_squares_become_squares() -> None:
    wide = "video/x-raw,width=80,height=60,framerate=30/1,pixel-aspect-ratio=2/1"
    with closing(open_source(f"gst:videotestsrc is-live=true ! {wide}")) as items:
        height, width, _ = next(item for item in items if isinstance(item, Frame)).image.shape
    assert width / height == pytest.approx(160 / 60, rel=0.02)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("gst:nosuch", '^gst:nosuch does not start: no element "nosuch"$'),
        ("a ! b", '^a ! b is no file here, and as a pipeline it does not start: no element "a"'),
        ("gst:videotestsrc ! audioconvert", "could not link"),
        ("gst:filesrc location=/nowhere ! decodebin", 'Resource not found: No such file "/nowhere"'),
        ('gst:videotestsrc name="x', "No closing quotation"),
        ("gst:", "^gst: does not start: "),
        ("gst:videotestsrc ! video/x-raw,width=32767,height=32767", "pixels: expected"),
        ("gst:filesrc location=/no?token=hunter2 ! decodebin", r"token=\*\*\*"),
    ],
)
def test_what_is_wrong_with_a_pipeline_is_told(pipeline: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as told:
        open_source(pipeline)
    assert "hunter2" not in str(told.value)
    assert all_end()


def test_a_pipeline_that_is_killed_comes_again() -> None:
    source = open_pipeline(TEST.format("red"), backoff=Backoff(first_s=0.01))
    kinds: list[str] = []
    with closing(source) as items:
        for item in items:
            kinds.append("frame" if isinstance(item, Frame) else item.kind)
            if kinds == ["connected", "frame"]:
                (child,) = children()
                child.kill()
            if kinds.count("connected") == 2 and kinds[-1] == "frame":
                break
    assert kinds.index("reconnecting") > kinds.index("frame")


def test_a_pipeline_that_ends_is_begun_again() -> None:
    source = open_pipeline(
        "videotestsrc num-buffers=2 ! video/x-raw,framerate=30/1", backoff=Backoff(first_s=0.01)
    )
    with closing(source) as items:
        told = next(
            item.message for item in items if not isinstance(item, Frame) and item.kind == "reconnecting"
        )
    assert "the stream ended; trying again" in told


def test_a_pipeline_that_gives_nothing_is_given_up_in_time() -> None:
    nothing = "gst:fakesrc is-live=true num-buffers=-1 ! identity drop-probability=1 ! video/x-raw"
    with pytest.raises(SourceError, match=r"does not start: no picture of the pipeline for 0\.5 s"):
        open_source(nothing, timeout_s=0.5)
    assert all_end()


def test_a_process_may_have_many_files_open() -> None:
    """More than `select` can wait for."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("this process may not open so many files")
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
        while not held or held[-1] < 1024:
            held.append(os.open(os.devnull, os.O_RDONLY))
        with closing(open_source("gst:" + TEST.format("red"))) as items:
            assert any(isinstance(item, Frame) for item in islice(items, 3))
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_source_that_nobody_reads_leaves_nothing() -> None:
    source = open_source("gst:" + TEST.format("red"))
    assert len(children()) == 1
    source.close()
    assert all_end()


def test_pictures_of_eight_bits_are_not_stretched() -> None:
    with pytest.raises(SourceError, match="cannot be stretched"):
        open_source("gst:" + TEST.format("red"), stretch=True)
