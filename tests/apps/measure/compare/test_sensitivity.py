"""A layer off by 5 % changes no answer of a few clips, and is seen all the same; a bundle is as it is itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import vljepa_runtime as vj
from vljepa_apps.measure.compare.judging import MOVED, Verdict, differences, judge
from vljepa_evaluation.tasks import MARGIN, TaskResult, evaluate

pytest.importorskip("onnx")

TASKS = ("vqa/exists", "vqa/count")
CLIPS = 24


def measured(bundle: str | Path) -> dict[str, TaskResult]:
    model = vj.load(bundle, engine="onnxruntime:cpu", threads=1)
    return {result.task: result for result in evaluate(model, tasks=TASKS, clips=CLIPS)}


def verdict(clean: dict[str, TaskResult], other: dict[str, TaskResult]) -> Verdict:
    subjects = {"clean": clean, "other": other}
    (found,) = judge(tuple(differences(subjects, "clean")), list(subjects))
    return found


@pytest.fixture(scope="module")
def clean() -> dict[str, TaskResult]:
    return measured("tiny")


@pytest.mark.parametrize(
    ("graph", "layer", "shown"),
    [
        ("predictor", r"stack\..*proj\.weight\.T\.scale", MARGIN),
        ("x_encoder", r"blocks\.2\.proj\.weight\.T\.scale", MOVED),
    ],
    ids=["predictor", "x_encoder"],
)
def test_a_layer_times_1_05_is_seen_with_24_clips(
    graph: str, layer: str, shown: str, clean: dict[str, TaskResult], tmp_path: Path
) -> None:
    from planted_copy import Copy
    from planted_edits import constant, times

    copy = Copy(Path(vj.__file__).parent / "bundles" / "tiny.vljepa")
    constant(graph, layer, times(1.05))(copy)
    found = verdict(clean, measured(copy.save(tmp_path / "layer.vljepa", sealed=False)))
    assert found.kind == "different in margins alone"
    assert found.p is not None
    assert found.p < 0.01
    assert shown in {each.metric for each in found.found} <= {MARGIN, MOVED}


def test_a_bundle_is_as_it_is(clean: dict[str, TaskResult]) -> None:
    found = verdict(clean, measured("tiny"))
    assert (found.kind, found.p) == ("not different at this size", 1.0)
