"""Compressed constants: what is stored, against coremltools' own decompression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("coremltools")

from vljepa_export import ExportError
from vljepa_export.coreml.compression import store
from vljepa_export.coreml.deployment import target_version
from vljepa_export.errors import InterpreterError
from vljepa_export.mil.element_types import type_named
from vljepa_export.mil.weight_file import WeightFile
from vljepa_quant import Weights, precisions_of
from vljepa_runtime.engines.coreml_tools import quiet

MATRIX = np.random.default_rng(0).standard_t(4, (64, 96)).astype(np.float32)

SCHEMES = {
    "int8-ios18": (Weights(dtype="int8"), 18, 0.02),
    "int8-ios16": (Weights(dtype="int8"), 16, 0.02),
    "int8-block": (Weights(dtype="int8", block=32), 18, 0.02),
    "palette6-groups": (Weights(dtype="uint6", group=32), 18, 0.06),
    "palette4-groups": (Weights(dtype="uint4", group=32), 18, 0.2),
    "palette6-ios16": (Weights(dtype="uint6"), 16, 0.06),
    "palette4-ios17": (Weights(dtype="uint4"), 17, 0.2),
}


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_constants_unpack_as_coremltools_unpacks_them(scheme: str, kind: str, mil_program: Any) -> None:
    weights, ios, error = SCHEMES[scheme]
    numpy_type = np.dtype({"fp32": np.float32, "fp16": np.float16}[kind])
    theirs: list[np.ndarray] = []

    def build(m: Any, inputs: Any) -> dict[str, Any]:
        packed = store(m, MATRIX, numpy_type, weights, ios=ios)
        theirs.append(packed.op.materialized_val_inference())
        return {"y": m.add(x=packed, y=inputs["x"])}

    program = mil_program({"x": ((1, 1), kind)}, build, target=f"iOS{ios}")
    ours = program.run({"x": np.zeros((1, 1), numpy_type)})["y"]
    assert any(item.kind.startswith("constexpr_") for item in program.functions["main"].operations)
    np.testing.assert_allclose(ours, theirs[0], rtol=2.0**-10 if kind == "fp16" else 1e-6, atol=1e-7)
    relative = np.linalg.norm(ours - MATRIX) / np.linalg.norm(MATRIX)
    assert relative < error


def test_small_matrices_stay_as_they_are() -> None:
    small = MATRIX[:2, :5]
    assert store(None, small, np.dtype(np.float16), Weights(dtype="int8"), ios=18).dtype == np.float16


def test_rows_that_do_not_divide_keep_one_scale(mil_program: Any) -> None:
    matrix = MATRIX[:, :90]

    def build(m: Any, inputs: Any) -> dict[str, Any]:
        packed = store(m, matrix, np.dtype(np.float32), Weights(dtype="int8", block=32), ios=18)
        assert packed.op.scale.shape == (64, 1)
        return {"y": m.add(x=packed, y=inputs["x"])}

    ours = mil_program({"x": ((1, 1), "fp32")}, build).run({"x": np.zeros((1, 1), np.float32)})["y"]
    assert np.abs(ours - matrix).max() < np.abs(matrix).max() / 127


BLOBS = {
    "fp16": "write_fp16_data", "fp32": "write_float_data", "int8": "write_int8_data", "uint8": "write_uint8_data",
    "int16": "write_int16_data", "uint16": "write_uint16_data", "int32": "write_int32_data",
    "uint32": "write_uint32_data", "uint1": "write_uint1_data", "uint2": "write_uint2_data",
    "uint3": "write_uint3_data", "uint4": "write_uint4_data", "uint6": "write_uint6_data", "int4": "write_int4_data",
}  # fmt: skip


def test_every_type_is_read_as_coremltools_writes_it(tmp_path: Path) -> None:
    with quiet():
        from coremltools.libmilstoragepython import _BlobStorageWriter

    file, rng = tmp_path / "weight.bin", np.random.default_rng(1)
    writer, written = _BlobStorageWriter(str(file)), {}
    for name, method in BLOBS.items():
        element = type_named(name)
        low, high = (
            (-(2 ** (element.bits - 1)), 2 ** (element.bits - 1)) if name[0] == "i" else (0, 2**element.bits)
        )
        values = rng.standard_normal(37) if name[0] == "f" else rng.integers(low, high, 37)
        values = values.astype(element.numpy)
        stored = values.view(np.uint16) if name == "fp16" else values
        written[name] = (getattr(writer, method)(stored.tolist()), values)
    del writer
    reader = WeightFile(file)
    for name, (offset, values) in written.items():
        np.testing.assert_array_equal(reader.read(offset, type_named(name), (37,)), values, err_msg=name)
    with pytest.raises(InterpreterError, match=r"expected fp32 .* got code 1"):
        reader.read(written["fp16"][0], type_named("fp32"), (37,))
    with pytest.raises(InterpreterError, match="no tensor at offset"):
        reader.read(written["fp16"][0] + 64, type_named("fp16"), (37,))
    with pytest.raises(InterpreterError, match="expected 76 bytes for fp16"):
        reader.read(written["fp16"][0], type_named("fp16"), (38,))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(b"", "cannot read the weights", id="empty"),
        pytest.param(b"abc", "expected 64 bytes", id="short"),
        pytest.param(bytes(64), "version 2, got 0", id="version"),
    ],
)
def test_a_damaged_weight_file(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "weight.bin").write_bytes(content)
    with pytest.raises(InterpreterError, match=match):
        WeightFile(tmp_path / "weight.bin")


@pytest.mark.parametrize(
    ("name", "target", "match"),
    [
        pytest.param("int8-block32", "iOS17", "needs iOS18 or macOS15, got iOS17", id="blocks"),
        pytest.param("w8a8", "macOS13", "needs iOS17 or macOS14", id="activations"),
        pytest.param("fp16", "iOS15", "expected a Core ML target", id="unknown"),
    ],
)
def test_targets(name: str, target: str, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        target_version(target, precisions_of("coreml")[name])
    assert target_version("macOS15", precisions_of("coreml")[name]) == 18
