"""The interpreter as an engine: a Core ML bundle runs anywhere, fed exactly as on a Mac, hundreds of times slower."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.mil.interpreter import MilProgram
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import Graph, unpack_package
from vljepa_runtime.engines.fixed_shapes import FixedFunction, FixedGraph, Slot

__all__ = ["InterpretedProgram", "InterpreterEngine"]

Array = npt.NDArray[Any]


class InterpreterEngine:
    """An `Engine` for Core ML bundles; to check one, not to work with it."""

    name = "coreml:interpreter"
    detail = f"the reference interpreter, NumPy {np.__version__}"

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`.

        Raises:
            BundleError: the bundle lacks the graph, or its package is not what the manifest says.
            InterpreterError: the package holds an operation that is not known.
        """
        spec = bundle.graph(graph_name)
        with tempfile.TemporaryDirectory(prefix="vljepa-") as folder:
            program = MilProgram.open(unpack_package(bundle, graph_name, Path(folder)))
        return FixedGraph(graph_name, spec, InterpretedProgram(program), engine=self.name)


class InterpretedProgram:
    """A package that the reference interpreter runs."""

    def __init__(self, program: MilProgram) -> None:
        self._program = program
        self.functions: Mapping[str, FixedFunction] = {
            name: FixedFunction(
                {item: Slot(kind.element.numpy, kind.shape) for item, kind in function.inputs.items()},
                function.outputs,
            )
            for name, function in program.functions.items()
        }

    def predict(self, function: str, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """See `FixedProgram.predict`."""
        return self._program.run(feeds, function=function)
