"""Arrays of an `.npz` that a stranger may have made: nothing is unpickled, and no array is larger than its bytes."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_data.annotations.rows import MAX_BYTES
from vljepa_data.errors import AnnotationError

__all__ = ["read_npz"]

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
WRONG = (
    *(OSError, ValueError, KeyError, EOFError, SyntaxError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


def read_npz(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    """Some arrays of text or numbers.

    Raises:
        AnnotationError: it is no such file, an array is missing, or claims to be what its bytes are not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [_array(archive, f"{name}.npy") for name in names]
    except WRONG as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise AnnotationError(f"{path}: expected an .npz with {' and '.join(names)}: {reason}") from error


def _array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    if archive.getinfo(name).file_size > MAX_BYTES:
        raise ValueError(f"{name} has more than {MAX_BYTES} bytes")
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{name} is of version {version}")
        shape, fortran, dtype = HEADERS[version](file)
        if dtype.hasobject or dtype.kind not in "Uf" or not dtype.itemsize or min(shape, default=1) < 0:
            raise ValueError(f"{name} holds {dtype}, neither text nor numbers")
        data = file.read()
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has {len(data)} bytes, {shape} {dtype} would have others")
    if dtype.kind == "U" and data and np.frombuffer(data, dtype.byteorder + "u4").max() > 0x10FFFF:
        raise ValueError(f"{name} holds what is no text")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
