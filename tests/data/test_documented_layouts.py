"""Sets whose files are not here: small files as their layout is documented, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vljepa_data.annotations import DATA_SETS, Contrast, Example, Segment, Transition
from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.errors import AnnotationError

Item = Example | Contrast | Transition


def items_of(name: str, part: str, folder: Path) -> list[Item]:
    """All items, whether their videos are there or not."""
    (form,) = [form for form in DATA_SETS[name].parts if form.name == part]
    return list(form.read(DataFolder(folder)))


def told(name: str, part: str, folder: Path) -> list[tuple[str, float, float | None, str]]:
    """File, start, end and text of examples."""
    found = []
    for item in items_of(name, part, folder):
        assert isinstance(item, Example)
        segment = item.segment
        found.append((segment.path.name, segment.start_s, segment.end_s, item.text))
    return found


def write(folder: Path, name: str, value: object) -> None:
    """A file of text, or of JSON."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


SSV2 = [{"id": "78687", "label": "a potato", "template": "Holding [something] next to [something]"}]
EPIC = (
    "narration_id,video_id,start_timestamp,stop_timestamp,narration,verb,verb_class,noun,noun_class\n"
    "P01_11_0,P01_11,00:00:00.00,00:01:01.89,take plate,take,0,plate,2\n"
    "P01_11_1,P01_11,01:00:02.5,01:00:04,grab dish,grab,0,dish,2\n"
)
KEYSTEPS = {
    "annotations": {
        "uid1": {
            "take_uid": "uid1", "take_name": "cmu_bike01", "scenario": "Bike",
            "segments": [
                {"start_time": 0.8, "end_time": 33.2, "step_name": "Unbox package", "step_unique_id": 843},
                {"start_time": 33.2, "end_time": 56.6, "step_name": "Read the instructions", "step_unique_id": 824},
            ],
        }
    },
    "taxonomy": {}, "vocabulary": {},
}  # fmt: skip
DESCRIPTIONS = {
    "annotations": {
        "uid1": [
            {"rejected": True, "descriptions": [{"text": "refused", "timestamp": 1.0}]},
            {"rejected": False, "descriptions": [
                {"text": "C touches the screw.", "timestamp": 18.5, "subject": "C"},
                {"text": "C moves his right hand.", "timestamp": 3.9, "subject": "C"},
            ]},
            {"rejected": False, "descriptions": [{"text": "another annotator", "timestamp": 2.0}]},
        ]
    }
}  # fmt: skip
COIN = {
    "database": {
        "LtRSn": {
            "duration": 131.0, "class": "ReplaceCDDriveWithSSD", "subset": "testing", "start": 56.6, "end": 85.7,
            "annotation": [
                {"id": "212", "segment": [60.0, 69.0], "label": "take out the laptop CD drive"},
                {"id": "216", "segment": [71.0, 82.0], "label": "insert the hard disk tray"},
            ],
        },
        "other": {
            "class": "MakeTea", "subset": "training",
            "annotation": [{"id": "1", "segment": [1.0, 2.0], "label": "boil water"}],
        },
    }
}  # fmt: skip
TASKS = "16815\nGrill Steak\nhttps://w\n2\nseason steak,close lid\n\n23521\nMake Tea\nhttps://v\n1\npour water\n\n"
DIDEMO = [
    {
        "annotation_id": 1,
        "description": "the cat jumps",
        "video": "54@N00_24_a.avi",
        "times": [[1, 2], [0, 0], [1, 2]],
        "num_segments": 6,
    },
    {
        "annotation_id": 2,
        "description": "it sleeps",
        "video": "54@N00_24_a.avi",
        "times": [[3, 3], [2, 2]],
        "num_segments": 6,
    },
]


def test_something_something(tmp_path: Path) -> None:
    write(tmp_path, "labels/validation.json", SSV2)
    write(
        tmp_path, "labels/labels.json", {"Holding something next to something": "0", "Opening something": "1"}
    )
    (tmp_path / "78687.webm").touch()
    (item,) = items_of("ssv2", "classification", tmp_path)
    assert item == Example(
        segment=Segment(tmp_path / "78687.webm"), text="Holding something next to something", split="val",
        candidates=("Holding something next to something", "Opening something"),
    )  # fmt: skip


def test_epic_kitchens_names_classes_by_their_keys(tmp_path: Path) -> None:
    write(tmp_path, "EPIC_100_validation.csv", EPIC)
    assert [each[3] for each in told("epic-kitchens-100", "classification", tmp_path)] == [
        "take plate",
        "grab dish",
    ]
    write(tmp_path, "EPIC_100_verb_classes.csv", "id,key,instances,category\n0,take,\"['take']\",retrieve\n")
    write(tmp_path, "EPIC_100_noun_classes.csv", "id,key,instances,category\n2,board:chopping,\"['a']\",b\n")
    assert told("epic-kitchens-100", "anticipation", tmp_path) == [
        ("P01_11.mp4", 0.0, 61.89, "take chopping board"),
        ("P01_11.mp4", 3602.5, 3604.0, "take chopping board"),
    ]


def test_ego_exo4d_takes_the_view_of_the_glasses(tmp_path: Path) -> None:
    write(tmp_path, "annotations/keystep_val.json", KEYSTEPS)
    write(tmp_path, "annotations/atomic_descriptions_val.json", DESCRIPTIONS)
    write(tmp_path, "takes.json", [{"take_uid": "uid1", "take_name": "cmu_bike01"}])
    for name in ("aria01_214-1.mp4", "cam01.mp4"):
        write(tmp_path, f"takes/cmu_bike01/frame_aligned_videos/{name}", "")
    assert told("egoexo4d", "keystep-recognition", tmp_path) == [
        ("aria01_214-1.mp4", 0.8, 33.2, "Unbox package"),
        ("aria01_214-1.mp4", 33.2, 56.6, "Read the instructions"),
    ]
    assert told("egoexo4d", "streaming", tmp_path) == [
        ("aria01_214-1.mp4", 3.9, pytest.approx(3.91), "C moves his right hand."),
        ("aria01_214-1.mp4", 18.5, pytest.approx(18.51), "C touches the screw."),
    ]


def test_coin(tmp_path: Path) -> None:
    write(tmp_path, "COIN.json", COIN)
    steps = items_of("coin", "step-recognition", tmp_path)
    assert [item.text for item in steps if isinstance(item, Example)] == [
        "take out the laptop CD drive", "insert the hard disk tray",
    ]  # fmt: skip
    assert isinstance(steps[0], Example)
    assert "boil water" in steps[0].candidates  # of training too
    assert told("coin", "task-recognition", tmp_path) == [
        ("LtRSn.mp4", 0.0, None, "Replace CD Drive With SSD")
    ]
    assert told("coin", "next-step", tmp_path) == [("LtRSn.mp4", 60.0, 69.0, "insert the hard disk tray")]


def test_cross_task(tmp_path: Path) -> None:
    write(tmp_path, "tasks_primary.txt", TASKS)
    write(tmp_path, "videos_val.csv", "16815,abc,https://w\n")
    write(tmp_path, "annotations/16815_abc.csv", "1,10.5,12\n2,20,30.25\n")
    assert told("crosstask", "step-recognition", tmp_path) == [
        ("abc.mp4", 10.5, 12.0, "season steak"), ("abc.mp4", 20.0, 30.25, "close lid"),
    ]  # fmt: skip
    assert told("crosstask", "task-recognition", tmp_path) == [("abc.mp4", 0.0, None, "Grill Steak")]


def test_didemo_takes_the_moment_that_most_marked(tmp_path: Path) -> None:
    write(tmp_path, "test_data.json", DIDEMO)
    (tmp_path / "54@N00_24_a.mp4").touch()
    assert told("didemo", "moments", tmp_path) == [
        ("54@N00_24_a.mp4", 5.0, 15.0, "the cat jumps"), ("54@N00_24_a.mp4", 10.0, 15.0, "it sleeps"),
    ]  # fmt: skip
    assert told("didemo", "retrieval", tmp_path) == [
        ("54@N00_24_a.mp4", 0.0, 30.0, "the cat jumps it sleeps")
    ]


def test_msvd_of_the_test_part(tmp_path: Path) -> None:
    write(tmp_path, "AllVideoDescriptions.txt", "# head\nab_1_4 a cat runs\nab_1_4 the cat\ncd_2_5 a dog\n")
    write(tmp_path, "test_list.txt", "cd_2_5\n")
    assert told("msvd", "retrieval", tmp_path) == [("cd_2_5.mp4", 0.0, None, "a dog")]


def test_pvd_dream_and_vdc(tmp_path: Path) -> None:
    write(tmp_path, "test/7.json", {"human_caption": "a kite", "model_caption": "no"})
    write(tmp_path, "train/8.json", {"human_caption": "another"})
    assert told("pvd-bench", "captioning", tmp_path) == [("7.mp4", 0.0, None, "a kite")]
    write(
        tmp_path, "json/metadata.json", [{"idx": "1", "video_file": "video/12.mp4", "description": "a fight"}]
    )
    assert told("dream-1k", "retrieval", tmp_path) == [("12.mp4", 0.0, None, "a fight")]
    write(
        tmp_path, "VDC_1k.jsonl", '{"video_id": "x1", "video_name": "x1.mp4", "detailed_caption": "long"}\n'
    )
    assert told("vdc", "retrieval", tmp_path) == [("x1.mp4", 0.0, None, "long")]


def test_questions_about_pictures(tmp_path: Path) -> None:
    gqa = {
        "201": {"imageId": "n16", "question": "Is it overcast?", "answer": "no"},
        "202": {"imageId": "n17", "question": "Who?", "answer": "man"},
    }
    write(tmp_path, "testdev_balanced_questions.json", gqa)
    first, _ = items_of("gqa", "vqa", tmp_path)
    assert first == Example(
        segment=Segment(tmp_path / "n16.jpg"), query="Is it overcast?", text="no", candidates=("no", "man")
    )
    tally = {
        "answer": 4,
        "image": "VG_100K_2/24.jpg",
        "issimple": False,
        "question": "How many?",
        "question_id": 3,
    }
    write(tmp_path, "test.json", [tally, {**tally, "issimple": True, "answer": 0}])
    counted = [item for item in items_of("tallyqa", "vqa", tmp_path) if isinstance(item, Example)]
    assert [(item.text, item.kind, len(item.candidates)) for item in counted] == [
        ("4", "complex", 16),
        ("0", "simple", 16),
    ]
    pair = {
        "normal_image": "a.jpg",
        "counterfactual_image": "b.jpg",
        "question": "Is there a cat?",
        "normal_label": "Yes",
        "counterfactual_label": "no",
    }
    write(tmp_path, "popev2.jsonl", json.dumps(pair))
    assert [(name, text) for name, _, _, text in told("popev2", "vqa", tmp_path)] == [
        ("a.jpg", "yes"),
        ("b.jpg", "no"),
    ]


def test_visla_and_world_prediction(tmp_path: Path) -> None:
    write(
        tmp_path,
        "SugarCrepe.tsv",
        'filename\tcaption\tsecond positive\tnegative_caption\n1.jpg\ta "big" cat\tone cat\ta dog\n',
    )
    spatial = (
        "image\tsent1\tsent2\tBest reference (Semantically close)\tReference-2 (Completely irrelevant)\n"
    )
    write(
        tmp_path,
        "VSR_spatial.tsv",
        spatial + "2.jpg\tThe cat is in it.\tIt contains the cat.\tThe cat is out.\tAn oven.\n",
    )
    found = items_of("visla", "contrasts", tmp_path)
    assert found[0] == Contrast(
        segment=Segment(tmp_path / "1.jpg"), same=('a "big" cat', "one cat"), other="a dog", kind="generic"
    )
    assert [item.kind for item in found] == ["generic", "spatial"]
    row = {
        "before": "b.jpg",
        "after": "a.jpg",
        "actions": ["1.mp4", "2.mp4", "3.mp4", "4.mp4"],
        "right": 2,
        "kind": "COIN",
    }
    write(tmp_path, "worldprediction_wm.jsonl", json.dumps(row))
    (item,) = items_of("worldprediction", "transitions", tmp_path)
    assert isinstance(item, Transition)
    assert (item.actions[item.right].path.name, item.before.path.name, item.kind) == (
        "3.mp4",
        "b.jpg",
        "COIN",
    )


@pytest.mark.parametrize(
    ("name", "part", "file", "value", "message"),
    [
        ("ssv2", "classification", "validation.json", {"a": 1}, r"expected a list of objects, got dict"),
        (
            "ssv2",
            "classification",
            "validation.json",
            [{"id": 1}],
            r"validation\.json, entry 1: expected a value for 'template'",
        ),
        (
            "epic-kitchens-100",
            "classification",
            "EPIC_100_validation.csv",
            EPIC.replace("01:00:02.5", "soon"),
            r"line 3: expected a time such as 00:01:02\.34 for 'start_timestamp', got 'soon'",
        ),
        (
            "coin",
            "step-recognition",
            "COIN.json",
            {"database": {"a": {"subset": "testing", "annotation": [{"label": "x", "segment": [3, 1]}]}}},
            r"entry 1: expected 0 <= start_s < end_s, got 3",
        ),
        (
            "coin",
            "step-recognition",
            "COIN.json",
            {"database": {"a": {"annotation": 3}}},
            r"expected a list for 'annotation', got 3",
        ),
        (
            "crosstask",
            "task-recognition",
            "tasks_primary.txt",
            "1\nTea\nhttps://w\n3\nboil,pour\n\n",
            r"line 1: expected 3 steps of 'Tea', got 2",
        ),
        (
            "didemo",
            "moments",
            "test_data.json",
            [{"video": "a", "description": "b", "times": [[1]]}],
            r"entry 1: expected two numbers for 'times', got \[1\]",
        ),
        (
            "activitynet",
            "moments",
            "val_1.json",
            {"v_a": {"timestamps": [], "sentences": ["x"]}},
            r"expected a time for each sentence, got 0 for 1",
        ),
        (
            "dream-1k",
            "retrieval",
            "DREAM-1k.jsonl",
            '{"vid": 1, "messages": []}',
            r"line 1: expected a message of the assistant with a reference",
        ),
        (
            "tallyqa",
            "vqa",
            "test.json",
            [{"answer": 99, "issimple": True, "image": "a", "question": "b"}],
            r"expected a whole number of 0 to 15",
        ),
        (
            "pope",
            "vqa",
            "coco_pope_random.json",
            '{"image": "a.jpg", "text": "b", "label": "maybe"}',
            r"line 1: expected yes or no for 'label', got 'maybe'",
        ),
        (
            "worldprediction",
            "transitions",
            "worldprediction_wm.jsonl",
            '{"before": "a", "after": "b", "actions": ["c", "d"], "right": 2}',
            r"expected two clips or more with the right one among them",
        ),
        (
            "visla",
            "contrasts",
            "SugarCrepe.tsv",
            "filename\tcaption\n",
            r"expected the columns filename, caption, second positive, negative_caption",
        ),
    ],
)
def test_a_wrong_file_is_named_with_the_entry(
    name: str, part: str, file: str, value: object, message: str, tmp_path: Path
) -> None:
    write(tmp_path, file, value)
    write(tmp_path, "videos_val.csv", "1,abc,https://w\n")
    with pytest.raises(AnnotationError, match=message):
        items_of(name, part, tmp_path)


def test_every_set_says_what_it_looks_for(tmp_path: Path) -> None:
    for name, form in DATA_SETS.items():
        with pytest.raises(AnnotationError, match=r"expected .* in this folder or below it, found none"):
            list(form.parts[0].read(DataFolder(tmp_path)))
        assert form.files, name
        assert form.source, name
