"""Engines by name, and no silent fallback."""

from __future__ import annotations

import re

import pytest

from vljepa_runtime.engines import (
    available_engines,
    describe,
    engine_names,
    families,
    onnxruntime,
    open_engine,
    openvino,
    registry,
)
from vljepa_runtime.errors import (
    DeviceMissingError,
    EngineError,
    InputError,
    MissingExtraError,
)
from vljepa_runtime.targets import TARGETS

MISSING = [name for name in engine_names() if name not in available_engines()]


def test_names() -> None:
    assert "onnxruntime:cpu" in available_engines()
    assert set(available_engines()) <= set(engine_names())
    assert open_engine("onnxruntime").name == "onnxruntime:cpu"
    assert open_engine("auto").name in available_engines()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("onnxruntim", "did you mean 'onnxruntime'"),
        ("onnxruntime:gpu", "did you mean 'onnxruntime:"),
        ("ONNXRUNTIME:CPU", "did you mean 'onnxruntime:cpu'"),
        ("CUDA", "did you mean 'cuda'"),
        ("cudda", "did you mean 'cuda'"),
        ("zzz", "known: auto, onnxruntime:cpu"),
        ("", "known: auto"),
    ],
)
def test_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=re.escape(hint)):
        open_engine(name)


@pytest.mark.parametrize(
    ("word", "target", "meant"),
    [
        ("cpu", "onnx", "onnxruntime:cpu"),
        ("ort", "onnx", "onnxruntime:cpu"),
        ("cuda", "onnx", "onnxruntime:cuda"),
        ("gpu", "onnx", "onnxruntime:cuda"),
        ("npu", "onnx", "openvino:npu"),
        ("cpu", "openvino", "openvino:cpu"),
        ("gpu", "openvino", "openvino:gpu"),
        ("ov", "openvino", "openvino:cpu"),
        ("trt", "tensorrt", "tensorrt"),
        ("cuda", "tensorrt", "tensorrt"),
        ("cuda", "tensorrt-rtx", "tensorrt-rtx"),
        ("rtx", "tensorrt", "tensorrt-rtx"),
        ("cpu", "coreml", "coreml:cpu"),
        ("ane", "coreml", "coreml:ane"),
        ("trt", "onnx", "tensorrt"),  # which then says what it loads
        ("tensorrt", "onnx", "tensorrt"),  # a family's own name comes first
    ],
)
def test_a_short_word_is_the_engine_that_loads_the_bundle(
    word: str, target: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        registry.Family,
        "open",
        lambda family, device, *, threads: opened.append(":".join(filter(None, (family.name, device)))),
    )
    open_engine(word, target=target)
    assert opened == [meant]


def test_a_short_word_hides_no_engine_and_means_one_that_is_there() -> None:
    names = {"auto", *engine_names(), *(family.name for family in families())}
    for family in families():
        assert not names & set(family.aliases)
        assert {device or family.devices[0] for device in family.aliases.values()} <= set(family.devices)


def test_a_fall_back_from_a_short_word_is_told() -> None:
    if "onnxruntime:cuda" in available_engines():
        pytest.skip("CUDA is here")
    opened = open_engine("cuda", allow_fallback=True)
    assert "a fall-back: cuda was asked for and is not here (onnxruntime:cuda" in describe(opened)


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_below_one(threads: int) -> None:
    with pytest.raises(InputError, match="threads: expected a whole number of at least 1 and at most 1024"):
        open_engine("auto", threads=threads)


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_provider_is_an_error_unless_fallback_is_allowed(name: str) -> None:
    library = "cuda-bindings|" if name.startswith("tensorrt") else ""
    with pytest.raises((EngineError, MissingExtraError), match=library + re.escape(name.partition(":")[0])):
        open_engine(name)
    opened = open_engine(name, allow_fallback=True)
    assert opened.name in available_engines()
    assert f"a fall-back: {name} was asked for and is not here" in describe(opened)


def test_the_table_names_the_devices_that_the_modules_know() -> None:
    devices = {family.name: family.devices for family in families()}
    assert devices["onnxruntime"] == tuple(onnxruntime.PROVIDERS)
    assert devices["openvino"] == openvino.DEVICES
    assert [family.name for family in families() if not family.names] == []


def starts(name: str) -> bool:
    """An installed library is not enough: TensorRT for RTX installs where no GPU is."""
    try:
        open_engine(name)
    except (EngineError, MissingExtraError):
        return False
    return True


@pytest.mark.parametrize("target", [target for target in TARGETS if target not in ("onnx", "openvino")])
def test_auto_for_a_target_that_nothing_here_runs_says_so(target: str) -> None:
    if any(target in family.targets and starts(name) for family in families() for name in family.names):
        pytest.skip(f"{target} runs here")
    with pytest.raises((EngineError, MissingExtraError), match=r"starts here|not installed"):
        open_engine("auto", target=target)


def test_a_provider_that_falls_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime lists CUDA, takes the request and runs on the CPU: the case that other tools do not tell."""
    monkeypatch.setattr(onnxruntime, "available_devices", lambda: ("cpu", "cuda"))
    with pytest.raises(
        DeviceMissingError, match="did not start, ONNX Runtime fell back to CPUExecutionProvider"
    ):
        open_engine("onnxruntime:cuda")
    assert open_engine("onnxruntime:cuda", allow_fallback=True).name == "onnxruntime:cpu"


def test_auto_goes_on_when_the_first_choice_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "available_devices", lambda: ("cpu", "cuda"))
    assert open_engine("auto").name == "onnxruntime:cpu"
