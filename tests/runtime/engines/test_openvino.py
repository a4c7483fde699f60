"""OpenVINO: quiet and without telemetry, never on another device or in another precision, hostile files refused."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino")

from vljepa_runtime.bundle import Bundle, Manifest, write_bundle
from vljepa_runtime.engines import describe, open_engine, openvino
from vljepa_runtime.engines.openvino_library import import_untracked
from vljepa_runtime.errors import (
    BundleError,
    DeviceMissingError,
    GraphRefusedError,
    MissingExtraError,
    WrongTargetError,
)


@pytest.fixture
def small(small_zip: Path) -> Bundle:
    return Bundle.open(small_zip)


def rewritten(source: Bundle, files: dict[str, bytes] | None = None, **changes: Any) -> Bundle:
    content = {name: source.read(name) for name in source.manifest.files} | (files or {})
    manifest: Manifest = replace(source.manifest, **changes)
    return Bundle.in_memory(manifest, content)


def window(tokens: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "patches": rng.integers(0, 256, (1, tokens, 216), np.uint8),
        "positions": rng.integers(0, 2, (1, tokens, 3), np.int32),
    }


def test_nothing_is_sent_and_nothing_is_printed(small_zip: Path) -> None:
    """The telemetry package is never loaded; a user's own import of it stays possible."""
    code = (
        "import sys, vljepa_runtime as vj\n"
        "assert 'openvino' not in sys.modules\n"
        "vj.load(sys.argv[1], engine='openvino:cpu')\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(small_zip)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_telemetry_that_is_loaded_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    marker = type(sys)("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", marker)
    import_untracked("openvino")
    assert sys.modules["openvino_telemetry"] is marker


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "find_spec", lambda name: None)
    assert openvino.available_devices() == ()
    with pytest.raises(MissingExtraError, match=r"pip install .*\[openvino\]"):
        open_engine("openvino:cpu")
    assert open_engine("openvino:cpu", allow_fallback=True).name == "onnxruntime:cpu"


@pytest.mark.parametrize("device", ["gpu", "npu"])
def test_a_device_that_is_not_there_is_an_error(device: str) -> None:
    if device in openvino.available_devices():
        pytest.skip(f"there is a {device}")
    with pytest.raises(
        DeviceMissingError, match=f"openvino:{device}: OpenVINO finds no {device.upper()} here"
    ):
        open_engine(f"openvino:{device}")


def test_what_runs_is_told(small: Bundle) -> None:
    engine = open_engine("openvino:cpu")
    engine.load(small, "x_encoder")
    assert describe(engine).startswith("openvino:cpu (OpenVINO 20")
    assert describe(engine).endswith(" in f32)")


def test_a_precision_that_the_device_lacks_becomes_f32_and_is_told(
    small: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "ABILITIES", {"bf16": "NO_SUCH", "f16": "NO_SUCH"})
    engine = open_engine("openvino:cpu")
    asked = rewritten(small, execution={"x_encoder": "bf16"})
    got = engine.load(asked, "x_encoder").run(window())["visual"]
    assert "f32 (the device has no bf16)" in describe(engine)
    assert np.array_equal(got, engine.load(small, "x_encoder").run(window())["visual"])


def test_another_precision_or_device_than_asked_for_is_refused(
    small: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO takes a hint for f16 on a CPU without it and runs bf16; nobody but this check would say so."""
    engine = open_engine("openvino:cpu")
    if "FP16" in importlib.import_module("openvino").Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU computes in f16")
    monkeypatch.setattr(openvino.OpenVinoEngine, "_precision", lambda self, wanted: (wanted, wanted))
    with pytest.raises(GraphRefusedError, match="asked for small/x_encoder in f16, OpenVINO would run it in"):
        engine.load(rewritten(small, execution={"x_encoder": "f16"}), "x_encoder")


def test_the_usual_window_and_others_give_the_same(small: Bundle) -> None:
    """A full window runs with fixed sizes, others with free ones: the same tokens, the same numbers."""
    graph = open_engine("openvino:cpu").load(small, "x_encoder")
    full, half = window(), {name: array[:, :4] for name, array in window().items()}
    np.testing.assert_allclose(
        graph.run(full)["visual"][:, :4], graph.run(half)["visual"], rtol=1e-4, atol=1e-4
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mapped", [True, False])
def test_large_weights_are_mapped_and_small_ones_read(
    mapped: bool, small: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alike in what they compute; a mapped bundle may be replaced all the same."""
    monkeypatch.setattr("vljepa_runtime.bundle.reader.MAPPED_BYTES", 1 if mapped else 1 << 40)
    library = import_untracked("openvino")
    spec = small.graph("x_encoder")
    library.save_model(
        library.Core().read_model(small.read(spec.file), b""), tmp_path / "x.xml", compress_to_fp16=False
    )
    graphs = {"x_encoder": replace(spec, file="x.xml", external=("x.bin",))}
    manifest = replace(small.manifest, target="openvino", graphs=graphs, precision={"x_encoder": "fp32"})
    files: dict[str, bytes | Path] = {name: (tmp_path / name).read_bytes() for name in ("x.xml", "x.bin")}
    files |= {name: small.read(name) for name in small.manifest.tokenizers.values()}
    bundle = write_bundle(tmp_path / "b.vljepa", manifest, files, archive=False)
    expected = open_engine("onnxruntime:cpu").load(small, "x_encoder").run(window())["visual"]
    graph = open_engine("openvino:cpu").load(bundle, "x_encoder")
    assert (str(tmp_path / "b.vljepa" / "x.bin") in Path("/proc/self/maps").read_text()) is mapped
    np.testing.assert_allclose(graph.run(window())["visual"], expected, atol=1e-4)
    write_bundle(tmp_path / "b.vljepa", manifest, files, archive=False, force=True)
    assert graph.run(window(5))["visual"].shape == (1, 5, expected.shape[2])


def test_a_broken_graph_is_refused(small: Bundle) -> None:
    broken = rewritten(small, {"x_encoder.onnx": b"not a graph"})
    with pytest.raises(BundleError, match="small/x_encoder: "):
        open_engine("openvino:cpu").load(broken, "x_encoder")


def test_a_bundle_for_another_engine_is_refused(small: Bundle) -> None:
    with pytest.raises(WrongTargetError, match=r"made for openvino or onnx, small is for coreml"):
        open_engine("openvino:cpu").load(rewritten(small, target="coreml"), "x_encoder")


def test_a_graph_that_is_not_what_the_manifest_says_is_refused(small: Bundle) -> None:
    graphs = dict(small.manifest.graphs)
    graphs["x_encoder"] = replace(graphs["x_encoder"], file="predictor.onnx")
    with pytest.raises(BundleError, match="small/x_encoder: expected inputs"):
        open_engine("openvino:cpu").load(rewritten(small, graphs=graphs), "x_encoder")


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize("location", ["x_encoder.data", "../outside.data", "ABSOLUTE"])
def test_weights_beside_the_graph_but_not_outside(
    location: str, archive: bool, small: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    outside = tmp_path / "outside.data"
    inside = location == "x_encoder.data"
    model = onnx.load_from_string(small.read("x_encoder.onnx"))
    data = b""
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > 100:
            place = str(outside) if location == "ABSOLUTE" else location
            entries = {"location": place, "offset": str(len(data)), "length": str(len(tensor.raw_data))}
            data += tensor.raw_data
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=value)
    outside.write_bytes(data)
    graphs = dict(small.manifest.graphs)
    graphs["x_encoder"] = replace(graphs["x_encoder"], external=("x_encoder.data",))
    files: dict[str, bytes | Path] = {name: small.read(name) for name in small.manifest.files}
    files |= {"x_encoder.onnx": model.SerializeToString(), "x_encoder.data": data if inside else b"none"}
    manifest = replace(small.manifest, graphs=graphs)
    bundle = write_bundle(tmp_path / "out.vljepa", manifest, files, archive=archive)
    engine = open_engine("openvino:cpu")
    if not inside:
        with pytest.raises(BundleError, match="which this graph does not list"):
            engine.load(bundle, "x_encoder")
        return
    expected = engine.load(small, "x_encoder").run(window())["visual"]
    assert np.array_equal(engine.load(bundle, "x_encoder").run(window())["visual"], expected)


def test_a_signal_finds_its_stack_after_engines_came_and_went() -> None:
    """On CPUs with AMX, where every core of OpenVINO has a signal stack of its own."""
    code = (
        "import gc, os, signal, sys, time\n"
        "from vljepa_runtime.engines.openvino import OpenVinoEngine\n"
        "engines = [OpenVinoEngine(threads=1) for _ in range(3)]\n"
        "print([engine.detail for engine in engines][0])\n"
        "while engines:\n"
        "    del engines[0]\n"
        "    gc.collect()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(30)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("interrupted\n"), (done.returncode, done.stderr)
