"""What is said where another precision suits a device better, and what `auto` makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import vljepa_runtime as vj
from vljepa_runtime.engines import registry
from vljepa_runtime.engines.advice import advice, made_for
from vljepa_runtime.errors import GraphRefusedError

TINY = vj.Bundle.open("tiny").manifest
GRAPHS = tuple(TINY.graphs)
FILES = {name: bytes(vj.Bundle.open("tiny").read(name)) for name in TINY.files}


def manifest(label: str, execution: str = "f32", target: str = "onnx") -> vj.Manifest:
    return replace(
        TINY,
        target=target,
        precision=dict.fromkeys(GRAPHS, label),
        execution=dict.fromkeys(GRAPHS, execution),
    )


INT8, FLOATS = manifest("int8-dynamic"), manifest("fp32")
FP16, BF16 = manifest("fp16", "f16"), manifest("bf16", "bf16")


@pytest.mark.parametrize(
    ("bundle", "engine", "said"),
    [
        pytest.param(
            INT8, "onnxruntime:cuda", "int8-dynamic is for CPUs: export --precision fp16", id="int8-gpu"
        ),
        pytest.param(FLOATS, "onnxruntime:cuda-graph", "fp16 or bf16 for this GPU", id="fp32-gpu"),
        pytest.param(FP16, "onnxruntime:cpu", "float16 is for GPUs", id="fp16-cpu"),
        pytest.param(FP16, "onnxruntime:cuda", "", id="fp16-gpu"),
        pytest.param(BF16, "onnxruntime:cuda", "", id="bf16-gpu"),
        pytest.param(INT8, "onnxruntime:cpu", "", id="int8-cpu"),
        pytest.param(FLOATS, "openvino:cpu", "", id="fp32-cpu"),
        pytest.param(manifest("fp16", "f16", "tensorrt"), "tensorrt", "", id="tensorrt"),
    ],
)
def test_what_does_not_suit_a_device_is_said(
    bundle: vj.Manifest, engine: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_runtime.engines.advice.sums_are_cut_off", lambda: False)
    found = advice(bundle, engine)
    assert said in found
    assert bool(found) == bool(said)


def test_an_old_library_on_a_processor_that_cuts_sums_off_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.engines.advice.sums_are_cut_off", lambda: True)
    assert "pip install -U 'onnxruntime>=1.32', or export --precision fp32" in advice(INT8, "onnxruntime:cpu")
    assert advice(FLOATS, "onnxruntime:cpu") == advice(INT8, "openvino:cpu") == ""


@pytest.mark.parametrize(
    ("bundle", "device"),
    [(INT8, "cpu"), (FP16, "gpu"), (BF16, "gpu"), (FLOATS, "")],
    ids=["int8", "fp16", "bf16", "fp32"],
)
def test_auto_tries_the_device_that_a_bundle_is_made_for_first(
    bundle: vj.Manifest, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made_for(bundle) == device
    monkeypatch.setattr(registry.Family, "available_devices", lambda self: self.devices)
    monkeypatch.setattr(registry.Family, "open", lambda self, device, *, threads: f"{self.name}:{device}")
    wanted = "onnxruntime:cpu" if device == "cpu" else "onnxruntime:cuda"
    assert registry.open_engine("auto", made_for=made_for(bundle)) == wanted


def test_a_model_says_it_with_what_really_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.engines.advice.sums_are_cut_off", lambda: False)
    model = vj.load("tiny", engine="onnxruntime:cpu")
    assert "export" not in model.engine_text
    model._bundle = vj.Bundle.in_memory(FP16, FILES)
    assert model.engine_text.endswith("export --precision int8 for it")


def test_bfloat16_is_refused_where_no_kernel_is() -> None:
    bundle = vj.Bundle.in_memory(BF16, FILES)
    with pytest.raises(GraphRefusedError, match=r"no kernels for bfloat16, .*use --engine onnxruntime:cuda"):
        vj.Model(bundle, vj.open_engine("onnxruntime:cpu"))
