"""How a reference's file holds what the float model did for a user: which array is what, and the texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy.typing as npt

from vljepa_evaluation.gates.asked import Asked
from vljepa_evaluation.gates.footage import Footage
from vljepa_evaluation.gates.usage import FloatUsage, Usage, Words
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import AtMost
from vljepa_runtime.files.values import Name, Positive

__all__ = ["UsageEntry"]

MAX_PIECES = 8
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Names of the arrays of one piece of footage, and the shape (T, H, W, 3) of its pixels."""

    pixels: Name
    times_s: Name
    shape: tuple[Annotated[Positive, AtMost(1 << 16)], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEntry:
    """The texts of a `FloatUsage`, and the names of its arrays."""

    asked: Asked
    footage: Annotated[tuple[_Piece, ...], AtMost(MAX_PIECES)]
    arrays: Mapping[Name, Name]
    changes: Words
    spoken: Words
    worded: Words

    @classmethod
    def of(cls, recorded: FloatUsage, add: Callable[[Array], str]) -> UsageEntry:
        """Store the arrays by `add`, which names them."""
        usage = recorded.usage
        return cls(
            asked=recorded.asked,
            footage=tuple(
                _Piece(pixels=add(each.packed()), times_s=add(each.times_s), shape=each.frames.shape)
                for each in recorded.footage
            ),
            arrays={name: add(array) for name, array in usage.arrays().items()},
            changes=usage.changes,
            spoken=usage.spoken,
            worded=usage.worded,
        )

    def read(self, arrays: Mapping[str, Array]) -> FloatUsage:
        """What was stored.

        Raises:
            InputError: the arrays are something else.
            KeyError: one of them is missing.
        """
        try:
            usage = Usage(
                **{name: arrays[place] for name, place in self.arrays.items()},
                changes=self.changes,
                spoken=self.spoken,
                worded=self.worded,
            )
        except TypeError as error:
            raise InputError(f"expected the arrays of a use, got {sorted(self.arrays)}") from error
        footage = [
            Footage.unpacked(arrays[each.pixels], each.shape, arrays[each.times_s]) for each in self.footage
        ]
        return FloatUsage(footage=tuple(footage), asked=self.asked, usage=usage)
