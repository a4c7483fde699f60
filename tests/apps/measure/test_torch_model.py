"""The torch model under the evaluation of every bundle: what it knows, it learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import vljepa_runtime as vj  # noqa: E402
from vljepa_apps.measure.cells import sample_frames  # noqa: E402
from vljepa_apps.measure.torch_model import TorchModel  # noqa: E402
from vljepa_evaluation.tasks import evaluate  # noqa: E402
from vljepa_model import VLJEPA  # noqa: E402
from vljepa_model.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from vljepa_model.shipped import checkpoint_folder  # noqa: E402

CLIPS = 50


def recall_at_1(folder: Path) -> float:
    (result,) = evaluate(TorchModel(folder), clips=CLIPS, tasks=["retrieval"])
    return result.metrics["recall_at_1"].value


def test_events_are_told_apart_as_by_the_bundle() -> None:
    """Else a comparison on streams sets the network of one line against the distances of another."""
    mine, shipped = TorchModel(checkpoint_folder()).boundaries, vj.load("tiny").boundaries
    assert mine is not None
    assert shipped is not None
    assert mine.to_bytes() == shipped.to_bytes()


@pytest.mark.parametrize("words", [True, False])
def test_what_is_timed_has_the_decoder_that_the_checkpoint_has(tmp_path: Path, words: bool) -> None:
    shipped = load_checkpoint(checkpoint_folder())
    config = shipped.config if words else replace(shipped.config, y_decoder=None)
    save_checkpoint(
        VLJEPA(config).eval(),
        tmp_path,
        tokenizer_file=shipped.tokenizer_file,
        preprocess=shipped.preprocess,
        prompts=shipped.prompts,
    )
    model = TorchModel(tmp_path)
    cells = model.cells(sample_frames())
    assert set(cells) == {"x_encoder", "predictor", "y_encoder", "window"} | (
        {"y_decoder_prefill", "y_decoder_step", "decode"} if words else set()
    )
    for call in cells.values():
        call()
    assert model.has_decoder == words


@pytest.mark.slow
def test_retrieval_by_an_untrained_copy_is_at_chance(tmp_path: Path) -> None:
    """The same networks and texts with fresh weights find nothing; the shipped weights do."""
    shipped = load_checkpoint(checkpoint_folder())
    torch.manual_seed(0)
    save_checkpoint(
        VLJEPA(shipped.config).eval(),
        tmp_path,
        tokenizer_file=shipped.tokenizer_file,
        preprocess=shipped.preprocess,
        prompts=shipped.prompts,
    )
    assert recall_at_1(tmp_path) <= 4 / CLIPS
    assert recall_at_1(checkpoint_folder()) >= 0.9
