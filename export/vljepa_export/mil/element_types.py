"""Element types of MIL tensors: their names, sizes and the NumPy type that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.errors import InterpreterError

__all__ = ["ElementType", "TensorType", "element_type", "type_named", "unpack"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ElementType:
    """One element type.

    Attributes:
        name: As MIL writes it.
        numpy: NumPy type that holds one element; larger than the element below 8 bits.
        bits: Bits per element in a file.
        blob: Its code in a weight file; 0 when it is never stored there.
    """

    name: str
    numpy: str
    bits: int
    blob: int


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape; a scalar has shape ()."""

    element: ElementType
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.element.name}{list(self.shape)}"


# Codes of MIL.proto's DataType; codes in weight files as coremltools' own writer uses them (the tests compare).
_TYPES = {
    1: ElementType("bool", "bool", 8, 0),
    2: ElementType("string", "str", 0, 0),
    10: ElementType("fp16", "float16", 16, 1),
    11: ElementType("fp32", "float32", 32, 2),
    21: ElementType("int8", "int8", 8, 4),
    22: ElementType("int16", "int16", 16, 6),
    23: ElementType("int32", "int32", 32, 14),
    25: ElementType("int4", "int8", 4, 8),
    31: ElementType("uint8", "uint8", 8, 3),
    32: ElementType("uint16", "uint16", 16, 7),
    33: ElementType("uint32", "uint32", 32, 15),
    35: ElementType("uint4", "uint8", 4, 11),
    36: ElementType("uint2", "uint8", 2, 10),
    37: ElementType("uint1", "uint8", 1, 9),
    38: ElementType("uint6", "uint8", 6, 13),
    39: ElementType("uint3", "uint8", 3, 12),
}
_NAMES = {item.name: item for item in _TYPES.values()}


def element_type(code: int) -> ElementType:
    """The type with this code in MIL.proto.

    Raises:
        InterpreterError: it is not known here.
    """
    if code not in _TYPES:
        raise InterpreterError(f"MIL data type {code} is not known to this interpreter")
    return _TYPES[code]


def type_named(name: str) -> ElementType:
    """The type that an operation's parameter names, for example `fp16`.

    Raises:
        InterpreterError: it is not known here.
    """
    if name not in _NAMES:
        raise InterpreterError(f"MIL data type {name!r} is not known to this interpreter")
    return _NAMES[name]


def unpack(data: npt.NDArray[np.uint8], element: ElementType, shape: tuple[int, ...]) -> Array:
    """Little-endian bytes as an array; elements below 8 bits are packed from the lowest bit upwards.

    Raises:
        InterpreterError: there are more or fewer bytes than the shape needs.
    """
    count = int(np.prod(shape, dtype=np.int64))
    expected = -(-count * element.bits // 8)
    if len(data) != expected:
        raise InterpreterError(f"expected {expected} bytes for {element.name}{list(shape)}, got {len(data)}")
    if element.bits >= 8:
        return data.view(np.dtype(element.numpy).newbyteorder("<")).reshape(shape)
    bits = np.unpackbits(data, bitorder="little", count=count * element.bits).reshape(count, element.bits)
    values = bits @ (1 << np.arange(element.bits, dtype=np.int64))
    if element.name == "int4":
        values = np.where(values > 7, values - 16, values)
    return np.asarray(values.astype(element.numpy).reshape(shape))
