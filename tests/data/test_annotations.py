"""Annotation files of every kind are read, and a wrong line is named with its file and number."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from vljepa_data.annotations import (
    ANNOTATION_FORMATS,
    AnnotationFile,
    Example,
    Segment,
    by_segment,
    read_annotations,
    read_segment,
    require_readable,
    survey,
)
from vljepa_data.errors import AnnotationError
from vljepa_data.world import PROMPTS
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing.preprocess import Preprocess

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text file and return its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two seconds of H.264 at 8 fps whose grey level says the time."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for index in range(16):
            picture = np.full((64, 64, 3), 8 + 15 * index, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


MSR_VTT = {
    "videos": [
        {"video_id": "video0", "split": "train", "start time": 137.72, "end time": 149.44},
        {"video_id": "video1", "split": "validate"},
    ],
    "sentences": [
        {"caption": "a car is shown", "video_id": "video0", "sen_id": 0},
        {"caption": "in a kitchen a woman adds ingredients", "video_id": "video1", "sen_id": 1},
        {"caption": "a man drives", "video_id": "video0", "sen_id": 2},
    ],
}


def test_a_manifest_in_csv_and_in_json_lines_says_the_same(write: Write, tmp_path: Path) -> None:
    row = {
        "path": "a/b.mp4",
        "start_s": 1.5,
        "end_s": 3,
        "text": "yes, it is",
        "query": "Is it?",
        "split": "val",
    }
    table = write("m.csv", "")
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*row, "candidates"])
        writer.writeheader()
        writer.writerow({**row, "candidates": "no | yes, it is"})
    lines = write("m.jsonl", json.dumps({**row, "candidates": ["no", "yes, it is"]}) + "\n\n")
    expected = Example(
        segment=Segment(tmp_path / "a/b.mp4", 1.5, 3.0), text="yes, it is", query="Is it?",
        candidates=("no", "yes, it is"), split="val",
    )  # fmt: skip
    assert read_annotations(table) == read_annotations(lines) == [expected]


def test_what_a_manifest_leaves_out_has_a_default(write: Write) -> None:
    (example,) = read_annotations(write("m.csv", "path,text\nx.mp4,a dog\n"), videos="/videos")
    assert example == Example(segment=Segment(Path("/videos/x.mp4")), text="a dog")
    assert [each.query for each in example.asked({}, "caption", "classify")] == [
        PROMPTS["caption"],
        PROMPTS["classify"],
    ]
    own = replace(example, query="Who?")
    assert own.asked({}, "caption", "classify") == (own,)


def test_msr_vtt(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "clips" / "nested"
    folder.mkdir(parents=True)
    (folder / "video1.webm").touch()
    examples = read_annotations(write("v.json", json.dumps(MSR_VTT)), videos=tmp_path / "clips")
    assert [(e.segment.path.name, e.text, e.split) for e in examples] == [
        ("video0.mp4", "a car is shown", "train"),
        ("video1.webm", "in a kitchen a woman adds ingredients", "val"),
        ("video0.mp4", "a man drives", "train"),
    ]
    assert [len(texts) for texts in by_segment(examples).values()] == [2, 1]
    text = "key,vid_key,video_id,sentence\nret0,msr9770,video9770,a person is connecting something\n"
    (test,) = read_annotations(write("MSRVTT_JSFUSION_test.csv", text))
    assert (test.segment.path.stem, test.split) == ("video9770", "test")


def test_msvd(write: Write, tmp_path: Path) -> None:
    (tmp_path / "mv89psg6zh4_33_46.avi").touch()
    (tmp_path / "whole.mp4").touch()
    head = "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\n"
    table = write(
        "video_corpus.csv",
        head
        + "mv89psg6zh4,33,46,588702,unverified,55,English,A bird in a sink.\n"
        + "mv89psg6zh4,33,46,1,unverified,55,Slovene,Papagaj.\n"
        + "whole,3,5,1,clean,9,English,A man.\n",
    )
    bird, man = read_annotations(table)
    assert (bird.segment, bird.text) == (Segment(tmp_path / "mv89psg6zh4_33_46.avi"), "A bird in a sink.")
    assert man.segment == Segment(tmp_path / "whole.mp4", 3.0, 5.0)
    lines = "# from AMT\n\n-4wsu_PCjDBc_5_15 a squirrel is eating\n"
    (squirrel,) = read_annotations(write("AllVideoDescriptions.txt", lines))
    assert (squirrel.segment.path.stem, squirrel.text) == ("-4wsu_PCjDBc_5_15", "a squirrel is eating")


def test_kinetics(write: Write, tmp_path: Path) -> None:
    (tmp_path / "ski jumping").mkdir()
    (tmp_path / "ski jumping" / "---v8pgm1eQ_000005_000015.mp4").touch()
    text = (
        "label,youtube_id,time_start,time_end,split,is_cc\n"
        "ski jumping,---v8pgm1eQ,5,15,validate,0\nsurfing water,abc,42,52,validate,0\n"
    )
    ski, surf = read_annotations(write("validate.csv", text), split="val")
    assert ski.segment == Segment(tmp_path / "ski jumping" / "---v8pgm1eQ_000005_000015.mp4")
    assert ski.candidates == surf.candidates == ("ski jumping", "surfing water")
    assert ski.query == PROMPTS["classify"]
    assert surf.segment.path.stem == "abc_000042_000052"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "path,text\na.mp4,\n", r"m\.csv, line 2: expected a value for 'text'"),
        ("m.csv", "path,text\na.mp4,x\nb.mp4,a, b\n", r"line 3: expected 2 fields as in the header, got 3"),
        ("m.csv", "path,text,start_s\na.mp4,x,soon\n", r"line 2: expected a number of seconds for 'start_s'"),
        ("m.csv", "path,text,start_s,end_s\na.mp4,x,5,4\n", r"line 2: expected 0 <= start_s < end_s, got 5"),
        ("m.csv", "path,text,candidates\na.mp4,x,y|z\n", r"line 2: expected the text among its candidates"),
        ("m.csv", "path,text,mood\na.mp4,x,good\n", r"line 2: unknown columns mood; known: path"),
        ("m.csv", 'path,text\n"a\nb.mp4",x\nc.mp4\n', r"line 4: expected 2 fields"),
        ("m.csv", "what,words\na,b\n", r"expected \.jsonl, \.json, \.txt or \.csv with the columns"),
        ("m.csv", "path,text\n", r"expected at least one text about a video"),
        ("m.jsonl", '{"path": "a", "text": "b"}\n{"path": ', r"m\.jsonl, line 2: not JSON"),
        ("m.jsonl", "[1]\n", r"line 1: expected a JSON object, got list"),
        ("m.json", '{"videos": [],\n "sentences": [}', r"m\.json, line 2: not JSON"),
        ("m.json", '{"videos": []}', r"expected a list 'sentences' as in MSR-VTT, got NoneType"),
        ("m.json", '{"videos": [{}], "sentences": []}', r"videos\[0\]: expected an object with 'video_id'"),
        (
            "m.json",
            '{"videos": [], "sentences": [{"video_id": "v", "caption": "c"}]}',
            r"sentences\[0\]: video 'v' is not among",
        ),
        ("m.txt", "# head\nnonsense\n", r"m\.txt, line 2: expected VIDEO_START_END and a caption"),
        ("m.txt", "v_9_5 a cat\n", r"line 1: expected 0 <= start_s < end_s"),
        (
            "m.csv",
            "label,youtube_id,time_start,time_end\nrun,a,,3\n",
            r"line 2: expected numbers for time_start and time_end",
        ),
    ],
)
def test_a_wrong_line_is_named(name: str, text: str, message: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    with pytest.raises(AnnotationError, match=message):
        read_annotations(write(name, text))


def test_a_file_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"cannot read the annotations .*no\.jsonl: No such file"):
        read_annotations(tmp_path / "no.jsonl")
    (tmp_path / "m.csv").write_bytes(b"path,text\n\xff\xfe,x\n")
    with pytest.raises(AnnotationError, match="expected UTF-8 text, byte 10 is none"):
        read_annotations(tmp_path / "m.csv")
    with pytest.raises(AnnotationError, match="expected a format among auto, manifest"):
        read_annotations(tmp_path / "m.csv", format="coco")
    assert list(ANNOTATION_FORMATS) == ["manifest", "msr-vtt", "msvd", "kinetics"]


def test_a_split_that_is_not_there(write: Write) -> None:
    path = write("m.jsonl", '{"path": "a", "text": "b", "split": "train"}\n')
    with pytest.raises(AnnotationError, match="expected a split among train, got 'test'"):
        read_annotations(path, split="test")


PRE = Preprocess(frames=4, fps=4.0, size=32, patch=8)


@pytest.mark.parametrize(
    ("start_s", "end_s", "levels"),
    [(0.0, None, (8, 83, 158, 233)), (1.0, None, (128, 163, 198, 233)), (0.5, 1.0, (68, 68, 98, 98))],
    ids=["whole", "second half", "half a second"],
)
def test_a_segment_gives_the_frames_of_its_time(
    film: Path, start_s: float, end_s: float | None, levels: tuple[int, ...]
) -> None:
    frames = read_segment(Segment(film, start_s, end_s), PRE).frames
    assert frames.shape == (4, 32, 32, 3)
    means = frames.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, levels, atol=30)  # a sampling period
    assert (np.diff(means) >= -1).all()


def test_missing_and_broken_videos_are_found_without_reading_all(film: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(film.read_bytes()[:200])
    segments = [Segment(film), Segment(tmp_path / "none.mp4"), Segment(broken), Segment(film, 60.0)]
    seen: list[int] = []
    unusable = survey(segments, on_progress=seen.append)
    assert [bad.segment for bad in unusable] == segments[1:]
    assert ["no such file" in bad.reason for bad in unusable] == [True, False, False]
    assert "no frame from 60 s on" in unusable[2].reason
    assert seen == [1, 2, 3, 4]
    with pytest.raises(SourceError, match="has no frame from 60 s on"):
        read_segment(segments[3], PRE)


def test_a_segment_begins_with_the_picture_on_show(lossless: ModuleType, tmp_path: Path) -> None:
    """Slides five seconds apart, and the same film with every picture repeated at 5 a second."""
    slides = lossless.write_lossless(tmp_path / "slides.mkv", lossless.numbered(3), [0, 5, 10], last_s=5)
    times_s = [number / 5 for number in range(75)]
    film = lossless.write_lossless(
        tmp_path / "film.mkv", lossless.numbered(3)[np.repeat(range(3), 25)], times_s, last_s=0.2
    )
    for start_s, end_s in ((0.0, None), (6.0, 8.0), (4.0, 6.0), (0.0, 11.0), (12.5, None)):
        clips = [read_segment(Segment(path, start_s, end_s), PRE).frames for path in (slides, film)]
        np.testing.assert_array_equal(*clips)
    assert survey([Segment(slides, 6.0, 8.0)]) == []
    assert len(survey([Segment(slides, 15.0, 16.0)])) == 1


def test_every_real_clip_can_be_read(shared_data: Path) -> None:
    pre = Preprocess()
    clips = sorted(shared_data.glob("clips/intel/*.mkv"))
    assert survey(map(Segment, clips)) == []
    assert read_segment(Segment(clips[0], 0.5, 1.5), pre).frames.shape == (8, 96, 96, 3)


def test_a_list_with_clips_that_cannot_be_read_is_refused(film: Path) -> None:
    looked: list[int] = []
    require_readable([Segment(film)], on_progress=looked.append)
    assert looked == [1]
    bad = [Segment(film.with_name(f"gone{number}.mp4")) for number in range(4)]
    with pytest.raises(
        SourceError, match=r"4 of 5 clips cannot be read: .*gone0\.mp4.*gone2\.mp4.*; and 1 more$"
    ):
        require_readable([Segment(film), *bad])
    with pytest.raises(
        SourceError, match=r"1 of 1 clips cannot be read: .*film\.mp4 has no frame from 9 s on"
    ):
        require_readable([Segment(film, 9.0)])


def test_an_annotation_file_is_read_when_it_is_asked(write: Write) -> None:
    path = write("clips.csv", "path,text,split\na.mp4,a cat,train\nb.mp4,a dog,test\n")
    own = AnnotationFile(path=str(path), videos="elsewhere", split="test")
    assert own.name == "clips.csv, test"
    assert [str(example.segment) for example in own.read()] == [str(Path("elsewhere/b.mp4"))]


@pytest.mark.parametrize(
    ("name", "text", "format", "message"),
    [
        ("m.csv", "file,text\na,b\n", "auto", "path missing: rename 'file' to 'path'"),
        ("m.csv", "Video,Caption\na,b\n", "manifest", "rename 'Video' to 'path', rename 'Caption' to 'text'"),
        ("m.csv", "path,text,start\na,b,1\n", "auto", "unknown columns start; .* rename 'start' to 'start_s'"),
        ("m.jsonl", '{"video": "a", "text": "b"}\n', "auto", "line 1: .* rename 'video' to 'path'"),
        ("m.csv", "video_id,caption\na,b\n", "auto", "sentence missing: rename 'caption' to 'sentence'"),
        ("m.json", '{"videos": [{"video": "a"}], "sentences": []}', "auto", "rename 'video' to 'video_id'"),
        ("m.json", '{"videos": [], "annotations": []}', "auto", "rename 'annotations' to 'sentences'"),
        ("m.csv", "VideoId,Start,End,Language,Description\n", "msvd", "rename 'VideoId' to 'VideoID'"),
        ("m.csv", "video,label,time_start,time_end\n", "kinetics", "rename 'video' to 'youtube_id'"),
    ],
)  # fmt: skip
def test_a_column_that_looks_like_the_missing_one_is_named(
    name: str, text: str, format: str, message: str, write: Write
) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_annotations(write(name, text), format=format)


def test_a_table_of_very_many_columns_is_refused_at_once(write: Write) -> None:
    with pytest.raises(AnnotationError, match=r"path, text missing$"):
        read_annotations(
            write("m.csv", ",".join(f"pathtex{i}" for i in range(300_000)) + "\n"), format="manifest"
        )
