"""The shipped model on drawn clips that lie as published sets do: it knows its world, whatever the files are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.demo.stream import write_video
from vljepa_data.annotations import open_data
from vljepa_data.world import Clip, Split, ask, brief_caption, caption, make_clip
from vljepa_evaluation.metrics import tokenise
from vljepa_evaluation.tasks import TaskResult, evaluate_data

CiderScorer = pytest.importorskip("pycocoevalcap.cider.cider_scorer").CiderScorer

CLIPS = 8


@pytest.fixture(scope="module")
def model() -> vj.Model:
    """As it is shipped."""
    return vj.load("tiny", threads=1)


def clips() -> Iterator[Clip]:
    """Clips with one event, whose names differ."""
    seen: set[str] = set()
    for seed in range(1_000_000, 1_000_200):
        clip = make_clip(seed, Split.TEST, kind="single")
        name = brief_caption(clip.events[0].actor, clip.events[0].action)
        if name not in seen and len(seen) < CLIPS:
            seen.add(name)
            yield clip


def named(clip: Clip) -> str:
    """Shape, colour and action."""
    return brief_caption(clip.events[0].actor, clip.events[0].action)


def measured(model: vj.Model, spec: str) -> dict[str, TaskResult]:
    """By the name of the task."""
    found = {result.task: result for result in evaluate_data(model, model.preprocess, open_data(spec))}
    assert not [result.note for result in found.values() if result.note.startswith("failed")]
    return found


def headline(result: TaskResult) -> float:
    """Its value."""
    assert result.main is not None
    return result.main.value


def test_classes_as_kinetics_has_them(model: vj.Model, tmp_path: Path) -> None:
    rows = ["label,youtube_id,time_start,time_end,split,is_cc"]
    for number, clip in enumerate(clips()):
        folder = tmp_path / "val" / named(clip)
        folder.mkdir(parents=True)
        write_video(list(clip.frames), folder / f"id{number}_000005_000015.mp4", fps=4)
        rows.append(f"{named(clip)},id{number},5,15,validate,0")
    (tmp_path / "kinetics-400_val.csv").write_text("\n".join(rows))
    found = measured(model, f"kinetics={tmp_path}")["kinetics/classification"]
    assert headline(found) >= 0.75
    assert found.metrics["top5"].value >= headline(found)
    assert found.chance == pytest.approx(1 / CLIPS)


def test_search_and_captions_as_msr_vtt_has_them(model: vj.Model, tmp_path: Path) -> None:
    sentences, references = [], []
    for number, clip in enumerate(clips()):
        write_video(list(clip.frames), tmp_path / f"video{number}.mp4", fps=4)
        texts = (caption(clip.events, "retrieval", aside=clip.aside), named(clip))
        references.append(texts)
        sentences += [{"video_id": f"video{number}", "caption": text, "sen_id": 0} for text in texts]
    videos = [{"video_id": f"video{number}", "split": "test"} for number in range(CLIPS)]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    found = measured(model, f"msr-vtt={tmp_path}")
    assert headline(found["msr-vtt/retrieval"]) >= 0.7
    assert found["msr-vtt/retrieval"].metrics["median_rank"].value <= 1.5
    assert headline(found["msr-vtt/retrieval/video-to-text"]) >= 0.7
    oracle = CiderScorer(n=4, sigma=6.0)
    for number, texts in enumerate(references):
        clip_read = vj.read_clip(tmp_path / f"video{number}.mp4", model.preprocess)
        said = model.decode(model.embed(clip_read))
        oracle += (" ".join(tokenise(said)), [" ".join(tokenise(text)) for text in texts])
    expected, _ = oracle.compute_score()
    assert headline(found["msr-vtt/captioning"]) == pytest.approx(expected, abs=1e-4)


def test_questions_about_pictures_as_gqa_has_them(model: vj.Model, tmp_path: Path) -> None:
    rows: dict[str, dict[str, str]] = {}
    for number, clip in enumerate(clips()):
        qa = ask(clip, "colour", np.random.default_rng(number))
        cv2.imwrite(
            str(tmp_path / f"n{number}.jpg"), clip.frames[-1][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98]
        )
        rows[str(number)] = {"imageId": f"n{number}", "question": qa.question, "answer": qa.answer}
    (tmp_path / "testdev_balanced_questions.json").write_text(json.dumps(rows))
    found = measured(model, f"gqa={tmp_path}")
    assert headline(found["gqa/vqa"]) >= 0.75
    assert headline(found["gqa/open-vqa"]) >= 0.5
    assert found["gqa/vqa"].chance == pytest.approx(1 / len({row["answer"] for row in rows.values()}))


def test_a_picture_is_a_clip_that_stands_still(model: vj.Model, tmp_path: Path) -> None:
    clip = next(clips())
    cv2.imwrite(str(tmp_path / "COCO_val2014_1.png"), clip.frames[0][..., ::-1])
    row = {"image": "COCO_val2014_1.png", "text": "Is there a ball?", "label": "no"}
    (tmp_path / "coco_pope_random.json").write_text(json.dumps(row))
    found = measured(model, f"pope={tmp_path}")["pope/vqa"]
    still = vj.Clip(
        np.repeat(vj.read_clip(tmp_path / "COCO_val2014_1.png", model.preprocess).frames[:1], 8, axis=0),
        model.preprocess,
    )
    expected = model.predict(model.encode(still), "Is there a ball?")
    np.testing.assert_allclose(found.embeddings[0], expected, atol=1e-5)
