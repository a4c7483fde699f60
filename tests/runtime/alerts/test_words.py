"""Thresholds that words alone give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_data.world import Split, caption, make_clip, near_miss
from vljepa_runtime.alerts import (
    Alert,
    AlertScorer,
    AlertWatch,
    watch_scores,
    weak_below,
    with_threshold,
)
from vljepa_runtime.errors import InputError


@pytest.fixture(scope="module")
def model() -> vj.Model:
    return vj.load("tiny", threads=1)


def angles(texts: Sequence[str]) -> np.ndarray:
    """Words as turns of a tenth of a radian each."""
    turns = np.array([0.1 * len(text.split()) for text in texts])
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def test_it_lies_below_what_a_word_is_worth() -> None:
    assert with_threshold(Alert(text="a red cat"), angles).threshold == pytest.approx(
        np.cos(0.1) - 0.06, abs=1e-6
    )


def test_a_search_has_one_too_but_for_a_single_word() -> None:
    assert weak_below("a red cat", angles) == pytest.approx(np.cos(0.1) - 0.05, abs=1e-6)
    assert weak_below(" cat ", angles) is None


def test_what_was_given_stays() -> None:
    for alert in (Alert(text="a cat", threshold=-0.3), Alert(text="cat", threshold=0.2, against=("dog",))):
        assert with_threshold(alert, angles) is alert
    assert with_threshold(Alert(text="cat", against=("dog",)), angles).threshold == 0


@pytest.mark.parametrize("text", ["cat", "  cat ", "\u72ac"])
def test_a_single_word_gives_none(text: str) -> None:
    with pytest.raises(InputError, match="a single word gives none"):
        AlertWatch([Alert(text=text)], angles, queries=["q"])
    with pytest.raises(InputError, match="with a threshold"):
        next(watch_scores(Alert(text=text), np.zeros(1), np.array([[0.0, 2.0]])), None)


@pytest.mark.parametrize("text", ["a a", "ein Hund bellt \u72ac", "word " * 1500], ids=lambda text: text[:9])
def test_any_words_give_one(model: vj.Model, text: str) -> None:
    threshold = with_threshold(Alert(text=text), model.embed_text).threshold
    assert threshold is not None
    assert -1 <= threshold <= 0.941


def test_clips_reach_that_of_their_caption_and_not_that_of_a_near_miss(model: vj.Model) -> None:
    """With a label that competes, too, though it is not the one that is shown."""
    reached: dict[str, list[bool]] = {"right": [], "wrong": [], "right, beside": [], "wrong, beside": []}
    for seed in range(24):
        clip = make_clip(seed, Split.TEST)
        row = model.embed(clip.frames)[None]
        wrong = caption([near_miss(clip.events[0], np.random.default_rng(seed)), *clip.events[1:]], "caption")
        for name, text in (("right", caption(clip.events, "caption")), ("wrong", wrong)):
            for beside, against in (("", ()), (", beside", ("a hand shows the digit two",))):
                alert = with_threshold(Alert(text=text, against=against), model.embed_text)
                reached[name + beside].append(
                    bool(AlertScorer(alert, model.embed_text)(row)[0] >= alert.threshold)
                )
    share = {name: np.mean(found) for name, found in reached.items()}
    assert min(share["right"], share["right, beside"]) > 0.7
    assert max(share["wrong"], share["wrong, beside"]) < 0.4
