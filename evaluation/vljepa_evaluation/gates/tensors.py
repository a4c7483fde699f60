"""Named arrays as bytes in the safetensors layout, read as if a stranger had sent them. NumPy only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.strict_json import parse_json

__all__ = ["pack", "unpack"]

Array = npt.NDArray[Any]
NAMES = {"U8": "uint8", "I32": "int32", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64"}
CODES = {dtype: code for code, dtype in NAMES.items()}
MAX_HEADER = 1 << 20
MAX_TENSORS = 4096  # a reference has some hundred
MAX_RANK = 8
MAX_SIZE = 1 << 40  # of one axis; what all of them come to is held against the file


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
        header = parse_json(data[8 : 8 + size])
        metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its header is no object of tensors and texts")
        if len(header) > MAX_TENSORS:
            raise ValueError(f"it has {len(header)} tensors, at most {MAX_TENSORS} are read")
        body = data[8 + size :]
        tensors = {name: _tensor(entry, body) for name, entry in header.items()}
    except ValueError as error:
        raise _broken(where, str(error)) from error
    if sum(array.nbytes for array in tensors.values()) > len(body):
        raise _broken(where, "its tensors overlap")
    return tensors, metadata


def _tensor(entry: object, body: bytes) -> Array:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError("a tensor has other entries than dtype, shape and data_offsets")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in NAMES:
        raise ValueError(f"a tensor's type is none of {', '.join(NAMES)}")
    shape, span = (_sizes(entry[name]) for name in ("shape", "data_offsets"))
    if len(span) != 2 or not span[0] <= span[1] <= len(body):
        raise ValueError("a tensor lies outside the file")
    dtype = np.dtype(NAMES[entry["dtype"]])
    if math.prod(shape) * dtype.itemsize != span[1] - span[0]:
        raise ValueError("a tensor's size is not that of its shape")
    return np.frombuffer(body[span[0] : span[1]], dtype).reshape(shape)


def _sizes(values: object) -> tuple[int, ...]:
    if (
        not isinstance(values, list)
        or len(values) > MAX_RANK
        or not all(type(size) is int for size in values)
    ):
        raise ValueError("a tensor's shape or place is no list of whole numbers")
    if min(values, default=0) < 0 or max(values, default=0) > MAX_SIZE:
        raise ValueError("a tensor's shape or place is outside any file")
    return tuple(values)


def _broken(where: str, reason: str) -> BundleError:
    return BundleError(
        f"{where} holds no readable tensors ({reason[:200]}): download or export the bundle again"
    )
