"""States that somebody taught by examples: which of them a window shows, or "unsure". Read from JSON, run in NumPy.

A linear classifier over one vector of a window: its predicted embedding, or its visual tokens pooled. How it is learned
is `vljepa_teach`'s to know.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import array
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import AtMost, check_record, plain, read_document, replace_file
from vljepa_runtime.files.values import Name, Positive, Share, Text, shown, within
from vljepa_runtime.norms import unit_rows
from vljepa_runtime.printable import json_text

__all__ = ["UNSURE", "Feature", "HeldOut", "States", "TaughtState", "pool_tokens", "probabilities_of"]

Floats = npt.NDArray[np.float32]
Feature = Literal["embedding", "tokens"]
UNSURE = "unsure"
VERSION = 1
MAX_BYTES = 8 << 20  # sixty-four states of the paper's model take 2.5 MB
MAX_STATES = 64
AGAIN = "write them with vljepa teach"
MAX_WEIGHT = 1e6  # float32 holds what comes of it; features have length 1
MAX_WIDTH = 8192  # of a feature; the largest X-encoder that is public has 1,664


Weight = Annotated[float, within(-MAX_WEIGHT, MAX_WEIGHT, "a number")]
Vector = Annotated[tuple[Weight, ...], AtMost(MAX_WIDTH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtState:
    """One state.

    Attributes:
        name: As it is told.
        examples: How many windows it was learned from.
        weights: (D,) of its score, by which a feature of length 1 is multiplied.
        bias: Added to that.
        mean: (D,) mean direction of its examples, of length 1.
    """

    name: Name
    examples: Positive
    weights: Vector
    bias: Weight
    mean: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What was said of examples by classifiers that had not seen them.

    Attributes:
        accuracy: Share of the examples whose state was the likeliest, "unsure" left aside.
        unsure: Share of the examples that were called unsure.
        confusion: Row by row for each state of the examples, how many were called each state, and "unsure" last.
    """

    accuracy: Share
    unsure: Share
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class States:
    """A few states, and how to tell which one a window shows.

    The likeliest state holds, unless the window is like none of the examples (its cosine to the nearest of the means is
    below `least_likeness`) or no state is likely enough (`least_probability`): then it is "unsure".

    Attributes:
        identity: What made the features, see `vljepa_runtime.bundle.identity_of`.
        feature: What of a window is looked at: the predicted embedding that answers `query`, or the mean of its visual
            tokens.
        query: What was asked of every example.
        temperature: Scores are divided by it before they become probabilities.
        least_likeness: Cosine, -1..1.
        least_probability: 0..1.
        states: At least two.
        held_out: How good it is.
        v: Version of this layout.

    Raises:
        InputError: names repeat, one is "unsure", or lengths do not go together.

    Examples:
        >>> from vljepa_runtime import HeldOut, States, TaughtState
        >>> states = States(
        ...     identity={"embedding_dim": "2"}, feature="embedding", query="What happens?", temperature=0.1,
        ...     least_likeness=0.5, least_probability=0.6,
        ...     states=(
        ...         TaughtState(name="open", examples=3, weights=(1.0, 0.0), bias=0.0, mean=(1.0, 0.0)),
        ...         TaughtState(name="shut", examples=3, weights=(0.0, 1.0), bias=0.0, mean=(0.0, 1.0)),
        ...     ),
        ...     held_out=HeldOut(accuracy=1.0, unsure=0.0, confusion=((3, 0, 0), (0, 3, 0))),
        ... )
        >>> states.name_of([0.9, 0.1]), states.name_of([1, 1]), states.name_of([-1, 0])
        ('open', 'unsure', 'unsure')
        >>> states.probabilities([0.9, 0.1]).round(2).tolist(), states.probability("shut", [-1, 0])
        ([1.0, 0.0], 0.0)
        >>> states.save("states.json")
        >>> States.read("states.json") == states
        True
    """

    identity: Mapping[Name, Text]
    feature: Feature
    query: Text
    temperature: Annotated[float, within(1 / MAX_WEIGHT, MAX_WEIGHT, "a number")]
    least_likeness: Annotated[float, within(-1, 1, "a number")]
    least_probability: Share
    states: Annotated[tuple[TaughtState, ...], AtMost(MAX_STATES)]
    held_out: HeldOut
    v: Annotated[int, AtMost(VERSION)] = VERSION

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        names, width = self.names, len(self.states[0].weights) if self.states else 0
        if len(names) < 2 or len(set(names)) < len(names) or UNSURE in names:
            raise InputError(
                f"expected at least two states, each name once and none of them {UNSURE}, got "
                f"{shown(', '.join(names))}"
            )
        if not width or any(len(row) != width for each in self.states for row in (each.weights, each.mean)):
            raise InputError("expected weights and means of all states of one length")
        table = self.held_out.confusion
        if len(table) != len(names) or any(len(row) != len(names) + 1 for row in table):
            raise InputError(f"expected a confusion of {len(names)} rows of {len(names) + 1}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the states."""
        return tuple(each.name for each in self.states)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> States:
        """Read what `save` wrote.

        Raises:
            InputError: it is not there, is no such file, or says what cannot be.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise InputError(f"cannot read the states {path}: {error.strerror}") from error
        return cls.from_json(data, where=str(path))

    @classmethod
    def from_json(cls, data: bytes | str, *, where: str = "states") -> States:
        """Read what `to_json` wrote; `where` names it in messages.

        Raises:
            InputError: it is not JSON, of another version, or has unknown, missing or impossible values.
        """
        return read_document(
            cls, data, where, what="taught states", version=VERSION, most=MAX_BYTES, advice=AGAIN
        )

    def to_json(self) -> str:
        """One JSON document."""
        return json_text(_rounded(plain(self)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, or replace it, in one step."""
        replace_file(Path(path), self.to_json().encode() + b"\n")

    def require(self, identity: Mapping[str, str]) -> None:
        """See that they were taught with a model, by its `identity_of`.

        Raises:
            InputError: it was another one.
        """
        names = {*self.identity, *identity}
        if other := sorted(name for name in names if self.identity.get(name) != identity.get(name)):
            raise InputError(
                f"these states were taught with another model (its {' and '.join(other)} differ): "
                "teach them again with this bundle, or name the bundle that taught them"
            )

    def probabilities(self, features: npt.ArrayLike) -> Floats:
        """How likely each state is, 0..1; 0 for all of them where a window is like none of the examples.

        Args:
            features: (..., D) predicted embeddings or pooled tokens, as `feature` says, of any length.

        Returns:
            (..., L) float32.

        Raises:
            InputError: they have another width.
        """
        rows = np.asarray(array(features, "features"), np.float32)
        weights, bias, means = self._arrays
        if rows.shape[-1:] != weights.shape[1:]:
            raise InputError(f"expected a feature of {weights.shape[1]} values, got an array {rows.shape}")
        rows = unit_rows(rows)
        found = probabilities_of(rows @ weights.T + bias, self.temperature)
        is_like = (rows @ means.T).max(-1, keepdims=True) >= np.float32(self.least_likeness)
        return np.asarray(found * is_like, np.float32)

    def probability(self, name: str, features: npt.ArrayLike) -> Any:
        """How likely one state is: a number for one feature, (N,) for rows of them.

        Raises:
            InputError: there is no such state.
        """
        if name not in self.names:
            raise InputError(f"expected a state among {', '.join(self.names)}, got {shown(name)}")
        found = self.probabilities(features)[..., self.names.index(name)]
        return float(found) if found.ndim == 0 else found

    def held_probability(self, name: str, features: npt.ArrayLike) -> Any:
        """`probability` where the state holds, and 0 where another one or "unsure" does."""
        found, told = self.probability(name, features), self.with_unsure(features).argmax(-1)
        return found * (told == self.names.index(name))

    def with_unsure(self, features: npt.ArrayLike) -> Floats:
        """`probabilities` and a last column (..., L + 1) for "unsure": 1 where it holds, else 0."""
        known = self.probabilities(features)
        is_unsure = known.max(-1, keepdims=True) < np.float32(self.least_probability)
        return np.concatenate([known, is_unsure | ~known.any(-1, keepdims=True)], -1, dtype=np.float32)

    def name_of(self, feature: npt.ArrayLike) -> str:
        """The state that one window (D,) shows, or "unsure"."""
        return (*self.names, UNSURE)[int(self.with_unsure(feature).argmax())]

    @cached_property
    def _arrays(self) -> tuple[Floats, Floats, Floats]:
        """Weights (L, D), biases (L,) and means (L, D)."""
        rows = [
            np.array([getattr(each, name) for each in self.states], np.float32)
            for name in ("weights", "bias", "mean")
        ]
        return rows[0], rows[1], rows[2]


def probabilities_of(scores: npt.NDArray[Any], temperature: float) -> npt.NDArray[Any]:
    """Softmax of scores (..., L) divided by a temperature."""
    powers = np.exp((scores - scores.max(-1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def pool_tokens(visual: npt.ArrayLike) -> Floats:
    """Visual tokens (N, Dv) of a window as one feature (Dv,): their mean, at length 1.

    Examples:
        >>> import vljepa_runtime as vj
        >>> vj.pool_tokens(vj.load("tiny").encode("clip.mp4")).shape
        (192,)
    """
    return unit_rows(np.asarray(visual, np.float32).mean(axis=0))


def _rounded(value: Any) -> Any:
    """Numbers as float32 knows them, which is half the text."""
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
