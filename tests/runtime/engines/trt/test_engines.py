"""What a machine without TensorRT, bindings or GPU is told, and bundles for other engines."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import tensorrt, tensorrt_rtx
from vljepa_runtime.engines.trt import cuda, library
from vljepa_runtime.engines.trt.cache import Machine
from vljepa_runtime.engines.trt.chips import require_chip
from vljepa_runtime.errors import (
    BundleError,
    DeviceMissingError,
    GraphRefusedError,
    LibraryMissingError,
    MissingExtraError,
    WrongTargetError,
)

ENGINES = {"tensorrt": (tensorrt, "TensorRtEngine"), "tensorrt-rtx": (tensorrt_rtx, "TensorRtRtxEngine")}


class Logger:
    """What a library's own logger class offers."""

    class Severity:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


@pytest.fixture
def fresh_libraries() -> Any:
    library.load_library.cache_clear()
    yield
    library.load_library.cache_clear()


def runtime(count: int = 1, status: int = 0, integrated: int = 1) -> ModuleType:
    """`cuda.bindings.runtime` with as many devices."""
    made = ModuleType("runtime")
    made.__dict__.update(
        cudaGetDeviceCount=lambda: (status, count),
        cudaGetErrorString=lambda code: (0, b"CUDA driver version is insufficient"),
        cudaGetDeviceProperties=lambda index: (
            0,
            SimpleNamespace(name=b"Orin\0\0", major=8, minor=7, integrated=integrated),
        ),
        cudaDriverGetVersion=lambda: (0, 12060),
    )
    return made


def install(monkeypatch: pytest.MonkeyPatch, api: ModuleType | None) -> None:
    packages = {"cuda": ModuleType("cuda"), "cuda.bindings": ModuleType("cuda.bindings")}
    for name, package in packages.items():
        monkeypatch.setitem(sys.modules, name, package if api else None)
    if api is not None:
        packages["cuda.bindings"].runtime = api  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", api)


def install_library(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = ModuleType(library.LIBRARIES[name])
    chips = SimpleNamespace(__members__={"SM87": 0})
    module.__dict__.update(__version__="10.3.0", ILogger=Logger, ComputeCapability=chips)
    monkeypatch.setitem(sys.modules, library.LIBRARIES[name], module)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("tensorrt", LibraryMissingError, "tensorrt is not installed: on a Jetson it comes with JetPack"),
        ("tensorrt-rtx", MissingExtraError, r"pip install .*\[tensorrt-rtx\]'"),
    ],
)
def test_a_missing_library(
    name: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch, fresh_libraries: None
) -> None:
    monkeypatch.setitem(sys.modules, library.LIBRARIES[name], None)
    module, engine = ENGINES[name]
    with pytest.raises(error, match=message):
        getattr(module, engine)()


@pytest.mark.parametrize("name", ENGINES)
def test_missing_bindings_name_the_extra(
    name: str, monkeypatch: pytest.MonkeyPatch, fresh_libraries: None
) -> None:
    install_library(monkeypatch, name)
    install(monkeypatch, None)
    module, engine = ENGINES[name]
    with pytest.raises(MissingExtraError, match=r"cuda-bindings .*pip install .*\[tensorrt\]"):
        getattr(module, engine)()


@pytest.mark.parametrize(
    ("api", "message"),
    [
        (runtime(count=0), "expected a CUDA device, found none"),
        (runtime(status=35), "cudaGetDeviceCount failed: CUDA driver version is insufficient"),
    ],
    ids=["none", "driver"],
)
def test_a_missing_gpu(
    api: ModuleType, message: str, monkeypatch: pytest.MonkeyPatch, fresh_libraries: None
) -> None:
    install_library(monkeypatch, "tensorrt")
    install(monkeypatch, api)
    with pytest.raises(DeviceMissingError, match=message):
        tensorrt.TensorRtEngine()


def test_the_machine_is_what_cuda_says(
    monkeypatch: pytest.MonkeyPatch, fresh_libraries: None, tmp_path: Path
) -> None:
    install_library(monkeypatch, "tensorrt")
    install(monkeypatch, runtime())
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release\n"
    )
    monkeypatch.setattr(cuda, "_DRIVER", tmp_path / "version")
    assert tensorrt.TensorRtEngine().detail == "Orin (8.7), driver 540.4.0, tensorrt 10.3.0"
    monkeypatch.setattr(cuda, "_DRIVER", tmp_path / "absent")
    assert "driver for CUDA 12060" in tensorrt.TensorRtEngine().detail


@pytest.mark.parametrize("name", ENGINES)
def test_bundles_for_others_and_missing_graphs_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, fresh_libraries: None, small_zip: Path, tmp_path: Path
) -> None:
    install_library(monkeypatch, name)
    install(monkeypatch, runtime())
    module, opens = ENGINES[name]
    engine = getattr(module, opens)(cache=tmp_path)
    with pytest.raises(WrongTargetError, match=f"{name} runs bundles made for {name}.*, small is for onnx"):
        engine.load(Bundle.open(small_zip), "x_encoder")
    with pytest.raises(BundleError, match="has no graph 'z_encoder'"):
        engine.load(Bundle.open(small_zip), "z_encoder")


def test_a_portable_machine_names_no_gpu() -> None:
    rtx = library.Library(name="tensorrt-rtx", module=None, version="1.7", logger=None)
    assert str(Machine.portable(rtx, ())) == "any (8.0 and later), driver any, tensorrt-rtx 1.7"
    assert Machine.portable(rtx, ("SM89", "SM120")).compute_capability == "SM89, SM120"


def test_an_invalid_engine_comes_with_the_diagnosis() -> None:
    flags = SimpleNamespace(__members__={"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2, "CUDA_ERROR": 64})
    made = SimpleNamespace(
        Runtime=lambda logger: SimpleNamespace(get_engine_validity=lambda plan: ("bad", 3)),
        EngineValidity=SimpleNamespace(INVALID="bad"),
        EngineInvalidityDiagnostics=flags,
    )
    rtx = library.Library(name="tensorrt-rtx", module=made, version="1.7", logger=None)
    with pytest.raises(GraphRefusedError, match=r"cannot run b/x here \(version mismatch, unsupported cc\)"):
        tensorrt_rtx.require_valid(rtx, "b/x", b"plan")


@pytest.mark.parametrize("name", ENGINES)
def test_available_needs_library_and_bindings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = ENGINES[name]
    monkeypatch.setattr(module, "find_spec", lambda package: object())
    for there, devices in ((True, ("",)), (False, ())):
        monkeypatch.setattr(module, "bindings_installed", lambda answer=there: answer)
        assert module.available_devices() == devices


@pytest.mark.parametrize(
    ("capability", "runs"), [("8.9", True), ("12.0", True), ("9.0", False), ("8.7", False)]
)
def test_a_chip_that_the_library_does_not_run_on_is_refused_before_anything_is_built(
    capability: str, runs: bool
) -> None:
    known = SimpleNamespace(__members__=dict.fromkeys(("CURRENT", "SM75", "SM89", "SM120")))
    rtx: Any = SimpleNamespace(
        name="tensorrt-rtx", version="1.7", module=SimpleNamespace(ComputeCapability=known)
    )
    gpu: Any = SimpleNamespace(name="NVIDIA H200", compute_capability=capability)
    if runs:
        require_chip(rtx, gpu)
        return
    with pytest.raises(
        DeviceMissingError, match=rf"RTX cards \(7.5, 8.9, 12.0\), NVIDIA H200 is {capability}"
    ):
        require_chip(rtx, gpu)
