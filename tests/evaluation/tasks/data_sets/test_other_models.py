"""Models that rate texts, or word none, on data sets: what they can do is measured, the rest is marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_data.annotations import open_data
from vljepa_evaluation.tasks import CannotError, evaluate_data
from vljepa_runtime.preprocessing import Preprocess

Float32 = npt.NDArray[np.float32]
LEVELS = ("night", "dusk", "day")


@pytest.fixture
def own(tmp_path: Path, clip: Callable[..., Path]) -> str:
    """One clip of each level, with its label."""
    rows = [f"{clip(tmp_path / f'{level}.mp4', level)},{level}" for level in LEVELS]
    (tmp_path / "clips.csv").write_text("\n".join(["path,text", *rows]))
    return str(tmp_path / "clips.csv")


@pytest.fixture
def captioned(tmp_path: Path, clip: Callable[..., Path]) -> str:
    """The same as MSR-VTT has them."""
    rows = ["key,vid_key,video_id,sentence"]
    for number, level in enumerate(LEVELS):
        clip(tmp_path / "MSRVTT" / "videos" / "all" / f"video{number}.mp4", level)
        rows.append(f"ret{number},msr{number},video{number},{level}")
    (tmp_path / "MSRVTT" / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(rows))
    return f"msr-vtt={tmp_path / 'MSRVTT'}"


def rating(seeing: Any) -> Any:
    """A model that sees, and whose prediction is a number: of what it saw it rates texts, the right one best."""

    class Rating(seeing):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kept: list[Float32] = []

        def predict(self, visual: Float32, query: str, /) -> Float32:
            self.kept.append(super().predict(visual, query))
            return np.array([len(self.kept) - 1], np.float32)

        def embed_text(self, texts: Sequence[str], /) -> Float32:
            raise CannotError("it embeds none")

        def decode(self, predicted: Float32, /) -> str:
            text: str = super().decode(self.kept[int(predicted[0])])
            return text

        def score_texts(self, predicted: Float32, texts: Sequence[str], /) -> Float32:
            rows: Float32 = super().embed_text(texts)
            return rows @ self.kept[int(predicted[0])] - 9

    return Rating()


def test_likelihoods_choose_and_are_no_margins(own: str, pre: Preprocess, seeing: Any) -> None:
    labels, retrieval = evaluate_data(rating(seeing), pre, open_data(own))
    assert labels.main is not None
    assert (labels.main.value, labels.main.n) == (1.0, 3)
    assert [*labels.metrics] == ["accuracy"]
    assert labels.chosen == LEVELS
    assert labels.embeddings.size == 0
    assert retrieval.note.startswith("cannot: it embeds none")


def test_words_of_a_model_that_rates_are_scored(captioned: str, pre: Preprocess, seeing: Any) -> None:
    found = {each.task: each for each in evaluate_data(rating(seeing), pre, open_data(captioned))}
    main = found["msr-vtt/captioning"].main
    assert main is not None
    assert main.value == pytest.approx(2.5)
    assert found["msr-vtt/retrieval"].note.startswith("cannot: it embeds none")


def test_a_model_without_words_is_searched_alone(captioned: str, pre: Preprocess, seeing: Any) -> None:
    class Wordless(seeing):  # type: ignore[misc]
        has_decoder = False

    found = {each.task: each for each in evaluate_data(Wordless(), pre, open_data(captioned))}
    main = found["msr-vtt/retrieval"].main
    assert main is not None
    assert main.value == 1.0
    assert found["msr-vtt/captioning"].note.startswith("cannot: it ranks texts and words none")
