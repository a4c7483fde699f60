"""The interpreter behind the runtime's `FixedProgram`: what a Mac would be fed, computed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from vljepa_export.mil.interpreter import MilProgram
from vljepa_runtime.engines.fixed_shapes import FixedFunction, Slot

__all__ = ["InterpretedProgram"]

Array = npt.NDArray[Any]


class InterpretedProgram:
    """A package that the reference interpreter runs."""

    def __init__(self, program: MilProgram) -> None:
        self._program = program
        self.functions: Mapping[str, FixedFunction] = {
            name: {item: Slot(kind.element.numpy, kind.shape) for item, kind in function.inputs.items()}
            for name, function in program.functions.items()
        }

    def predict(self, function: str, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """See `FixedProgram.predict`."""
        return self._program.run(feeds, function=function)
