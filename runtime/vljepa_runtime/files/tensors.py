"""The safetensors layout, read as if a stranger had sent it: tensors in a row behind a header of JSON. NumPy only.

Of a file of gigabytes only the header is read here; whoever asks for a tensor takes its bytes from the mapped file.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vljepa_runtime.files.strict_json import parse_json

__all__ = ["NAMES", "Place", "pack", "read_header", "unpack", "write_tensors"]

Array = npt.NDArray[Any]
# Numpy's name per type of the layout, and the bytes of what has none there.
NAMES = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "F16": "float16",
         "F32": "float32", "F64": "float64"}  # fmt: skip
NO_NUMPY = {"BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
CODES = {name: code for code, name in NAMES.items()}
BYTES = {**{code: np.dtype(name).itemsize for code, name in NAMES.items()}, **NO_NUMPY}
MAX_HEADER = 1 << 20
MAX_TENSORS = 4096  # a reference has some hundred, a language model of 48 layers 700
MAX_RANK = 8
MAX_SIZE = 1 << 40  # of one axis; what all of them come to is held against the file


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor lies: the layout's word for its type, its shape, its first byte and the one past its last."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def write_tensors(
    file: BinaryIO,
    plan: Mapping[str, tuple[str, tuple[int, ...]]],
    blocks: Iterable[bytes | memoryview],
    metadata: Mapping[str, str],
) -> None:
    """Write tensors one after another; the same content gives the same bytes.

    Args:
        file: Opened for writing.
        plan: The layout's type and the shape per name.
        blocks: The bytes of each, in the order of the plan.
        metadata: Texts by name.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, (dtype, shape) in plan.items():
        start, end = end, end + BYTES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for block in blocks:
        file.write(block)


def pack(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Arrays and texts as one block of bytes."""
    file = io.BytesIO()
    plan = {name: (CODES[array.dtype.name], array.shape) for name, array in tensors.items()}
    write_tensors(file, plan, (array.tobytes() for array in tensors.values()), metadata)
    return file.getvalue()


def unpack(data: bytes, *, most: int | None = None) -> tuple[dict[str, Array], dict[str, str]]:
    """What `pack` wrote; arrays are views and cannot be written to.

    Args:
        data: The file.
        most: Bytes that it may have.

    Raises:
        ValueError: it is larger, see `read_header`, or a tensor's type is none of NumPy's.
    """
    if most is not None and len(data) > most:
        raise ValueError(f"expected at most {most} bytes, got {len(data)}")
    places, metadata = read_header(memoryview(data))
    return {name: _array(data, place) for name, place in places.items()}, metadata


def read_header(data: memoryview) -> tuple[dict[str, Place], dict[str, str]]:
    """Where the tensors of a file lie, and its texts.

    Args:
        data: The whole file, mapped where it is large.

    Raises:
        ValueError: it is not this layout, a size is not what its header says, or the tensors do not fill the file.
    """
    begin = 8 + int.from_bytes(data[:8], "little")
    if begin - 8 > min(MAX_HEADER, len(data) - 8):
        raise ValueError("its header is longer than the file")
    header = parse_json(bytes(data[8:begin]))
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its header is no object of tensors and texts")
    if len(header) > MAX_TENSORS:
        raise ValueError(f"it has {len(header)} tensors, at most {MAX_TENSORS} are read")
    places = {name: _place(entry, begin, len(data)) for name, entry in header.items()}
    end = begin
    for place in sorted(places.values(), key=lambda place: (place.start, place.end)):
        if place.start != end:
            raise ValueError("its tensors overlap or leave holes")
        end = place.end
    if end != len(data):
        raise ValueError("bytes follow its last tensor")
    return places, metadata


def _place(entry: object, begin: int, size: int) -> Place:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError("a tensor has other entries than dtype, shape and data_offsets")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in BYTES:
        raise ValueError(f"a tensor's type is none of {', '.join(BYTES)}")
    shape, span = (_sizes(entry[name]) for name in ("shape", "data_offsets"))
    if len(span) != 2 or not span[0] <= span[1] <= size - begin:
        raise ValueError("a tensor lies outside the file")
    if math.prod(shape) * BYTES[entry["dtype"]] != span[1] - span[0]:
        raise ValueError("a tensor's size is not that of its shape")
    return Place(entry["dtype"], shape, begin + span[0], begin + span[1])


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


def _array(data: bytes, place: Place) -> Array:
    if place.dtype not in NAMES:
        raise ValueError(f"a tensor's type is none of {', '.join(NAMES)}")
    flat = np.frombuffer(data, NAMES[place.dtype], math.prod(place.shape), place.start)
    return np.require(flat, requirements="A").reshape(
        place.shape
    )  # others may lie where no number can be read
