"""Runs a package's functions operation by operation; each result is rounded to the type that the program declares.

Inside an operation numbers are float32, sums too: a float16 program loses precision where its types say so and nowhere
else. Hardware that also accumulates in float16 (older Neural Engines may) can be further from the float model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.errors import InterpreterError
from vljepa_export.mil.element_types import TensorType
from vljepa_export.mil.operations import OPERATIONS
from vljepa_export.mil.package import Function, Operation, read_package

__all__ = ["MilProgram"]

Array = npt.NDArray[Any]


class MilProgram:
    """A package that was read and whose operations are all known.

    Args:
        functions: By name.
        default: Which one runs when none is named.

    Raises:
        InterpreterError: an operation is not known.
    """

    def __init__(self, functions: Mapping[str, Function], default: str) -> None:
        unknown = {
            item.kind
            for each in functions.values()
            for item in each.operations
            if item.kind not in OPERATIONS
        } - {"const"}
        if unknown:
            raise InterpreterError(
                f"this interpreter does not know the operation {', '.join(sorted(unknown))}: "
                "add it to vljepa_export/mil/operations, with a test against another implementation"
            )
        self.functions, self.default = dict(functions), default
        self._constants: dict[str, dict[str, Array]] = {}

    @classmethod
    def open(cls, folder: str | Path) -> MilProgram:
        """Read a `.mlpackage` folder.

        Raises:
            InterpreterError: the package is damaged, or holds an operation that is not known.
            MissingExtraError: coremltools, whose file formats are used, is not installed.
        """
        return cls(*read_package(folder))

    def run(self, feeds: Mapping[str, Array], *, function: str | None = None) -> dict[str, Array]:
        """Compute a function's outputs.

        Args:
            feeds: Array per input, of the declared shape and type.
            function: Which one; None takes the default.

        Raises:
            InterpreterError: a feed does not fit, or a result has another shape than the program declares.
        """
        name = self.default if function is None else function
        if name not in self.functions:
            raise InterpreterError(f"there is no function {name!r}; functions: {', '.join(self.functions)}")
        chosen = self.functions[name]
        values = {**self._constants_of(name), **_checked(chosen, feeds)}
        steps = [item for item in chosen.operations if item.outputs[0][0] not in values]
        last = _last_uses(steps, chosen.outputs)
        for index, item in enumerate(steps):
            values.update(_compute(item, values))
            for unused in last.get(index, ()):
                values.pop(unused, None)
        if missing := [output for output in chosen.outputs if output not in values]:
            raise InterpreterError(f"function {name!r} never computes its outputs {', '.join(missing)}")
        return {output: values[output] for output in chosen.outputs}

    def _constants_of(self, name: str) -> dict[str, Array]:
        """Constants, compressed ones among them, are worked out once."""
        if name not in self._constants:
            values: dict[str, Array] = {}
            for item in self.functions[name].operations:
                if item.value is not None:
                    values[item.outputs[0][0]] = item.value
                elif item.kind.startswith("constexpr_"):
                    values.update(_compute(item, values))
            self._constants[name] = values
        return self._constants[name]


def _checked(function: Function, feeds: Mapping[str, Array]) -> dict[str, Array]:
    if set(feeds) != set(function.inputs):
        raise InterpreterError(
            f"expected inputs {', '.join(function.inputs)}, got {', '.join(feeds) or 'none'}"
        )
    for name, kind in function.inputs.items():
        got = feeds[name]
        if got.dtype != np.dtype(kind.element.numpy) or got.shape != kind.shape:
            raise InterpreterError(f"{name}: expected {kind}, got {got.dtype}{list(got.shape)}")
    return dict(feeds)


def _last_uses(steps: Sequence[Operation], outputs: Sequence[str]) -> dict[int, list[str]]:
    """Which values no later step reads, per step: large scores must not pile up."""
    seen = set(outputs)
    result: dict[int, list[str]] = {}
    for index in range(len(steps) - 1, -1, -1):
        read = [name for group in steps[index].inputs.values() for name in group if isinstance(name, str)]
        result[index] = [name for name in dict.fromkeys(read) if name not in seen]
        seen.update(read)
    return result


def _compute(item: Operation, values: Mapping[str, Array]) -> dict[str, Array]:
    where = f"{item.kind} {item.outputs[0][0]!r}"
    try:
        arguments: dict[str, Any] = {}
        for key, group in item.inputs.items():
            found = [values[each] if isinstance(each, str) else each for each in group]
            arguments[key] = found if key == "values" else found[0]
        with np.errstate(all="ignore"):  # an overflow becomes infinity, as on a device, and the gates see it
            result = OPERATIONS[item.kind](**arguments)
            results = list(result) if isinstance(result, (list, tuple)) else [result]
            return {
                name: _rounded(array, kind, where)
                for (name, kind), array in zip(item.outputs, results, strict=True)
            }
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise InterpreterError(f"{where}: {error}") from error


def _rounded(array: Array, kind: TensorType, where: str) -> Array:
    if array.shape != kind.shape:
        raise InterpreterError(f"{where}: the program declares {kind}, the result has shape {array.shape}")
    return np.asarray(array, kind.element.numpy)
