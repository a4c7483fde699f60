"""Examples from folders, tables and logs, and which of their windows speak for them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.demo.stream import write_video
from vljepa_data.errors import AnnotationError
from vljepa_data.world import Split, make_stream
from vljepa_log import LogReader, LogWriter, index_source
from vljepa_teach import (
    Example,
    Windows,
    examples_in_folder,
    examples_in_table,
    moments_in_table,
    teach,
    teach_from_log,
)
from vljepa_teach.windows import PER_STATE, Showing, showings_of


@pytest.fixture(scope="module")
def model() -> vj.Model:
    return vj.load("tiny", threads=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of one event and then of another."""
    path = tmp_path_factory.mktemp("videos") / "door.mp4"
    write_video(make_stream(3, Split.TEST, minutes=0.1, size=96, fps=8), path, fps=8)
    return path


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ((0.0, 4.0), [0.0, 1.0, 2.0]),
        ((0.5, 1.0), [0.0]),  # shorter than a window: the nearest one
        ((3.0, 3.0), [2.0]),  # a moment
        ((90.0, None), [90.0 + each for each in range(0, 909, 227)]),
    ],
    ids=["inside", "short", "moment", "long"],
)
def test_windows_of_a_part_are_spread_over_it(
    part: tuple[float, float | None], expected: list[float]
) -> None:
    showing: Showing[float] = Showing(Example("a", "s", *part), 4 if part[1] is None else 20)
    for start in range(1000):
        showing.offer(float(start), start + 2.0, float(start))
    found = showing.chosen()
    if part[1] is None:
        assert len(found) == 4
        assert np.allclose(np.array(found), [90 + 910 * (each + 0.5) / 4 for each in range(4)], atol=70)
    else:
        assert found == expected


def test_states_share_out_their_windows() -> None:
    examples = [Example("few", "a"), *(Example("many", f"{each}.jpg") for each in range(40))]
    found: list[Showing[int]] = showings_of(examples)
    for showing in found:
        for number in range(100):
            showing.offer(float(number), number + 1.0, number)
    assert [len(each.chosen()) for each in found] == [PER_STATE] + [1] * 40


def test_few_examples_are_cut_into_pieces_and_more_are_left_out_whole() -> None:
    rows = {"embedding": [np.eye(3)[0]] * 6}
    few = Windows.of([(Example(state, "a"), rows) for state in "ab"])
    assert [len(set(few.groups[few.examples == each])) for each in (0, 1)] == [6, 6]
    many = Windows.of([(Example(state, "a"), rows) for state in "aaabbb"])  # type: ignore[misc]
    assert [len(set(many.groups[many.examples == each])) for each in range(6)] == [1] * 6


def pictures(folder: Path) -> None:
    """Two states of a lamp, four pictures each, not quite alike."""
    draw = np.random.default_rng(0)
    for state, level in (("on", 200), ("off", 30)):
        (folder / state).mkdir(parents=True)
        for number in range(4):
            noise = draw.integers(0, 40, (96, 96, 3))
            cv2.imwrite(str(folder / state / f"{number}.png"), (noise + level).astype(np.uint8))


def test_a_folder_of_pictures_is_learned_and_named(tmp_path: Path, model: vj.Model) -> None:
    pictures(tmp_path)
    (tmp_path / "on" / "broken.jpg").write_bytes(b"none")
    (tmp_path / "on" / ".DS_Store").write_bytes(b"none")
    told: list[tuple[int, int]] = []
    taught = teach(
        model, examples_in_folder(tmp_path), on_example=lambda done, total, name: told.append((done, total))
    )
    assert taught.examples == {"off": 4, "on": 4}
    assert taught.states.held_out.accuracy == 1.0
    assert taught.warnings[0].startswith("left out: ")
    assert told == [(done, 9) for done in range(10)]
    for state in ("on", "off"):
        with model.session(states=taught.states) as session:
            events = list(session.run(tmp_path / state / "1.png"))
        assert [event.text for event in events if event.kind == "answer"] == [state]


@pytest.mark.parametrize("feature", ["embedding", "tokens"])
def test_parts_of_a_clip_are_told_in_it(video: Path, model: vj.Model, feature: str, tmp_path: Path) -> None:
    (tmp_path / "parts.csv").write_text(f"path,text,start_s,end_s\n{video},early,0,3\n{video},late,3.4,6\n")
    taught = teach(model, examples_in_table(tmp_path / "parts.csv"), feature=feature, unsure=0.0)
    assert taught.states.feature == feature
    with model.session(states=taught.states, stride_s=0.5) as session:
        told = [event for event in session.run(video) if event.kind == "answer"]
    assert [event.text for event in told] == ["early", "late"]
    assert all(0 < (event.score or 0) <= 1 for event in told)


def test_moments_of_a_log_teach_what_the_stream_shows(video: Path, model: vj.Model, tmp_path: Path) -> None:
    manifest = model.bundle.manifest
    with LogWriter(tmp_path / "LOG", manifest) as log:
        index_source(model, video, log, stride_s=0.5)
    (tmp_path / "moments.csv").write_text(
        f"stream,text,start_s,end_s\n{video},early,0,3\n{video},late,3.4,6\n{video},late,5.5,\n"
    )
    moments = moments_in_table(tmp_path / "moments.csv")
    with LogReader(tmp_path / "LOG", manifest) as log:
        taught = teach_from_log(log, manifest, moments)
        began = min(each.first for each in log.streams()) - model.preprocess.seconds
        ends = [None if each.end_s is None else began + each.end_s for each in moments]
        clocked = [
            Example(each.state, each.source, began + each.start_s, end_s)
            for each, end_s in zip(moments, ends)
        ]
        assert teach_from_log(log, manifest, clocked, wall=True).states == taught.states
        assert taught.states.query == model.prompts["caption"]
        assert taught.states.held_out.accuracy > 0.8
        with pytest.raises(vj.InputError, match="no windows of gone; its streams: "):
            teach_from_log(log, manifest, [Example("a", "gone")])
        with pytest.raises(vj.InputError, match=r"no window of .* from 900 s"):
            teach_from_log(log, manifest, [*moments, Example("late", str(video), 900, 901)])
        with pytest.raises(vj.InputError, match="expected a query that was logged"):
            teach_from_log(log, manifest, moments, query="Is it?")
    with model.session(states=taught.states, stride_s=0.5) as session:
        told = [event.text for event in session.run(video) if event.kind == "answer"]
    assert told[0] == "early"
    assert told[-1] == "late"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: examples_in_folder(place / "none"), "is none"),
        (lambda place: examples_in_folder(place), "at least two states"),
        (lambda place: Example("", "a"), "state"),
        (lambda place: Example("a\nb", "a"), "state"),
        (lambda place: Example("a", "a", 3, 2), "end_s"),
        (lambda place: Example("a", "a", -1), "start_s"),
    ],
)
def test_wrong_examples_are_refused(tmp_path: Path, make: object, message: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.jpg").write_bytes(b"")
    with pytest.raises(vj.InputError, match=message):
        make(tmp_path)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("stream,text\na,b\n", "start_s missing"),
        ("stream,text,start_s,end_s\na,b,x,\n", "line 2: expected a number"),
        ("stream,text,start_s,end_s\na,b,4,3\n", "line 2: end_s"),
    ],
)
def test_wrong_rows_are_told_with_their_line(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "moments.csv").write_text(rows)
    with pytest.raises(AnnotationError, match=message):
        moments_in_table(tmp_path / "moments.csv")
