"""From windows to states: what is learned, when it is unsure, and what is warned of."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_runtime import InputError, States
from vljepa_runtime.states import UNSURE
from vljepa_teach import Taught, Windows, learn

WIDTH = 32


def drawn(seed: int, per_state: int, *, spread: float, states: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Rows around one direction per state, and which."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(states), per_state)
    centres = 1.5 + np.eye(WIDTH)[:states] * 4
    return centres[labels] + draw.normal(size=(len(labels), WIDTH)) * spread, labels


def windows(rows: np.ndarray, labels: np.ndarray, **features: np.ndarray) -> Windows:
    numbers = np.arange(len(labels))
    names = tuple(f"state {label}" for label in np.unique(labels))
    every = {"embedding": rows, **features}
    return Windows(names=names, labels=labels, groups=numbers, examples=numbers, features=every)  # type: ignore[arg-type]


def taught(rows: np.ndarray, labels: np.ndarray, **options: object) -> Taught:
    return learn(windows(rows, labels), identity={"a": "b"}, query="What?", **options)  # type: ignore[arg-type]


def test_it_is_as_good_as_logistic_regression_on_what_it_never_saw() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    ours, theirs = [], []
    for seed in range(5):
        rows, labels = drawn(seed, 8, spread=1.6)
        others, truth = drawn(100 + seed, 100, spread=1.6)
        states = taught(rows, labels).states
        ours.append((states.probabilities(others).argmax(1) == truth).mean())
        theirs.append(linear_model.LogisticRegression(max_iter=1000).fit(rows, labels).score(others, truth))
    assert 0.6 < np.mean(theirs) < 0.99
    assert np.mean(ours) >= np.mean(theirs) - 0.01


def unsure(states: States, rows: np.ndarray) -> float:
    """Share of the rows."""
    return float(np.mean(states.with_unsure(rows).argmax(1) == len(states.names)))


@pytest.mark.parametrize(("share", "count"), [(0.1, 20), (0.3, 20), (0.1, 3)])
def test_about_the_wanted_share_of_new_windows_is_unsure(share: float, count: int) -> None:
    found = []
    for seed in range(10):
        states = taught(*drawn(seed, count, spread=1.0), unsure=share).states
        others, _ = drawn(100 + seed, 100, spread=1.0)
        found.append(unsure(states, others))
    assert share / 2 < np.mean(found) < share + 0.03  # the two thresholds may cost half each, and overlap


def test_windows_of_one_example_are_no_further_examples() -> None:
    """Showing each window six times says no more about the next example."""
    rows, labels = drawn(0, 5, spread=1.0)
    numbers = np.tile(np.arange(len(rows)), 6)
    shown = Windows(
        names=("a", "b", "c"), labels=np.tile(labels, 6), groups=numbers, examples=numbers,
        features={"embedding": np.tile(rows, (6, 1))},
    )  # fmt: skip
    once, often = taught(rows, labels).states, learn(shown, identity={"a": "b"}, query="What?").states
    assert often.least_likeness == pytest.approx(once.least_likeness, abs=1e-6)
    assert often.least_probability == pytest.approx(once.least_probability, abs=1e-6)


def test_what_is_like_none_of_the_examples_is_unsure() -> None:
    states = taught(*drawn(0, 10, spread=0.5)).states
    strange = np.random.default_rng(1).normal(size=(50, WIDTH))
    assert {states.name_of(row) for row in strange} == {UNSURE}
    assert not states.probabilities(strange).any()


def test_probabilities_say_how_often_they_are_right() -> None:
    rows, labels = drawn(3, 20, spread=2.5)
    others, truth = drawn(4, 1000, spread=2.5)
    states = taught(rows, labels, unsure=0.0).states
    found = states.probabilities(others)
    assert abs(found.max(1).mean() - (found.argmax(1) == truth).mean()) < 0.1


@pytest.mark.parametrize(("better", "chosen"), [(True, "tokens"), (False, "embedding")])
def test_tokens_are_looked_at_where_they_are_clearly_better(better: bool, chosen: str) -> None:
    rows, labels = drawn(0, 10, spread=3.0)
    tokens, _ = drawn(1, 10, spread=0.5 if better else 3.0)
    found = learn(windows(rows, labels, tokens=tokens), identity={"a": "b"}, query="What?")
    assert found.states.feature == chosen
    assert set(found.tried) == {"embedding", "tokens"}
    asked = learn(
        windows(rows, labels, tokens=tokens), identity={"a": "b"}, query="What?", feature="embedding"
    )
    assert asked.states.feature == "embedding"


def test_what_leaving_out_says_is_counted() -> None:
    found = taught(*drawn(0, 10, spread=2.0)).states.held_out
    table = np.array(found.confusion)
    assert table.sum(1).tolist() == [10, 10, 10]
    assert table[:, -1].sum() / table.sum() == pytest.approx(found.unsure)
    assert np.trace(table) / table.sum() <= found.accuracy


def test_each_example_has_its_guess_and_they_agree_with_the_table() -> None:
    found = taught(*drawn(0, 10, spread=2.0))
    names = found.states.names
    table = np.zeros((3, 4), int)
    for each in found.guesses:
        table[names.index(each.state), 3 if each.unsure else names.index(each.guess)] += 1
    assert table.tolist() == [list(row) for row in found.states.held_out.confusion]  # a window each


def test_labels_that_mean_nothing_are_no_better_than_guessing() -> None:
    right = []
    for seed in range(10):
        rows, labels = drawn(seed, 10, spread=1.0)
        right.append(taught(rows, np.random.default_rng(seed).permutation(labels)).states.held_out.accuracy)
    assert 0.15 < np.mean(right) < 0.45


def test_warnings_name_what_is_wrong() -> None:
    rows, labels = drawn(0, 12, spread=1.0)
    rows[1] = rows[0]  # the same picture twice
    rows[13] = rows[2]  # and once under two names
    rows[24:] = drawn(5, 12, spread=1.0)[0][12:24]  # the third state is the second
    said = " ".join(taught(rows, labels).warnings)
    assert "2 examples of state 0 are nearly the same" in said
    assert "state 0 nearly equal examples of state 1: is one of them in the wrong place" in said
    assert "state 1 and state 2 cannot be told apart" in said
    few = " ".join(taught(*drawn(0, 2, spread=1.0)).warnings)
    assert "state 0 has 2 examples" in few
    assert taught(*drawn(0, 6, spread=0.8)).warnings == ()


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 0, 0], "at least two states"), ([0, 0, 1], "at least two examples of state 1")],
)
def test_what_cannot_be_left_out_is_refused(labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        taught(np.eye(3), np.array(labels))


@pytest.mark.parametrize("unsure", [-0.1, 0.6, float("nan")])
def test_a_share_that_is_none_is_refused(unsure: float) -> None:
    with pytest.raises(InputError, match="unsure"):
        taught(*drawn(0, 4, spread=1.0), unsure=unsure)
