"""Published annotation files are read as they are: what their makers counted is what comes out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from vljepa_data.annotations import DATA_SETS, Contrast, Example, Transition, open_data, segments_of
from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.sets.gqa import read_questions
from vljepa_data.errors import AnnotationError

Item = Example | Contrast | Transition


def test_the_page_lists_every_set(repository: Path) -> None:
    lines = (repository / "docs" / "datasets.md").read_text(encoding="utf-8").splitlines()
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `") and line.count("|") == 7}
    assert list(rows) == list(DATA_SETS)
    for name, form in DATA_SETS.items():
        parts = ", ".join(
            part.name if part.name == part.task else f"{part.name} ({part.task})" for part in form.parts
        )
        read = "real file" if form.real else "documented layout"
        assert rows[name] == f"| `{name}` | {form.title} | {parts} | {form.files} | {read} | {form.source} |"


def items_of(name: str, part: str, folder: Path) -> list[Item]:
    """All items, whether their videos are there or not."""
    (form,) = [form for form in DATA_SETS[name].parts if form.name == part]
    return list(form.read(DataFolder(folder)))


def files(items: list[Item]) -> int:
    """How many videos or pictures they are about."""
    return len({segment.path for item in items for segment in segments_of(item)})


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Path:
    """Annotation files as their makers published them."""
    folder = shared_data / "annotations"
    if not folder.is_dir():
        pytest.skip("no published annotations beside the checkout")
    return folder


@pytest.mark.parametrize(
    ("name", "part", "folder", "items", "videos"),
    [
        ("kinetics", "classification", "kinetics400", 19_906, 19_906),
        ("msr-vtt", "retrieval", "msrvtt", 1000, 1000),
        ("activitynet", "retrieval", "activitynet_captions", 4917, 4917),
        ("activitynet", "moments", "activitynet_captions", 17_505, 4917),
        ("youcook2", "retrieval", "youcook2", 3350, 436),
        ("youcook2", "captioning", "youcook2", 3492, 457),
        ("dream-1k", "retrieval", "dream1k", 1000, 1000),
        ("pope", "vqa", "pope", 9000, 500),
    ],
)
def test_as_many_as_were_published(
    name: str, part: str, folder: str, items: int, videos: int, published: Path
) -> None:
    found = items_of(name, part, published / folder)
    assert (len(found), files(found)) == (items, videos)


def test_pope_has_three_balanced_lists(published: Path) -> None:
    found = [item for item in items_of("pope", "vqa", published / "pope") if isinstance(item, Example)]
    assert Counter((item.kind, item.text) for item in found) == {
        (kind, answer): 1500 for kind in ("random", "popular", "adversarial") for answer in ("yes", "no")
    }


def test_kinetics_has_400_classes(published: Path) -> None:
    found = [
        item
        for item in items_of("kinetics", "classification", published / "kinetics400")
        if isinstance(item, Example)
    ]
    assert {len(item.candidates) for item in found} == {400}
    assert all(item.text in item.candidates for item in found)


def test_gqa_questions(published: Path) -> None:
    found = list(read_questions(DataFolder(published / "gqa")))
    assert (len(found), len({segment for segment, _ in found})) == (12_578, 398)
    assert found[0][1] == "Is it overcast?"  # without the advice that LLaVA adds


def test_the_other_annotators_of_activitynet(published: Path, tmp_path: Path) -> None:
    (tmp_path / "val_2.json").symlink_to(published / "activitynet_captions" / "val_2.json")
    found = items_of("activitynet", "moments", tmp_path)
    assert (len(found), files(found)) == (17_031, 4885)


def test_sugar_crepe(published: Path) -> None:
    found = [
        item
        for item in items_of("sugarcrepe++", "contrasts", published / "sugarcrepe_pp")
        if isinstance(item, Contrast)
    ]
    assert Counter(item.kind for item in found) == {
        "replace_att": 788, "replace_obj": 1652, "replace_rel": 1406, "swap_att": 666, "swap_obj": 245,
    }  # fmt: skip
    pictures = {
        kind: len({item.segment for item in found if item.kind == kind})
        for kind in ("replace_att", "swap_obj")
    }
    assert pictures == {"replace_att": 524, "swap_obj": 224}


def test_vdc_questions_but_three_without_an_answer(published: Path) -> None:
    found = [item for item in items_of("vdc", "open-vqa", published / "vdc") if isinstance(item, Example)]
    assert Counter(item.kind for item in found) == {
        "detailed": 19_811 - 1,
        "short": 19_512 - 2,
        "camera": 19_112,
    }
    assert files(list(found)) == 1027


def test_annotations_without_videos_are_refused_in_one_sentence(published: Path) -> None:
    with pytest.raises(
        AnnotationError,
        match=r"expected the videos or pictures of Kinetics .* such as .*\.mp4, found none of 19906",
    ):
        open_data(f"kinetics={published / 'kinetics400'}")


def test_pictures_of_coco_have_two_names(tmp_path: Path) -> None:
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "000000000042.jpg").touch()
    (tmp_path / "COCO_val2014_000000000007.jpg").touch()
    folder = DataFolder(tmp_path)
    assert folder.picture("COCO_val2014_000000000042.jpg") == tmp_path / "val2017" / "000000000042.jpg"
    assert folder.picture("000000000007.jpg") == tmp_path / "COCO_val2014_000000000007.jpg"
    assert folder.picture("VG_100K/8.jpg") == tmp_path / "VG_100K/8.jpg"
