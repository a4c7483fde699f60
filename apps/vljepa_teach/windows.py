"""Windows of examples, as features: which of them speak for an example, and which are left out together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from vljepa_runtime import InputError
from vljepa_runtime.norms import unit_rows
from vljepa_runtime.states import Feature
from vljepa_teach.examples import Example

__all__ = ["Showing", "Windows", "showings_of"]

Floats = npt.NDArray[np.float64]
Item = TypeVar("Item")
PER_STATE = 20
"""Windows that are taken of a state in all: neighbours in one clip say the same, and each costs an encoding."""
ENOUGH = 3
"""Examples from which on whole examples are left out; fewer are cut into pieces."""
PIECES = 10


class Showing(Generic[Item]):
    """The windows of one example, evenly spread over it, in memory for few however long it is.

    Args:
        example: What is shown.
        most: How many windows are wanted.
    """

    def __init__(self, example: Example, most: int) -> None:
        self.example, self._most = example, most
        self._inside: list[Item] = []
        self._step, self._seen = 1, 0
        self._beside: tuple[float, Item] | None = None

    def offer(self, start_s: float, end_s: float, item: Item) -> None:
        """Take a window that lies in the part, every so many; else remember the one nearest to its middle."""
        begin_s, until_s = self.example.start_s, self.example.end_s
        last_s = np.inf if until_s is None else until_s
        if begin_s <= start_s + 1e-6 and end_s <= last_s + 1e-6:
            if self._seen % self._step == 0:
                self._inside.append(item)
            self._seen += 1
            if len(self._inside) >= 4 * self._most:
                self._inside, self._step = self._inside[::2], self._step * 2
        elif start_s <= last_s and end_s >= begin_s:
            middle_s = begin_s if until_s is None else (begin_s + until_s) / 2
            away_s = abs((start_s + end_s) / 2 - middle_s)
            if self._beside is None or away_s < self._beside[0]:
                self._beside = away_s, item

    def chosen(self) -> list[Item]:
        """At most `most` windows in order of time; the nearest one where none lies inside; none where none touches."""
        found = self._inside or ([self._beside[1]] if self._beside else [])
        if len(found) <= self._most:
            return found
        places = (np.arange(self._most) + 0.5) * len(found) / self._most
        return [found[int(place)] for place in places]


def showings_of(examples: Iterable[Example]) -> list[Showing[Item]]:
    """Empty showings, in which a state with fewer examples has more windows of each."""
    known = list(examples)
    count = Counter(example.state for example in known)
    return [Showing(example, max(1, PER_STATE // count[example.state])) for example in known]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Features of N windows with the states they show.

    Attributes:
        names: Of the L states.
        labels: (N,) which state.
        groups: (N,) windows of one number are left out together.
        examples: (N,) number of the example.
        features: (N, D) each, at length 1.

    Raises:
        InputError: there are fewer than two states, or one has fewer than two windows that can be told apart.

    Examples:
        >>> import numpy as np
        >>> from vljepa_teach import Windows, learn
        >>> rows = np.random.default_rng(0).normal(size=(8, 4)) + np.repeat(9 * np.eye(4)[:2], 4, axis=0)
        >>> numbers = np.arange(8)
        >>> windows = Windows(
        ...     names=("open", "shut"), labels=numbers // 4, groups=numbers, examples=numbers,
        ...     features={"embedding": rows},
        ... )
        >>> learn(windows, identity={"embedding_dim": "4"}, query="What happens?").states.held_out.accuracy
        1.0
    """

    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    examples: npt.NDArray[np.int64]
    features: Mapping[Feature, Floats]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise InputError(
                f"expected examples of at least two states, got {', '.join(self.names) or 'none'}: what is to be "
                "told from it?"
            )
        for number, name in enumerate(self.names):
            if len(np.unique(self.groups[self.labels == number])) < 2:
                raise InputError(
                    f"expected at least two examples of {name}, got one window: with none left out and one kept, "
                    "nothing can be said about it"
                )
        rows = {kind: np.asarray(unit_rows(x), np.float64) for kind, x in self.features.items()}
        object.__setattr__(self, "features", rows)

    @classmethod
    def of(cls, shown: Sequence[tuple[Example, Mapping[Feature, Sequence[npt.ArrayLike]]]]) -> Windows:
        """Put windows of examples together.

        Args:
            shown: For each example the features of its windows, in order of time; those without any are left out.
        """
        shown = [each for each in shown if len(next(iter(each[1].values()), ()))]
        names = tuple(dict.fromkeys(example.state for example, _ in shown))
        count = Counter(example.state for example, _ in shown)
        labels: list[int] = []
        groups: list[int] = []
        examples: list[int] = []
        for number, (example, features) in enumerate(shown):
            size = len(next(iter(features.values())))
            pieces = 1 if count[example.state] >= ENOUGH else min(size, PIECES // count[example.state])
            for piece in np.array_split(np.arange(size), pieces):
                group = len(set(groups))
                groups += [group] * len(piece)
            labels += [names.index(example.state)] * size
            examples += [number] * size
        kinds = list(shown[0][1]) if shown else []
        return cls(
            names=names,
            labels=np.array(labels, np.int64),
            groups=np.array(groups, np.int64),
            examples=np.array(examples, np.int64),
            features={kind: np.array([row for _, each in shown for row in each[kind]]) for kind in kinds},
        )
