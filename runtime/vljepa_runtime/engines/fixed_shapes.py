"""A graph of free sizes on top of functions of fixed sizes: picks the one that fits, pads, and runs row by row.

Engines that cannot leave sizes open (Core ML) share this; it knows none of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vljepa_runtime.bundle import GraphSpec
from vljepa_runtime.contract import BATCH, CACHED, GROWN, LENGTH, NEXT, PAST, TensorSpec
from vljepa_runtime.engines.protocol import Array, LoadedGraph, check_loaded
from vljepa_runtime.errors import InputError

__all__ = ["CACHE_LENGTH", "FixedFunction", "FixedGraph", "FixedProgram", "Slot", "fit"]

# Text may be padded, its mask hides that; so may a cache, whose true length the program is told. A token set may not.
PADDABLE = (LENGTH, CACHED)
CACHE_LENGTH = "length"  # input that only the program has: how many positions of the cache are real


@dataclass(frozen=True, slots=True)
class Slot:
    """One input of a function: NumPy's name of its type, and its shape."""

    dtype: str
    shape: tuple[int, ...]


Slots = Mapping[str, Slot]  # by input name


@dataclass(frozen=True, slots=True)
class FixedFunction:
    """What a function takes, and the names of what it gives."""

    inputs: Slots
    outputs: tuple[str, ...]


class FixedProgram(Protocol):
    """What an engine loads: functions of fixed shapes."""

    @property
    def functions(self) -> Mapping[str, FixedFunction]:
        """By name."""

    def predict(self, function: str, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run one function on arrays that fit its slots.

        Raises:
            RunError: the engine failed.
        """


class FixedGraph(LoadedGraph):
    """A program; every row of a batch is one call.

    Args:
        name: As in the bundle.
        spec: The graph's contract.
        program: Functions whose inputs have the contract's names.
        engine: What runs it, for messages.

    Raises:
        BundleError: the program has other inputs or outputs than the contract.
    """

    def __init__(self, name: str, spec: GraphSpec, program: FixedProgram, *, engine: str = "coreml") -> None:
        super().__init__(name, spec, engine=engine)
        self._program = program
        # The smallest that fits is taken.
        self._functions = sorted(
            ((function, each.inputs) for function, each in program.functions.items()),
            key=lambda item: _elements(item[1]),
        )
        # A program has types of its own, in which it is fed: they are taken for those of the contract.
        own = {item.name: item.dtype for item in (*spec.inputs, *spec.outputs)}
        for function, each in program.functions.items():
            takes = {
                key: own.get(key, slot.dtype) for key, slot in each.inputs.items() if key != CACHE_LENGTH
            }
            gives = {key: own.get(key, "unknown") for key in each.outputs}
            check_loaded(f"{name}, function {function}", spec, inputs=takes, outputs=gives)

    def _compute(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        rows = [
            self._row({name: array[row : row + 1] for name, array in feeds.items()}) for row in _rows(feeds)
        ]
        return {spec.name: np.concatenate([row[spec.name] for row in rows]) for spec in self.outputs}

    def _row(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        for function, slots in self._functions:
            fitted = fit(self.inputs, slots, feeds)
            if fitted is not None:
                given = self._program.predict(function, fitted)
                return {spec.name: self._result(spec, given, feeds) for spec in self.outputs}
        sizes = "; ".join(_sizes(self.inputs, slots) for _, slots in self._functions)
        got = ", ".join(f"{name} {array.shape}" for name, array in feeds.items())
        raise InputError(f"{self.name}: expected one of the sizes it was built for ({sizes}), got {got}")

    def _result(self, spec: TensorSpec, given: Mapping[str, Array], feeds: Mapping[str, Array]) -> Array:
        array = np.asarray(given[spec.name], spec.dtype)
        if GROWN not in spec.shape:
            return array
        past = feeds[PAST + spec.name.removeprefix(NEXT)]  # the program gives the new position alone
        return np.concatenate([past, array], axis=spec.shape.index(GROWN))


def fit(inputs: tuple[TensorSpec, ...], slots: Slots, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
    """Feeds of one row as a function takes them: padded with zeros, in its types; None where they do not fit.

    Args:
        inputs: The inputs that the bundle lists, with free sizes.
        slots: The function's inputs.
        feeds: Arrays of batch 1 that obey the contract.
    """
    fitted: dict[str, Array] = {}
    for spec in inputs:
        slot, array = slots[spec.name], feeds[spec.name]
        missing = [want - got for want, got in zip(slot.shape, array.shape, strict=True)]
        padded = [symbol in PADDABLE and count > 0 for symbol, count in zip(spec.shape, missing)]
        if any(count and not may for count, may in zip(missing, padded)):
            return None
        if CACHE_LENGTH in slots and CACHED in spec.shape:
            fitted[CACHE_LENGTH] = np.array(
                [array.shape[spec.shape.index(CACHED)]], slots[CACHE_LENGTH].dtype
            )
        fitted[spec.name] = np.pad(array, [(0, count) for count in missing]).astype(slot.dtype, copy=False)
    return fitted


def _rows(feeds: Mapping[str, Array]) -> range:
    return range(len(next(iter(feeds.values()))))


def _elements(slots: Slots) -> int:
    return sum(math.prod(slot.shape) for slot in slots.values())


def _sizes(inputs: tuple[TensorSpec, ...], slots: Slots) -> str:
    """`N=128, L=32`: what the contract leaves free."""
    free = {
        symbol: size
        for spec in inputs
        for symbol, size in zip(spec.shape, slots[spec.name].shape)
        if isinstance(symbol, str) and symbol != BATCH
    }
    return ", ".join(
        f"{symbol} up to {size}" if symbol in PADDABLE else f"{symbol}={size}"
        for symbol, size in free.items()
    )
