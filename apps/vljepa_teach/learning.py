"""From windows to states: what is looked at, how strong the penalty is and when to be unsure, all by leaving out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_runtime import HeldOut, States, TaughtState
from vljepa_runtime.arguments import choice, number
from vljepa_runtime.states import Feature, probabilities_of
from vljepa_teach.ridge import STRENGTHS, Ridge, balanced, folds_of, held_out_scores
from vljepa_teach.warnings import warnings_of
from vljepa_teach.windows import Windows

__all__ = ["Guess", "Taught", "learn"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEATURES = ("auto", "embedding", "tokens")
TEMPERATURES = np.logspace(-2, 1, 61)
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What one example was taken for by a classifier that had not seen it.

    Attributes:
        state: What it shows.
        guess: The likeliest state, by the mean of its windows.
        unsure: Whether "unsure" would be said instead, of half of its windows or more.
    """

    state: str
    guess: str
    unsure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """States, and what was found out about them.

    Attributes:
        states: What was learned.
        examples: Per state, how many examples were shown; a window of each is what a picture is.
        tried: Accuracy of what was looked at, "unsure" left aside: `embedding`, and `tokens` where there were any.
        because: Why it was chosen.
        choices: For some values of `unsure`: that, the share of windows that would be unsure, and of the others the
            share that is right.
        warnings: What makes it worse than it looks, or could.
        guesses: Of each example that could be read, in the order in which they were given.

    Examples:
        >>> from vljepa_runtime import load
        >>> from vljepa_teach import Example, Taught, teach
        >>> rows = [("early", 0, 2), ("early", 0.5, 2.5), ("late", 3.5, 5.5), ("late", 4, 6)]
        >>> taught: Taught = teach(load("tiny"), [Example(name, "clip.mp4", *part) for name, *part in rows])
        >>> taught.states.names, taught.examples
        (('early', 'late'), {'early': 2, 'late': 2})
        >>> taught.warnings[0]
        'early has 2 examples: ...'
        >>> taught.guesses[2]
        Guess(state='late', guess='late', unsure=...)
    """

    states: States
    examples: Mapping[str, int]
    tried: Mapping[str, float]
    because: str
    choices: tuple[tuple[float, float, float], ...]
    warnings: tuple[str, ...]
    guesses: tuple[Guess, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What was said of windows (N) by classifiers that had not seen their groups.

    Attributes:
        probabilities: (N, L) of the states.
        likeness: (N,) cosine to the nearest mean.
        right: (N,) whether the likeliest state is the true one.
        groups: (N,) what was left out together.
        strength: Of the penalty.
        temperature: Of the probabilities.
    """

    probabilities: Floats
    likeness: Floats
    right: npt.NDArray[np.bool_]
    groups: Ints
    strength: float
    temperature: float

    def thresholds(self, share: float) -> tuple[float, float]:
        """Likeness and probability below which it is unsure; each may cost half the share of known examples.

        Windows of one example are alike, and another example is not like them: it counts as one, by its lowest window.
        """
        probability = _least(_lowest(self.probabilities.max(1), self.groups), share / 2)
        return _least(_lowest(self.likeness, self.groups), share / 2), max(0.0, probability)

    def unsure(self, share: float) -> npt.NDArray[np.bool_]:
        """(N,) which of them are called unsure then."""
        likeness, probability = self.thresholds(share)
        return np.asarray((self.likeness < likeness) | (self.probabilities.max(1) < probability))


def learn(
    windows: Windows, *, identity: Mapping[str, str], query: str, feature: str = "auto", unsure: float = 0.05
) -> Taught:
    """Learn to tell states from windows of their examples.

    A ridge classifier, every state and every example counting the same. Strength of the penalty, temperature and both
    thresholds come from leaving out each example in turn; so does the feature: pooled tokens where they are better than
    the predicted embedding by more than a standard error of that difference, since logs keep embeddings alone.

    Args:
        windows: See `Windows`.
        identity: Of the model that made the features.
        query: What was asked of each window.
        feature: `embedding`, `tokens` or `auto`.
        unsure: About this share of windows that show one of the states may be called unsure, 0..0.5.
    """
    choice(feature, "feature", FEATURES)
    number(unsure, "unsure", least=0, most=0.5)
    weights = balanced(windows.labels, windows.groups)
    judged: dict[Feature, Judged] = {
        kind: _judge(rows, windows, weights)
        for kind, rows in windows.features.items()
        if feature in ("auto", kind)
    }
    chosen, because = _choose(judged, windows.groups)
    found = judged[chosen]
    rows = windows.features[chosen]
    slopes, biases = Ridge(rows, _targets(windows), weights).fit(found.strength)
    likeness, probability = found.thresholds(unsure)
    means = _means(rows, windows.labels, weights)
    states = States(
        identity=dict(identity),
        feature=chosen,
        query=query,
        temperature=found.temperature,
        least_likeness=likeness,
        least_probability=probability,
        states=tuple(
            TaughtState(
                name=name,
                examples=int((windows.labels == label).sum()),
                weights=_plain(slopes[:, label]),
                bias=float(biases[label]),
                mean=_plain(means[label]),
            )
            for label, name in enumerate(windows.names)
        ),
        held_out=HeldOut(
            accuracy=float(found.right.mean()),
            unsure=float(found.unsure(unsure).mean()),
            confusion=_confusion(windows, found, unsure),
        ),
    )
    return Taught(
        states=states,
        examples={
            name: len(np.unique(windows.examples[windows.labels == label]))
            for label, name in enumerate(windows.names)
        },
        tried={kind: float(each.right.mean()) for kind, each in judged.items()},
        because=because,
        choices=tuple(_choice(found, share) for share in SHARES),
        warnings=tuple(warnings_of(windows, chosen, states.held_out)),
        guesses=tuple(_guesses(windows, found, found.unsure(unsure))),
    )


def _guesses(windows: Windows, found: Judged, unsure: npt.NDArray[np.bool_]) -> Iterator[Guess]:
    for example in np.unique(windows.examples):
        own = windows.examples == example
        yield Guess(
            state=windows.names[int(windows.labels[own][0])],
            guess=windows.names[int(found.probabilities[own].mean(0).argmax())],
            unsure=bool(2 * unsure[own].sum() >= own.sum()),
        )


def _judge(rows: Floats, windows: Windows, weights: Floats) -> Judged:
    """The strength with the least squared error of what is left out, and what it says of that."""
    targets = _targets(windows)
    scores = held_out_scores(rows, windows.labels, windows.groups)
    errors = [float(weights @ ((targets - each) ** 2).sum(1)) for each in scores]
    best = int(np.argmin(errors))
    temperature = _temperature(scores[best], windows.labels, weights)
    return Judged(
        probabilities=probabilities_of(scores[best], temperature),
        likeness=_likeness(rows, windows, weights),
        right=scores[best].argmax(1) == windows.labels,
        groups=windows.groups,
        strength=STRENGTHS[best],
        temperature=temperature,
    )


def _temperature(scores: Floats, labels: Ints, weights: Floats) -> float:
    """By which scores become the probabilities under which the true states are likeliest."""
    picked = (np.arange(len(labels)), labels)
    losses = [
        -weights @ np.log(np.maximum(probabilities_of(scores, each)[picked], 1e-9)) for each in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def _likeness(rows: Floats, windows: Windows, weights: Floats) -> Floats:
    """(N,) cosine to the nearest mean of states, made without a row's own fold."""
    found, folds = np.empty(len(rows)), folds_of(windows.labels, windows.groups)
    for fold in np.unique(folds):
        own = folds == fold
        means = _means(rows[~own], windows.labels[~own], weights[~own])
        found[own] = (rows[own] @ means.T).max(1)
    return found


def _means(rows: Floats, labels: Ints, weights: Floats) -> Floats:
    """(L, D) mean directions, at length 1."""
    means = np.stack([weights[labels == each] @ rows[labels == each] for each in np.unique(labels)])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.where(norms > 0, norms, 1))


def _targets(windows: Windows) -> Floats:
    return np.eye(len(windows.names))[windows.labels]


def _lowest(values: Floats, groups: Ints) -> Floats:
    """(G,) of each group."""
    return np.array([values[groups == group].min() for group in np.unique(groups)])


def _least(values: Floats, share: float) -> float:
    """What a further value like these N is below with a chance of `share`.

    Of N + 1 exchangeable values each is as likely the k-th smallest, so the next one lies below the k-th smallest of N
    with a chance of k / (N + 1): split conformal prediction, one-sided. Where even the smallest would cost more than
    the share, the tail below the median is taken to be exponential, which has no such guarantee.
    """
    if share <= 0:
        return -1.0
    ordered, place = np.sort(values), int(share * (len(values) + 1))
    if place:
        return float(np.clip(ordered[place - 1], -1, 1))
    median = float(np.median(ordered))
    excess = float(np.mean(median - ordered[: len(ordered) // 2]))
    return float(np.clip(min(ordered[0], median - excess * np.log(0.5 / share)), -1, 1))


def _choose(judged: Mapping[Feature, Judged], groups: Ints) -> tuple[Feature, str]:
    if len(judged) == 1:
        (only,) = judged
        return only, "it was the only one asked for or kept"
    tokens, embedding = judged["tokens"].right, judged["embedding"].right
    gains = np.array(
        [tokens[groups == each].mean() - embedding[groups == each].mean() for each in np.unique(groups)]
    )
    gain, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
    if gain > error:
        return "tokens", f"right {gain:.0%} more often, with a standard error of {error:.0%}"
    return "embedding", (
        f"pooled tokens gain {gain:.0%} with a standard error of {error:.0%}, and logs keep embeddings alone"
    )


def _choice(found: Judged, share: float) -> tuple[float, float, float]:
    unsure = found.unsure(share)
    named = found.right[~unsure]
    return share, float(unsure.mean()), float(named.mean()) if len(named) else 0.0


def _confusion(windows: Windows, found: Judged, unsure: float) -> tuple[tuple[int, ...], ...]:
    count = len(windows.names)
    said = np.where(found.unsure(unsure), count, found.probabilities.argmax(1))
    table = np.zeros((count, count + 1), np.int64)
    np.add.at(table, (windows.labels, said), 1)
    return tuple(tuple(int(value) for value in row) for row in table)


def _plain(values: Floats) -> tuple[float, ...]:
    """As `States` keeps them: no longer than float32 knows them."""
    return tuple(float(f"{value:.8g}") for value in values)
