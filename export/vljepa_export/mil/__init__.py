"""A reference interpreter for Core ML's mlprograms: reads a `.mlpackage` from disk and computes it in NumPy.

    program = MilProgram.open("x_encoder.mlpackage")
    program.run({"patches": patches, "positions": positions})["visual"]

It shows what a program means, to the last rounding that its types ask for; it says nothing about Apple's kernels.
"""

from __future__ import annotations

from vljepa_export.mil.interpreter import MilProgram
from vljepa_export.mil.operations import known_operations

__all__ = ["MilProgram", "known_operations"]
