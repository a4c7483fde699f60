"""Token VLMs as lines: what they say is what transformers' `generate` says, and labels are rated by likelihood."""

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
from vljepa_evaluation.tasks import MARGIN, CannotError, evaluate
from vljepa_runtime.decoder import MAX_TOKENS

SEEDS = {"idefics3": 0, "llava": 12}  # of models that do not always say the same
QUERIES = ("what is shown in the video ?", "how many ?")


@pytest.fixture(scope="module", params=["idefics3", "llava"])
def folder(
    request: pytest.FixtureRequest, baselines: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Any, Any]:
    """A family, where one of it lies, and what transformers says it is."""
    path = tmp_path_factory.mktemp(request.param)
    return request.param, path, *baselines.write(request.param, path, seed=SEEDS[request.param])


def frames(seed: int = 0) -> npt.NDArray[np.uint8]:
    """Eight pictures."""
    return np.random.default_rng(seed).integers(0, 256, (8, 40, 40, 3), np.uint8)


def inputs(family: str, processor: Any, query: str, seed: int) -> Any:
    """What transformers' own processor makes of a clip and a query."""
    shown = list(frames(seed))
    if family == "idefics3":
        prompt = "<image>" * 8 + f" {query}"
        return processor(text=[prompt], images=[shown], return_tensors="pt", do_image_splitting=False)
    content = [*[{"type": "image"}] * 8, {"type": "text", "text": query}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return processor(text=[prompt], images=shown, return_tensors="pt")


def check(line: Subject, folder: tuple[str, Path, Any, Any]) -> None:
    """The same words and the same likelihoods as transformers."""
    family, _, model, processor = folder
    mine = line.load()
    said = []
    for seed, query in enumerate(QUERIES):
        given = inputs(family, processor, query, seed)
        with torch.no_grad():
            whole = model.generate(**given, max_new_tokens=MAX_TOKENS, do_sample=False)
        told = processor.tokenizer.decode(whole[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
        predicted = mine.predict(mine.encode(frames(seed)), query)
        assert mine.decode(predicted) == told.strip()
        said.append(told.strip())
        candidates = ("a red ball", "two", "the box falls down")
        expected = [likelihood(model, processor, given, f" {text}") for text in candidates]
        np.testing.assert_allclose(mine.score_texts(predicted, candidates), expected, rtol=1e-4)
    assert all(said)
    assert len(set(said)) == len(said)  # a model that always says the same would be no oracle


def likelihood(model: Any, processor: Any, given: Any, text: str) -> float:
    """Mean log-likelihood per token of a text and its end, all of it read at once without a cache."""
    ids = [
        *processor.tokenizer(text, add_special_tokens=False)["input_ids"],
        model.generation_config.eos_token_id,
    ]
    asked = given["input_ids"].shape[1]
    whole = dict(given)
    whole["input_ids"] = torch.cat((given["input_ids"], torch.tensor([ids])), dim=1)
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    with torch.no_grad():
        logits = model(**whole, use_cache=False).logits[0, asked - 1 : -1]
    return float(torch.log_softmax(logits, -1)[torch.arange(len(ids)), torch.tensor(ids)].mean())


def test_the_eager_line_says_what_transformers_says(folder: tuple[str, Path, Any, Any]) -> None:
    line = Subject(spec=f"hf-torch:{folder[1]}")
    check(line, folder)
    assert line.facts(line.load())["parameters"] == folder[2].num_parameters()


def test_the_line_of_optimum_says_what_transformers_says(
    folder: tuple[str, Path, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    line = Subject(spec=f"hf:{folder[1]}", threads=1)
    check(line, folder)
    assert {*line.cells()} == {"x_encoder", "y_decoder_step", "window", "decode"}
    for call in line.cells().values():
        call()
        call()  # the cache of a step is not used up


def test_tasks_take_its_words_and_its_likelihoods(folder: tuple[str, Path, Any, Any]) -> None:
    model = Subject(spec=f"hf-torch:{folder[1]}").load()
    tasks = ["captions", "vqa/colour", "classification", "retrieval"]
    results = {result.task: result for result in evaluate(model, tasks=tasks, clips=2)}
    assert results["captions"].measured
    assert results["vqa/colour"].measured
    assert [*results["classification"].metrics] == ["top1_of_128"]
    assert MARGIN not in results["vqa/colour"].metrics  # a likelihood is no cosine
    assert results["retrieval"].note == "cannot: a token VLM rates texts for one clip and embeds none"
    with pytest.raises(CannotError):
        model.embed_text(["a ball"])
