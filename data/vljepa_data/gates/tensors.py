"""Named arrays as bytes in the safetensors layout, read as if a stranger had sent them. NumPy only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import BundleError

__all__ = ["pack", "unpack"]

Array = npt.NDArray[Any]
NAMES = {"U8": "uint8", "I32": "int32", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64"}
CODES = {dtype: code for code, dtype in NAMES.items()}
MAX_HEADER = 1 << 20


def pack(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Arrays and texts as one block of bytes; the same content gives the same bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    blocks: list[bytes] = []
    offset = 0
    for name, array in tensors.items():
        block = np.ascontiguousarray(array).tobytes()
        span = [offset, offset + len(block)]
        header[name] = {"dtype": CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": span}
        blocks.append(block)
        offset += len(block)
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(blocks)


def unpack(data: bytes, where: str) -> tuple[dict[str, Array], dict[str, str]]:
    """What `pack` wrote; arrays are views and cannot be written to.

    Raises:
        BundleError: it is not this layout, or a size is not what the header says.
    """
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(MAX_HEADER, len(data) - 8):
        raise _broken(where, "its header is longer than the file")
    try:
        header = json.loads(data[8 : 8 + size])
        metadata = {str(key): str(value) for key, value in header.pop("__metadata__", {}).items()}
        body = data[8 + size :]
        return {name: _tensor(entry, body) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(where, str(error)) from error


def _tensor(entry: Mapping[str, Any], body: bytes) -> Array:
    begin, end = (int(value) for value in entry["data_offsets"])
    dtype = np.dtype(NAMES[entry["dtype"]])
    shape = tuple(int(size) for size in entry["shape"])
    if min((begin, *shape), default=0) < 0 or not begin <= end <= len(body):
        raise ValueError("a tensor lies outside the file")
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError("a tensor's size is not that of its shape")
    return np.frombuffer(body[begin:end], dtype).reshape(shape)


def _broken(where: str, reason: str) -> BundleError:
    return BundleError(
        f"{where} holds no readable tensors ({reason[:200]}): download or export the bundle again"
    )
