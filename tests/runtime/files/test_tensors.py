"""The safetensors layout: as its own library has it, and refused where it lies."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vljepa_runtime.files.tensors import pack, unpack


def test_tensors_are_safetensors() -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2], np.uint8)}
    data = pack(arrays, {"what": "a test"})
    theirs = library.load(data)
    ours, metadata = unpack(library.save(arrays, {"what": "a test"}))
    assert metadata == {"what": "a test"}
    for name, array in arrays.items():
        assert np.array_equal(theirs[name], array)
        assert np.array_equal(ours[name], array)
        assert ours[name].dtype == array.dtype


def test_tensors_that_lie_where_no_number_can_be_read_are_copied() -> None:
    entry = {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    header = json.dumps(entry | {"b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]}}).encode()
    tensors, _ = unpack(len(header).to_bytes(8, "little") + header + b"\x05" + np.float32([1, 2]).tobytes())
    assert (tensors["b"].tolist(), tensors["b"].flags.aligned) == ([1, 2], True)


TENSOR = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}


def layout(header: object, body: bytes = bytes(64)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (layout({"a": {**TENSOR, "shape": [3, float("inf")]}}), "Infinity"),
        (layout({"a": {**TENSOR, "shape": [3, 4.0]}}), "whole numbers"),
        (layout({"a": {**TENSOR, "shape": [True, 12]}}), "whole numbers"),
        (layout({"a": {**TENSOR, "shape": [10**60, 4]}}), "digits"),
        (layout({"a": {**TENSOR, "shape": [2**50, 4]}}), "outside any file"),
        (layout({"a": {**TENSOR, "shape": [-3, -4]}}), "outside any file"),
        (layout({"a": {**TENSOR, "shape": [1] * 9}}), "whole numbers"),
        (layout({"a": {**TENSOR, "shape": 12}}), "whole numbers"),
        (layout({"a": {**TENSOR, "data_offsets": [0, 48, 50]}}), "outside the file"),
        (layout({"a": {**TENSOR, "data_offsets": [48, 0]}}), "outside the file"),
        (layout({"a": {**TENSOR, "data_offsets": [32, 80]}}), "outside the file"),
        (layout({"a": {**TENSOR, "dtype": ["F32"]}}), "type is none of"),
        (layout({"a": {**TENSOR, "dtype": "C64"}}), "type is none of"),
        (layout({"a": {**TENSOR, "extra": 1}}), "other entries"),
        (layout({"a": 5}), "other entries"),
        (layout({"a": TENSOR, "b": TENSOR}), "overlap"),
        (layout({"a": {**TENSOR, "data_offsets": [16, 64]}}), "leave holes"),
        (layout({"a": TENSOR}), "bytes follow its last tensor"),
        (layout({"a": {**TENSOR, "dtype": "BF16", "data_offsets": [0, 24]}}, bytes(24)), "type is none of BOOL"),
        (layout({"__metadata__": {"a": 1}}), "no object"),
        (layout([1]), "no object"),
        (layout({str(i): TENSOR for i in range(5000)}), "5000 tensors"),
        (layout(b'{"a": 1, "a": 2}'), "twice"),
        (layout(b"[" * 50_000), "deeply"),
        (layout(b"\xff"), "utf-8"),
        (b"\xff" * 8 + b"{}", "longer than the file"),
        (b"", "longer than the file"),
    ],
)  # fmt: skip
def test_tensors_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        unpack(data)


def test_tensors_without_values_and_scalars_are_read() -> None:
    arrays = {
        "empty": np.zeros((2, 0, 3), np.int32),
        "scalar": np.array(3.0),
        "bytes": np.arange(3, dtype=np.uint8),
    }
    back, metadata = unpack(pack(arrays, {"k": "v"}))
    assert metadata == {"k": "v"}
    assert all(
        np.array_equal(back[name], array) and back[name].dtype == array.dtype
        for name, array in arrays.items()
    )
