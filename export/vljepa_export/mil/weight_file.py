"""A package's `weight.bin`: 64 bytes of header, then per tensor a 64-byte record that points to its bytes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.errors import InterpreterError
from vljepa_export.mil.element_types import ElementType, unpack

__all__ = ["WeightFile"]

VERSION = 2
SENTINEL = 0xDEADBEEF
HEADER = struct.Struct("<II")  # tensors, version; the rest is reserved
RECORD = struct.Struct("<IIQQ")  # sentinel, type, bytes, offset of the bytes
RECORD_BYTES = 64


class WeightFile:
    """Reads tensors by the offset of their record, without loading the rest.

    Raises:
        InterpreterError: the file is not a weight file of the known version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._data: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise InterpreterError(f"cannot read the weights {path}: {error}") from error
        self._need(0, RECORD_BYTES)
        _, version = HEADER.unpack(self._bytes(0, HEADER.size))
        if version != VERSION:
            raise InterpreterError(f"{path}: expected a weight file of version {VERSION}, got {version}")

    def read(self, offset: int, element: ElementType, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The tensor whose record lies at `offset`.

        Raises:
            InterpreterError: there is no record, or it holds another type or size.
        """
        self._need(offset, RECORD_BYTES)
        sentinel, code, size, start = RECORD.unpack(self._bytes(offset, RECORD.size))
        if sentinel != SENTINEL:
            raise InterpreterError(f"{self._path}: there is no tensor at offset {offset}")
        if code != element.blob:
            raise InterpreterError(
                f"{self._path}: expected {element.name} (code {element.blob}) at offset {offset}, got code {code}"
            )
        self._need(start, size)
        return unpack(np.array(self._data[start : start + size]), element, shape)

    def _bytes(self, start: int, size: int) -> bytes:
        return self._data[start : start + size].tobytes()

    def _need(self, start: int, size: int) -> None:
        if not 0 <= start <= len(self._data) - size:
            raise InterpreterError(
                f"{self._path}: expected {size} bytes at offset {start}, the file has {len(self._data)}"
            )
