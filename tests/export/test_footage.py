"""Own clips in an export: shared out by video, said in report and manifest, and their pictures stay at home."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vljepa_apps.demo.stream import write_video
from vljepa_data.annotations import AnnotationFile
from vljepa_data.world import PROMPTS, QUESTION_TYPES, Split, make_clip, wordings
from vljepa_evaluation.gates import Reference
from vljepa_export import effort, export_bundle
from vljepa_export.footage import choose, own_footage, world_footage
from vljepa_export.graphs import graph_definition
from vljepa_export.samples import SampleChain
from vljepa_model.checkpoint import open_checkpoint
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Preprocess

PRE = Preprocess(frames=4, size=48, patch=16)
BRIGHT = 250
"""Own pictures are white: nothing of the procedural world is."""


@pytest.fixture
def own(tmp_path: Path) -> AnnotationFile:
    """Five videos of one second, two halves each."""
    rows = ["path,start_s,end_s,text,query"]
    for number in range(5):
        write_video([np.full((48, 48, 3), BRIGHT, np.uint8)] * 8, tmp_path / f"v{number}.mp4", fps=8)
        rows += [
            f"v{number}.mp4,{half / 2},{half / 2 + 0.5},text {number} {half},What is it?" for half in (0, 1)
        ]
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    return AnnotationFile(path=str(tmp_path / "clips.csv"))


def test_no_video_is_compared_on_and_calibrated_on(own: AnnotationFile) -> None:
    chosen = choose(own, parity=8, calibration=32)
    parity, calibration = (
        {example.segment.path for example in part} for part in (chosen.parity, chosen.calibration)
    )
    assert (len(chosen.parity), len(chosen.calibration)) == (2, 8)  # a quarter of ten, then whole videos
    assert not parity & calibration
    assert chosen == choose(own, parity=8, calibration=32)
    assert [len(part) for part in (chosen.parity, choose(own, parity=8, calibration=3).calibration)] == [2, 3]
    assert len(choose(own, parity=8, calibration=0).parity) == 8


def test_one_video_does_for_both(own: AnnotationFile) -> None:
    path = Path(own.path)
    path.write_text("\n".join(path.read_text().splitlines()[:2]))
    chosen = choose(own, parity=8, calibration=32)
    assert chosen.parity == chosen.calibration
    footage = own_footage(PRE, chosen.parity)
    assert (
        len(footage.windows) == len(footage.texts) == len(footage.queries) == 2
    )  # a full and a partial window
    assert footage.queries[1] == "What is it?"
    assert all(prompt in footage.queries[0] for prompt in PROMPTS.values())


def test_the_world_is_as_it_was() -> None:
    footage = world_footage(PRE, clips=7, seed=5)
    for index, window in enumerate(footage.windows):
        assert np.array_equal(window, make_clip(5 + index, Split.TEST, size=48, frames=4).frames)
    assert len(footage.texts) == 7
    assert footage.queries[1:6] == (
        PROMPTS["classify"], PROMPTS["retrieval"], "What colour is the ball?", "How many objects are there?",
        PROMPTS["caption"],
    )  # fmt: skip


def test_ranges_are_fixed_on_all_that_is_asked() -> None:
    """An int8 predictor that was calibrated on five queries had a cosine of 0.57 for a sixth."""
    footage = world_footage(PRE, clips=32, seed=10_000, varied=True)
    asked = {question for kind in QUESTION_TYPES for question in wordings(kind)}
    assert asked | set(PROMPTS.values()) <= set(footage.queries)
    assert len(footage.queries) == 4 * len(footage.windows)
    assert any(" standing by" in text for text in footage.texts)


def test_several_queries_of_a_window_are_one_batch(small_checkpoint: Path) -> None:
    opened = open_checkpoint(small_checkpoint)
    chain = SampleChain(opened, world_footage(opened.preprocess, clips=2, varied=True))
    chain.feeds(graph_definition("x_encoder", opened.x_encoder(), opened.config))
    feeds = chain.feeds(graph_definition("predictor", opened.predictor(), opened.config))
    assert [len(each["query_ids"]) for each in feeds] == [4, 4]
    assert all(np.array_equal(each["visual"][0], each["visual"][3]) for each in feeds)


def largest_pixel(path: Path) -> int:
    """Of all windows in a bundle's reference."""
    samples = Reference.of(Bundle.open(path)).samples["x_encoder"]
    return max(int(np.percentile(sample.feeds["patches"], 10)) for sample in samples)


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True], ids=["whole", "graph-by-graph"])
def test_report_and_manifest_say_so_and_no_picture_is_kept(
    large: bool, own: AnnotationFile, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(effort, "LARGE", 0)
    report = export_bundle(
        small_checkpoint, tmp_path / "own.vljepa", precision="fp32", calibrate=own, scenes=None
    )
    manifest = Bundle.open(report.path).manifest
    count = 2 if large else 8
    assert report.parity_data == manifest.parity_data == f"{count} own clips (clips.csv)"
    assert report.calibration is manifest.calibration is None  # nothing of fp32 is
    assert all(graph.parity and graph.parity.worst_cosine > 0.9999 for graph in report.graphs)
    assert largest_pixel(report.path) < BRIGHT - 20


@pytest.mark.slow
def test_a_calibrated_precision_takes_its_ranges_from_them(
    own: AnnotationFile, small_checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nncf")
    options = {"format": "openvino", "precision": {"x_encoder": "int8"}, "scenes": None}
    mine, usual = (
        export_bundle(small_checkpoint, tmp_path / f"{name}.vljepa", calibrate=clips, **options)
        for name, clips in (("mine", own), ("usual", None))
    )
    assert mine.calibration is not None
    assert (mine.calibration.data, mine.calibration.samples) == ("own clips (clips.csv)", 8)
    assert mine.parity_data == "2 own clips (clips.csv)"
    assert (usual.parity_data, usual.calibration.data) == ("", "procedural world, test split")
    assert "parity_data" not in Bundle.open(usual.path).manifest.to_dict()
    graphs = [Bundle.open(report.path).read("x_encoder.xml") for report in (mine, usual)]
    assert graphs[0] != graphs[1]


def test_a_missing_video_is_an_error(own: AnnotationFile, small_checkpoint: Path, tmp_path: Path) -> None:
    for path in tmp_path.glob("*.mp4"):
        path.unlink()
    with pytest.raises(SourceError, match=r"v\d\.mp4"):
        export_bundle(small_checkpoint, tmp_path / "own.vljepa", calibrate=own)
    assert not (tmp_path / "own.vljepa").exists()
