"""Published sets laid out as they are unpacked: who sees scores everything, else what can be worked out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from vljepa_data.annotations import open_data
from vljepa_data.world import PROMPTS
from vljepa_evaluation.tasks import TaskResult, evaluate_data
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Preprocess

LEVELS = ("night", "dusk", "day")
KINDS = ("random", "popular", "adversarial")


def measured(results: Any) -> dict[str, TaskResult]:
    """By the name of the task."""
    return {result.task: result for result in results}


@pytest.fixture
def msr_vtt(tmp_path: Path, clip: Callable[..., Path]) -> Path:
    """Three clips of the test split of retrieval papers."""
    rows = ["key,vid_key,video_id,sentence"]
    for number, level in enumerate(LEVELS):
        clip(tmp_path / "MSRVTT" / "videos" / "all" / f"video{number}.mp4", level)
        rows.append(f"ret{number},msr{number},video{number},{level}")
    (tmp_path / "MSRVTT" / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(rows))
    return tmp_path / "MSRVTT"


def test_msr_vtt_is_searched_both_ways_and_captioned(msr_vtt: Path, pre: Preprocess, seeing: Any) -> None:
    model, shares = seeing(), list[float]()
    data = open_data(f"msr-vtt={msr_vtt}")
    found = measured(evaluate_data(model, pre, data, progress=lambda share, what: shares.append(share)))
    assert list(found) == ["msr-vtt/retrieval", "msr-vtt/retrieval/video-to-text", "msr-vtt/captioning"]
    assert [found[name].main.value for name in found] == [  # type: ignore[union-attr]
        1.0,
        1.0,
        pytest.approx(2.5),  # the most that one word can score: three of four orders of n-grams are empty
    ]
    assert found["msr-vtt/retrieval"].metrics["median_rank"].value == 1
    assert found["msr-vtt/retrieval"].chance == pytest.approx(1 / 3)
    assert model.encoded == 3  # each clip once for all tasks
    assert set(model.queries) == {PROMPTS["retrieval"], PROMPTS["caption"]}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_prompt_of_ones_own_is_asked(msr_vtt: Path, pre: Preprocess, seeing: Any) -> None:
    model = seeing()
    data = open_data(f"msr-vtt={msr_vtt}", prompts={"retrieval": "What is it?"}, limit=2)
    assert len(data.segments()) == 2
    list(evaluate_data(model, pre, data))
    assert set(model.queries) == {"What is it?", PROMPTS["caption"]}


def test_one_part_of_a_set(msr_vtt: Path, pre: Preprocess, seeing: Any) -> None:
    found = measured(evaluate_data(seeing(), pre, open_data(f"msr-vtt/captioning={msr_vtt}")))
    assert list(found) == ["msr-vtt/captioning"]


def test_a_video_that_is_not_there_is_counted(msr_vtt: Path, pre: Preprocess, seeing: Any) -> None:
    (msr_vtt / "videos" / "all" / "video1.mp4").unlink()
    found = measured(evaluate_data(seeing(), pre, open_data(f"msr-vtt={msr_vtt}")))
    assert found["msr-vtt/retrieval"].note.endswith("; 1 of 3 left out: not in the folder")


def test_a_video_that_is_broken_is_counted_until_none_is_left(
    msr_vtt: Path, pre: Preprocess, seeing: Any
) -> None:
    videos = [msr_vtt / "videos" / "all" / f"video{number}.mp4" for number in range(3)]
    videos[1].write_bytes(b"no video")
    found = measured(evaluate_data(seeing(), pre, open_data(f"msr-vtt={msr_vtt}")))
    assert found["msr-vtt/retrieval"].note.startswith(
        "one pool of 2 clips and 2 texts, text to video; 1 files or clips could"
    )
    for video in videos:
        video.write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"none of 3 clips of msr-vtt can be read: .*video0\.mp4"):
        list(evaluate_data(seeing(), pre, open_data(f"msr-vtt={msr_vtt}")))


def test_several_texts_of_a_clip_count_as_scikit_learn_counts(
    tmp_path: Path, clip: Any, pre: Preprocess, seeing: Any
) -> None:
    sentences = []
    for number, level in enumerate(LEVELS):
        clip(tmp_path / f"video{number}.mp4", level)
        sentences += [{"video_id": f"video{number}", "caption": text} for text in (level, f"{level} again")]
    videos = [{"video_id": f"video{number}", "split": "test"} for number in range(3)]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    model = seeing()
    found = measured(evaluate_data(model, pre, open_data(f"msr-vtt={tmp_path}")))
    texts = [sentence["caption"] for sentence in sentences]
    scores = np.stack([model.embed_text([level])[0] for level in LEVELS]) @ model.embed_text(texts).T
    own = np.repeat(np.eye(3, dtype=bool), 2, axis=1)
    expected = np.mean([average_precision_score(right, row) for right, row in zip(own, scores)])
    backwards = found["msr-vtt/retrieval/video-to-text"]
    assert backwards.metrics["map"].value == pytest.approx(expected)
    assert backwards.main is not None
    assert backwards.main.value == 1.0
    forwards = found["msr-vtt/retrieval"]
    places = [int((column > column[number // 2]).sum()) for number, column in enumerate(scores.T)]
    assert forwards.samples.tolist() == [float(place == 0) for place in places]
    assert forwards.metrics["median_rank"].value == np.median(places) + 1
    assert forwards.metrics["map"].value == pytest.approx(np.mean([1 / (place + 1) for place in places]))


def pope(folder: Path, picture: Callable[[Path, str], Path]) -> None:
    """Two lists about three pictures; the first says whether it is night, rightly."""
    for number, level in enumerate(LEVELS):
        picture(folder / "val2014" / f"COCO_val2014_{number:012d}.jpg", level)
    for kind, said in (("random", ("yes", "no", "no")), ("adversarial", ("no", "yes", "no"))):
        lines = [
            json.dumps(
                {
                    "question_id": n,
                    "image": f"COCO_val2014_{n:012d}.jpg",
                    "text": f"Is it {kind}?",
                    "label": label,
                }
            )
            for n, label in enumerate(said)
        ]
        (folder / f"coco_pope_{kind}.json").write_text("\n".join(lines))


def test_pope_tells_its_lists_apart(tmp_path: Path, picture: Any, pre: Preprocess, seeing: Any) -> None:
    pope(tmp_path, picture)
    model = seeing(lambda query, level: "yes" if level == "night" else "no")
    found = measured(evaluate_data(model, pre, open_data(f"pope={tmp_path}")))
    assert set(found) == {"pope/vqa", "pope/vqa/random", "pope/vqa/adversarial"}
    assert [found[f"pope/vqa/{kind}"].main.value for kind in ("random", "adversarial")] == [  # type: ignore[union-attr]
        1.0,
        pytest.approx(1 / 3),
    ]
    overall = found["pope/vqa"]
    truth, said = [1, 0, 0, 1, 0, 0], [1, 0, 1, 0, 0, 0]  # random and adversarial, picture by picture
    assert overall.metrics["f1"].value == pytest.approx(f1_score(truth, said))
    assert overall.metrics["yes_ratio"].value == pytest.approx(1 / 3)
    assert overall.chance == 0.5
    assert model.encoded == 3


def test_the_published_lists_of_pope_about_a_few_pictures(
    shared_data: Path, tmp_path: Path, picture: Any, pre: Preprocess, seeing: Any
) -> None:
    published = shared_data / "annotations" / "pope"
    if not published.is_dir():
        pytest.skip("no published annotations beside the checkout")
    for path in published.glob("*.json"):
        (tmp_path / path.name).symlink_to(path)
    rows = [json.loads(line) for line in (published / "coco_pope_random.json").read_text().splitlines()]
    names = list(dict.fromkeys(row["image"] for row in rows))[:12]
    for number, name in enumerate(names):
        picture(tmp_path / "val2014" / name, LEVELS[number % 3])
    model = seeing(lambda query, level: "yes")
    found = measured(evaluate_data(model, pre, open_data(f"pope={tmp_path}", limit=10)))
    assert model.encoded == 10
    assert found["pope/vqa"].samples.size == sum(found[f"pope/vqa/{kind}"].samples.size for kind in KINDS)
    assert (
        found["pope/vqa/random"].metrics["accuracy"].value == 0.5
    )  # three of six objects of a picture are there
    assert found["pope/vqa"].metrics["f1"].value == pytest.approx(2 / 3)
    assert "left out: not in the folder" in found["pope/vqa"].note


def test_labels_and_templates_of_ones_own(tmp_path: Path, clip: Any, pre: Preprocess, seeing: Any) -> None:
    rows = ["path,text"] + [f"{clip(tmp_path / f'{level}.mp4', level).name},{level}" for level in LEVELS]
    manifest = tmp_path / "clips.csv"
    manifest.write_text("\n".join(rows))
    (tmp_path / "labels.txt").write_text("night\nday\nrain\n")
    data = open_data(f"mine={manifest}", labels=tmp_path / "labels.txt")
    found = measured(evaluate_data(seeing(), pre, data))
    labels = found["mine/labels"]
    assert labels.samples.tolist() == [1, 0, 1]  # dusk cannot be chosen
    assert labels.chosen[0] == "night"
    assert labels.chance == pytest.approx(2 / 9)
    (tmp_path / "templates.txt").write_text("{} at sea\n{} on land\n")
    data = open_data(str(manifest), templates=tmp_path / "templates.txt")
    assert measured(evaluate_data(seeing(), pre, data))["own/labels"].main.value < 1  # type: ignore[union-attr]
    model = seeing(lambda query, level: f"{level} at sea")
    assert measured(evaluate_data(model, pre, data))["own/labels"].main.value == 1  # type: ignore[union-attr]
    rows = np.stack([model.embed_text([f"{level} at sea"])[0] * 3 for level in LEVELS])
    np.savez(tmp_path / "made.npz", labels=np.array(LEVELS), embeddings=rows)
    data = open_data(str(manifest), labels=tmp_path / "made.npz")
    assert measured(evaluate_data(model, pre, data))["own/labels"].main.value == 1  # type: ignore[union-attr]


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    cases = {
        f"pope={tmp_path}/no": r"expected a folder with a data set at .*no, found nothing there",
        f"pope={tmp_path}": r"expected \*_pope_random\.json or .* in this folder or below it, found none",
        "pope": r"expected the folder of pope too: pope=DIR",
        f"imagenet={tmp_path}": r"expected a data set among kinetics, .*, or an annotation file, got 'imagenet'",
        "pope=": r"expected NAME=DIR or FILE",
        f"msr-vtt/search={tmp_path}": r"expected a part among msr-vtt/retrieval, .*, got msr-vtt/search",
        str(tmp_path): r"expected the name of the data set too, NAME=.* with one of kinetics",
    }
    for spec, message in cases.items():
        with pytest.raises(ValueError, match=message):
            open_data(spec)
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("video_id,sentence\nvideo7,a cat\n")
    with pytest.raises(
        ValueError,
        match=r"expected the videos or pictures of MSR-VTT .* such as video7\.mp4, found none of 1",
    ):
        open_data(f"msr-vtt={tmp_path}")
    with pytest.raises(ValueError, match="expected a limit of at least 1 clip, got 0"):
        open_data("pope=.", limit=0)
