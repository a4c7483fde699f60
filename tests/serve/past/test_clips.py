"""Clips of the past from the kept video, and questions that nobody asked at the time."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from past_log import Past

import vljepa_runtime as vj
from vljepa_runtime.sources import PacketRing
from vljepa_serve.archive import MomentId, ask

FIRST = 10.0  # the shed's video begins so many seconds after its windows


@pytest.fixture(scope="module")
def filmed(past: Past, recording: Path) -> Past:
    """Where the shed has video of what the recording shows."""
    ring = PacketRing(seconds=60)
    with vj.open_source(recording) as source:
        source.keep_packets(ring)
        for frame in source:
            ring.advance(frame.time_s)
    cut = ring.cut(0, 60)
    assert cut is not None
    begin = past.began + FIRST
    past.server.service.video.add("shed", cut, start=begin, end=begin + frame.time_s)
    return past


def pictures(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_clip_is_what_the_camera_sent(filmed: Past, recording: Path) -> None:
    moment = filmed.moment(FIRST + 1, FIRST + 3, "shed")
    shown = filmed.server.get(f"/api/moments/{moment}")
    assert (shown["kept_video"], shown["clip_start"]) == (True, filmed.began + FIRST)
    clip = filmed.server.client.get(f"/api/moments/{moment}.mp4")
    assert clip.headers["content-type"] == "video/mp4"
    frames = pictures(clip.content)
    original = pictures(recording.read_bytes())
    assert len(frames) >= 3 * 8
    assert all((one == other).all() for one, other in zip(frames, original))
    part = filmed.server.client.get(f"/api/moments/{moment}.mp4", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["etag"] == clip.headers["etag"]  # of the same clip


@pytest.mark.parametrize(
    ("hours", "reason"), [(24.0, "camera was off"), (0.1, "older than the kept video"), (0.0, "video_hours")]
)
def test_where_no_video_is_kept_a_sentence_says_why(filmed: Past, hours: float, reason: str) -> None:
    service = filmed.server.service
    service.change(lambda file: file.set("log", {"video_hours": hours}))
    try:
        moment = filmed.moment(100, 110)
        answer = filmed.server.client.get(f"/api/moments/{moment}.mp4")
        assert answer.status_code == 404
        assert reason in answer.json()["sentence"]
        shown = filmed.server.get(f"/api/moments/{moment}")
        assert (shown["kept_video"], shown["no_video"]) == (False, answer.json()["sentence"])
    finally:
        service.change(lambda file: file.set("log", {"video_hours": 24.0}))


def test_a_new_question_is_asked_of_the_video(filmed: Past, model: vj.Model, recording: Path) -> None:
    question, candidates = "Which colour has the box?", ["red", "blue", "white", "purple"]
    start = filmed.began + FIRST + 2
    moment = MomentId(camera="shed", start=start, end=start + 2)
    found = ask(filmed.server.service.archive, moment, question, candidates)
    assert found.source == "video"
    seconds = model.preprocess.seconds
    clip = model.read_clip(recording, start_s=3 - seconds / 2, seconds=seconds)
    expected = model.answer(clip, question, candidates)
    assert [each.label for each in found.scores] == [each.label for each in expected]
    assert found.scores[0].score == pytest.approx(expected[0].score, abs=0.02)
    worded = ask(filmed.server.service.archive, moment, question, [])
    assert (worded.decoded, worded.text) == (True, model.decode(model.embed(clip, question)))


def test_without_video_candidates_are_compared_with_what_is_kept(past: Past, model: vj.Model) -> None:
    archive = past.server.service.archive
    moment = MomentId(camera="gate", start=past.began + 70, end=past.began + 75)
    found = ask(archive, moment, "Is there a cat?", ["a cat", "a dog"])
    assert (found.source, found.decoded) == ("embedding", False)
    assert [each.label for each in found.scores] == [
        each.label for each in model.rank(archive.at(moment).embedding, ["a cat", "a dog"])
    ]
    with pytest.raises(vj.VljepaError, match="name possible answers"):
        ask(archive, moment, "Is there a cat?", [])
    asked = ask(archive, moment, archive.query_of("gate"), [])
    assert (asked.source, asked.decoded) == ("embedding", True)
