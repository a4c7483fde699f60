"""Dual encoders as lines: the same embeddings as transformers gives, in eager PyTorch and as Optimum exports them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")
pytest.importorskip("optimum.exporters.onnx", reason="Optimum is not installed (test_environment.py)")

import torch

from vljepa_apps.measure.subject import Subject
from vljepa_evaluation.metrics import row_cosines
from vljepa_evaluation.tasks import CannotError, evaluate
from vljepa_runtime.errors import InputError

TEXTS = ("a red ball rolls", "two blue boxes", "the cross jumps and the star falls down in the video")
FAMILIES = ("clip", "siglip", "siglip2", "xclip")
EXPORTED = ("clip", "siglip", "xclip")
ALIKE = 0.99999


@pytest.fixture(scope="module", params=FAMILIES)
def folder(
    request: pytest.FixtureRequest, baselines: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Any, Any]:
    """A family, where one of it lies, and what transformers says it is."""
    path = tmp_path_factory.mktemp(request.param)
    return request.param, path, *baselines.write(request.param, path)


def frames(seed: int = 0, count: int = 8) -> npt.NDArray[np.uint8]:
    """Pictures that differ."""
    return np.random.default_rng(seed).integers(0, 256, (count, 40, 56, 3), np.uint8)


def features(found: Any) -> npt.NDArray[np.float32]:
    """Rows as any version of transformers gives them."""
    rows: npt.NDArray[np.float32] = getattr(found, "pooler_output", found).detach().numpy()
    return rows


def wanted(family: str, model: Any, processor: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """What transformers gives of the clip, picture by picture or whole, and of the texts."""
    shown = list(frames()) if family != "xclip" else [frames()[i] for i in (0, 2, 5, 7)]
    pictures = processor.image_processor(shown, return_tensors="pt")
    padding = {"padding": "max_length", "max_length": 24} if "siglip" in family else {"padding": True}
    texts = processor.tokenizer(list(TEXTS), return_tensors="pt", truncation=True, **padding)
    if "siglip" in family:
        texts = {"input_ids": texts["input_ids"]}
    with torch.no_grad():
        if family == "xclip":  # its get_video_features fails in transformers 4.57, its forward normalises
            seen = model(
                **pictures, **{name: texts[name] for name in ("input_ids", "attention_mask")}
            ).video_embeds
        else:
            seen = model.get_image_features(**pictures)
        given = {name: texts[name] for name in ("input_ids", "attention_mask") if name in texts}
        return features(seen), features(model.get_text_features(**given))


def check(line: Subject, folder: tuple[str, Path, Any, Any]) -> None:
    """Both towers give transformers' numbers; a clip is the mean of its pictures."""
    family, _, model, processor = folder
    mine = line.load()
    pictures, texts = wanted(family, model, processor)
    visual = mine.encode(frames())
    assert visual.shape == pictures.shape
    assert row_cosines(visual, pictures).min() >= ALIKE
    assert row_cosines(mine.embed_text(TEXTS), texts).min() >= ALIKE
    mean = (pictures / np.linalg.norm(pictures, axis=1, keepdims=True)).mean(axis=0)
    found = mine.predict(visual, "what is shown?")
    assert found @ mean / np.linalg.norm(mean) >= ALIKE
    np.testing.assert_array_equal(found, mine.predict(visual, "how many?"))
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)


def test_the_eager_line_gives_what_transformers_gives(folder: tuple[str, Path, Any, Any]) -> None:
    line = Subject(spec=f"hf-torch:{folder[1]}")
    check(line, folder)
    facts = line.facts(line.load())
    assert facts["parameters"] == folder[2].num_parameters()
    assert facts["size_bytes"] > 4 * 0.9 * facts["parameters"]
    assert facts["engine"].startswith("torch ")


def test_the_line_of_optimum_gives_what_transformers_gives(
    folder: tuple[str, Path, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    line = Subject(spec=f"hf:{folder[1]}", threads=1)
    if folder[0] not in EXPORTED:
        with pytest.raises(InputError, match=r"cannot be exported: a siglip2 model .* take hf-torch:"):
            line.prepare()
        return
    check(line, folder)
    (kept,) = (tmp_path / ".cache" / "vljepa" / "baselines").iterdir()
    made = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    facts = line.facts(line.load())
    assert {file.name: file.stat().st_mtime_ns for file in kept.iterdir()} == made  # exported once
    assert facts["parameters"] == folder[2].num_parameters()
    assert "exported by Optimum" in facts["engine"]
    assert {*line.cells()} == {"x_encoder", "y_encoder", "window"}
    for call in line.cells().values():
        call()


def test_what_it_cannot_do_is_marked_and_the_rest_is_measured(folder: tuple[str, Path, Any, Any]) -> None:
    model = Subject(spec=f"hf-torch:{folder[1]}").load()
    results = {r.task: r for r in evaluate(model, tasks=["captions", "vqa/colour", "retrieval"], clips=4)}
    assert results["captions"].note == "cannot: it ranks texts and words none"
    assert not results["captions"].measured
    assert results["vqa/colour"].measured
    assert results["retrieval"].measured
    with pytest.raises(CannotError, match="words none"):
        model.decode(np.zeros(16, np.float32))


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (None, "expected a folder with config.json"),
        ('{"model_type": "bert"}', "expected a model of clip, siglip"),
    ],
    ids=["no model", "another family"],
)
@pytest.mark.parametrize("kind", ["hf", "hf-torch"])
def test_what_is_no_such_folder_is_refused(kind: str, config: str | None, match: str, tmp_path: Path) -> None:
    if config:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=match):
        Subject(spec=f"{kind}:{tmp_path}").load()


def test_a_folder_without_weights_or_processor_is_refused(baselines: ModuleType, tmp_path: Path) -> None:
    baselines.write("clip", tmp_path)
    (tmp_path / "preprocessor_config.json").unlink(missing_ok=True)
    (tmp_path / "processor_config.json").unlink(missing_ok=True)
    with pytest.raises(InputError, match="transformers cannot load"):
        Subject(spec=f"hf-torch:{tmp_path}").load()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="transformers cannot load"):
        Subject(spec=f"hf-torch:{tmp_path}").load()
