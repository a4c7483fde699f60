"""Tasks over whole videos, pairs of states, texts beside texts, and what the Y-decoder says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_data.annotations import Contrast, DataSet, Example, Segment, open_data
from vljepa_data.world import PROMPTS
from vljepa_evaluation.tasks import TaskResult, evaluate_data
from vljepa_runtime.preprocessing import Preprocess

CiderScorer = pytest.importorskip("pycocoevalcap.cider.cider_scorer").CiderScorer

LEVELS = ("night", "dusk", "day")


def measured(model: Any, pre: Preprocess, data: DataSet) -> dict[str, TaskResult]:
    """By the name of the task."""
    found = {result.task: result for result in evaluate_data(model, pre, data)}
    assert not [result.note for result in found.values() if result.note.startswith("failed")]
    return found


def value(result: TaskResult, metric: str) -> float:
    """Of one metric."""
    return result.metrics[metric].value


@pytest.fixture
def film(tmp_path: Path, clip: Callable[..., Path]) -> Path:
    """Twelve seconds: four of night, four of dusk, four of day."""
    return clip(tmp_path / "film.mp4", *(level for level in LEVELS for _ in range(4)))


def test_moments_are_found_where_they_are(film: Path, pre: Preprocess, seeing: Any) -> None:
    times = ((0.0, 4.0), (4.0, 8.0), (8.0, 12.0))
    right = [Example(segment=Segment(film, *time), text=level) for time, level in zip(times, LEVELS)]
    found = measured(seeing(), pre, DataSet.of("set", right, "moments"))["set/moments"]
    assert value(found, "recall_at_1_iou_0.7") == 1.0
    assert value(found, "mean_iou") > 0.8
    assert found.chance is not None
    assert 0 < found.chance < 0.3
    wrong = [Example(segment=Segment(film, 8.0, 12.0), text="night")]
    found = measured(seeing(), pre, DataSet.of("set", wrong, "moments"))["set/moments"]
    assert value(found, "recall_at_1_iou_0.3") == 0.0


def test_streams_are_told_at_the_annotations(film: Path, pre: Preprocess, seeing: Any) -> None:
    told = {"night": "it is a dark night", "dusk": "the sun goes down now", "day": "a bright day is here"}
    model = seeing(lambda query, level: told[level])
    model.words = tuple(told.values())
    examples = [
        Example(segment=Segment(film, start + offset, start + offset + 0.01), text=told[level])
        for start, level in zip((0.0, 4.0, 8.0), LEVELS)
        for offset in (1.5, 2.5)
    ]
    found = measured(model, pre, DataSet.of("set", examples, "streaming"))["set/streaming"]
    assert value(found, "cider_d_uniform_1s") == pytest.approx(10.0)
    assert value(found, "cider_d_ward_2.85s") == pytest.approx(10.0)
    model = seeing(lambda query, level: told["night"])
    model.words = tuple(told.values())
    found = measured(model, pre, DataSet.of("set", examples, "streaming"))["set/streaming"]
    assert value(found, "cider_d_ward_2.85s") == pytest.approx(10 / 3, abs=0.5)


def test_anticipation_sees_what_comes_before(film: Path, pre: Preprocess, seeing: Any) -> None:
    examples = [
        Example(segment=Segment(film, start, start + 1), text=text)
        for start, text in ((4.0, "dusk"), (8.0, "day"), (0.5, "night"))
    ]
    follows = {"night": "dusk", "dusk": "day", "day": "night"}
    model = seeing(lambda query, level: follows[level])
    found = measured(model, pre, DataSet.of("set", examples, "anticipation"))["set/anticipation"]
    assert found.samples.tolist() == [1, 1]  # half a second of film is too little to anticipate from
    assert value(found, "class_mean_recall_at_5") == 1.0
    found = measured(seeing(), pre, DataSet.of("set", examples, "anticipation"))["set/anticipation"]
    assert found.samples.tolist() == [0, 0]  # whoever tells what is there tells what was before


def test_a_state_leads_to_another_by_one_of_four_clips(
    tmp_path: Path, clip: Any, picture: Any, pre: Preprocess, seeing: Any
) -> None:
    for level in LEVELS:
        clip(tmp_path / f"{level}.mp4", level)
        picture(tmp_path / f"{level}.png", level)
    rows = [
        {
            "before": "night.png",
            "after": "day.png",
            "actions": ["night.mp4", "dusk.mp4", "day.mp4"],
            "right": 1,
            "kind": "a",
        },
        {
            "before": "day.png",
            "after": "day.png",
            "actions": ["night.mp4", "day.mp4", "dusk.mp4"],
            "right": 0,
            "kind": "b",
        },
    ]
    (tmp_path / "worldprediction_wm.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = measured(seeing(), pre, open_data(f"worldprediction={tmp_path}"))
    assert {name: result.samples.tolist() for name, result in found.items()} == {
        "worldprediction/transitions": [1, 0],  # half of it night, half day: dusk on the whole
        "worldprediction/transitions/a": [1],
        "worldprediction/transitions/b": [0],
    }
    assert found["worldprediction/transitions"].chance == pytest.approx(1 / 3)


def test_texts_that_mean_the_same_are_nearer(
    tmp_path: Path, picture: Any, pre: Preprocess, seeing: Any
) -> None:
    segment = Segment(picture(tmp_path / "1.png", "night"))
    contrasts = [
        Contrast(segment=segment, same=("night", "night"), other="day", kind="swap"),
        Contrast(segment=segment, same=("night", "day"), other="night", kind="replace"),
        Contrast(segment=Segment(tmp_path / "gone.png"), same=("dusk", "dusk"), other="night", kind="swap"),
    ]
    found = measured(seeing(), pre, DataSet.of("set", contrasts, "contrasts"))
    assert found["set/contrasts"].samples.tolist() == [1, 0, 1]
    assert value(found["set/contrasts"], "image_to_text") == 0.5
    assert found["set/contrasts"].note == "3 contrasts, 1 of 2 pictures"
    assert value(found["set/contrasts/swap"], "text_to_text") == 1.0
    alone = measured(seeing(), pre, DataSet.of("set", contrasts[2:], "contrasts"))["set/contrasts"]
    assert "image_to_text" not in alone.metrics


def test_captions_score_as_pycocoevalcap_scores_them(
    tmp_path: Path, clip: Any, pre: Preprocess, seeing: Any
) -> None:
    references = {
        "night": ("a dark night falls over the town", "it is night in the town"),
        "dusk": ("the sun sets over the hills", "dusk falls over the hills"),
        "day": ("a bright day in the town", "the town in the sun"),
    }
    clips = {level: Segment(clip(tmp_path / f"{level}.mp4", level)) for level in LEVELS}
    examples = [Example(segment=clips[level], text=text) for level in LEVELS for text in references[level]]
    said = {"night": "a dark night over the hills", "dusk": "dusk falls over the town", "day": "a bright day"}
    model = seeing(lambda query, level: said[level])
    model.words = tuple(said.values())
    found = measured(model, pre, DataSet.of("set", examples, "captioning"))["set/captioning"]
    oracle = CiderScorer(n=4, sigma=6.0)
    for level, texts in references.items():
        oracle += (said[level], list(texts))
    _, expected = oracle.compute_score()
    np.testing.assert_allclose(found.samples, expected, atol=1e-6)
    assert set(model.queries) == {PROMPTS["caption"]}


def test_open_answers_are_compared_after_normalisation(
    tmp_path: Path, picture: Any, pre: Preprocess, seeing: Any
) -> None:
    segments = {level: Segment(picture(tmp_path / f"{level}.png", level)) for level in LEVELS}
    truth = {"night": "2 dogs", "dusk": "a cat", "day": "red"}
    examples = [Example(segment=segments[level], query="What?", text=text) for level, text in truth.items()]
    said = {"night": "Two dogs.", "dusk": "The cat", "day": "blue"}
    model = seeing(lambda query, level: said[level])
    model.words = tuple(said.values())
    found = measured(model, pre, DataSet.of("set", examples, "open-vqa"))["set/open-vqa"]
    assert found.samples.tolist() == [1, 1, 0]
    assert found.examples == (("blue", "red"),)
    assert set(model.queries) == {"What?"}
