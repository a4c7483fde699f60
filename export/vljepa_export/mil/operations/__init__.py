"""What each MIL operation computes, by name: functions of NumPy arrays whose parameters are named as in MIL.

Float16 arguments are widened to float32 first; the interpreter rounds the result. Adding an operation is one function
in the module it belongs to, and its test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vljepa_export.mil.operations import compression, elementwise, products, shapes

__all__ = ["OPERATIONS"]

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **elementwise.OPERATIONS,
    **shapes.OPERATIONS,
    **products.OPERATIONS,
    **compression.OPERATIONS,
}
