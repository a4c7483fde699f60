"""A reference interpreter for Core ML's mlprograms: reads a `.mlpackage` from disk and computes it in NumPy.

`tests/export/mil/` runs this with packages that coremltools wrote:

>>> program = MilProgram.open("x_encoder.mlpackage")  # doctest: +SKIP
>>> program.run({"patches": patches, "positions": positions})["visual"]  # doctest: +SKIP

It shows what a program means, to the last rounding that its types ask for; it says nothing about Apple's kernels.
"""

from __future__ import annotations

from vljepa_export.mil.interpreter import MilProgram

__all__ = ["MilProgram"]
