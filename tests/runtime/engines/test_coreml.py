"""The Core ML engine as far as it goes off a Mac: its refusal here, and packages of strangers."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.engines import coreml
from vljepa_runtime.engines.coreml import CoreMlEngine, available_devices, unpack_package
from vljepa_runtime.errors import BundleError, DeviceMissingError, MissingExtraError, WrongTargetError

PACKAGE = "x.mlpackage"
MODEL = f"{PACKAGE}/Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = f"{PACKAGE}/Data/com.apple.CoreML/weights/weight.bin"


INNER = f"{PACKAGE}/Manifest.json"


def manifest(*paths: str) -> bytes:
    return json.dumps({"itemInfoEntries": {path: {"path": path} for path in paths}}).encode()


GOOD = {
    INNER: manifest("com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights"),
    MODEL: b"\xb2\x1f\x02\x08\x01",  # field 502, an ML program: version 1 and nothing else
    WEIGHTS: b"weights",
}


def bundle(
    small_zip: Path, to: Path, files: dict[str, bytes], *, archive: bool = True, **changes: Any
) -> Bundle:
    source = Bundle.open(small_zip)
    file, *external = files
    spec = replace(source.graph("x_encoder"), file=file, external=tuple(external), **changes)
    made = replace(source.manifest, target="coreml", graphs={"x_encoder": spec})
    content = {**files, "tokenizer.json": source.read("tokenizer.json")}
    return write_bundle(to / "b.vljepa", made, content, archive=archive)


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has it")
@pytest.mark.parametrize("device", list(coreml.COMPUTE_UNITS))
def test_off_a_mac_it_says_so(device: str) -> None:
    assert available_devices() == ()
    with pytest.raises(
        DeviceMissingError, match=f"coreml:{device}: Core ML runs on macOS, this is {sys.platform}"
    ):
        CoreMlEngine(device)


def test_on_a_mac_without_coremltools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(coreml, "find_spec", lambda name: None)
    assert available_devices() == ()
    with pytest.raises(MissingExtraError, match=r"pip install .*\[coreml\]"):
        CoreMlEngine()


def test_a_bundle_for_another_engine(monkeypatch: pytest.MonkeyPatch, small_zip: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(coreml, "find_spec", lambda name: object())
    assert available_devices() == ("all", "cpu", "gpu", "ane")
    with pytest.raises(WrongTargetError, match="coreml:ane runs bundles made for coreml, small is for onnx"):
        CoreMlEngine("ane").load(Bundle.open(small_zip), "x_encoder")


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
def test_a_package_is_unpacked_as_listed(small_zip: Path, tmp_path: Path, archive: bool) -> None:
    made = bundle(small_zip, tmp_path, GOOD, archive=archive)
    if not archive:
        (tmp_path / "b.vljepa" / PACKAGE / "Data" / "stranger").write_bytes(b"not listed")
    folder = unpack_package(made, "x_encoder", tmp_path / "out")
    assert folder == tmp_path / "out" / PACKAGE
    found = {str(path.relative_to(tmp_path / "out")) for path in folder.rglob("*") if path.is_file()}
    assert found == set(GOOD)
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("files", "match"),
    [
        pytest.param({"x.onnx": b""}, "expected NAME.mlpackage/Manifest.json", id="no-package"),
        pytest.param({**GOOD, "other.bin": b""}, "other.bin lies outside of", id="outside"),
        pytest.param({**GOOD, INNER: b"[]"}, "is not readable", id="manifest"),
        pytest.param({**GOOD, INNER: b"[" * 9999}, "is not readable", id="deep"),
        pytest.param({**GOOD, INNER: manifest("../../../etc/passwd")}, "does not list", id="climbs"),
        pytest.param({**GOOD, INNER: manifest("/etc/passwd")}, "does not list", id="absolute"),
        pytest.param({**GOOD, INNER: manifest("com.apple.CoreML/x")}, "does not list", id="unlisted"),
    ],
)  # fmt: skip
def test_a_package_of_a_stranger(
    small_zip: Path, tmp_path: Path, files: dict[str, bytes], match: str
) -> None:
    made = bundle(small_zip, tmp_path, files)
    with pytest.raises(BundleError, match=match):
        unpack_package(made, "x_encoder", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_engine_calls_exists_in_coremltools() -> None:
    """Nobody runs it here, but the names and parameters that it relies on are those of the installed package."""
    pytest.importorskip("coremltools")
    import inspect

    from vljepa_runtime.engines.coreml_tools import coremltools

    ct, plans, devices = (
        coremltools(),
        coremltools("models.compute_plan"),
        coremltools("models.compute_device"),
    )
    assert set(coreml.COMPUTE_UNITS.values()) == {unit.name for unit in ct.ComputeUnit}
    assert {"model", "compute_units", "function_name"} <= set(inspect.signature(ct.models.MLModel).parameters)
    assert list(inspect.signature(plans.MLComputePlan.load_from_path).parameters) == ["path", "compute_units"]
    assert callable(plans.MLComputePlan.get_compute_device_usage_for_mlprogram_operation)
    assert callable(ct.models.MLModel.get_compiled_model_path)
    assert all(hasattr(devices, name) for name in coreml._PLAN_CLASSES.values())
    kinds = coremltools("proto.FeatureTypes_pb2").ArrayFeatureType
    assert {kinds.FLOAT32: "float32", kinds.FLOAT16: "float16", kinds.INT32: "int32"} == coreml._TYPES


@pytest.mark.parametrize("module", ["", "models"])
def test_importing_coremltools_says_nothing(module: str) -> None:
    pytest.importorskip("coremltools")
    import subprocess

    code = f"from vljepa_runtime.engines.coreml_tools import coremltools; coremltools({module!r})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
