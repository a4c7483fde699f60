"""Engines by name, the check of feeds, and no silent fallback."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle, GraphSpec, write_bundle
from vljepa_runtime.bundle.manifest import TARGETS
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines import (
    available_engines,
    check_feeds,
    describe,
    engine_names,
    families,
    onnxruntime,
    open_engine,
    openvino,
)
from vljepa_runtime.engines.protocol import check_loaded
from vljepa_runtime.errors import (
    BundleError,
    DeviceMissingError,
    EngineError,
    InputError,
    MissingExtraError,
    WrongTargetError,
)

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
        ("zzz", "known: auto, onnxruntime:cpu"),
        ("", "known: auto"),
    ],
)
def test_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=re.escape(hint)):
        open_engine(name)


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


INPUTS = (
    TensorSpec(name="a", dtype="float32", shape=("B", "N", 4)),
    TensorSpec(name="b", dtype="int32", shape=("B", "L")),
)


def feeds(
    a: tuple[int, ...] = (2, 3, 4), b: tuple[int, ...] = (2, 5), dtype: Any = np.int32
) -> dict[str, Any]:
    return {"a": np.zeros(a, np.float32), "b": np.zeros(b, dtype)}


def test_feeds_that_fit() -> None:
    check_feeds("g", INPUTS, feeds())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({}, "expected inputs a, b, got none", id="none"),
        pytest.param({"a": np.zeros(1)}, "expected inputs a, b, got a", id="missing"),
        pytest.param({**feeds(), "c": np.zeros(1)}, "expected inputs a, b, got a, b, c", id="unknown"),
        pytest.param(feeds(dtype=np.int64), r"g\.b: expected int32, got int64", id="dtype"),
        pytest.param(feeds(a=(2, 3, 5)), r"g\.a: expected shape \(B, N, 4\).*got \(2, 3, 5\)", id="width"),
        pytest.param(feeds(a=(3, 4)), r"g\.a: expected shape", id="rank"),
        pytest.param(
            feeds(b=(3, 5)), r"g\.b: expected shape \(B, L\), with B=2, got \(3, 5\)", id="two-batches"
        ),
        pytest.param(feeds(a=(2, 0, 4)), r"g\.a: expected shape", id="empty"),
        pytest.param({**feeds(), "b": [1]}, r"g\.b: expected int32, got int64", id="list"),
    ],
)
def test_feeds_that_do_not(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_feeds("g", INPUTS, given)


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind"),
    [
        ({"x": "float16"}, {"y": "float32"}, "inputs {'x': 'float32'}"),
        ({"x": "float32"}, {"z": "float32"}, "outputs {'y': 'float32'}"),
        ({"x": "float32"}, {}, "outputs {'y': 'float32'}"),
        ({"x": "float32", "z": "int32"}, {"y": "float32"}, "inputs {'x': 'float32'}"),
    ],
    ids=["type", "name", "missing", "unknown"],
)
def test_what_was_loaded_is_compared_with_the_manifest(
    inputs: dict[str, str], outputs: dict[str, str], kind: str
) -> None:
    x, y = (TensorSpec(name=name, dtype="float32", shape=("B",)) for name in "xy")
    spec = GraphSpec(file="g", inputs=(x,), outputs=(y,))
    check_loaded("b/g", spec, inputs={"x": "float32"}, outputs={"y": "float32"})
    with pytest.raises(BundleError, match=f"b/g: expected {kind}, the file has .*: build it again"):
        check_loaded("b/g", spec, inputs=inputs, outputs=outputs, remedy="build it again")


def rewritten(small_zip: Path, to: Path, *, files: dict[str, bytes] | None = None, **changes: Any) -> Bundle:
    source = Bundle.open(small_zip)
    content: dict[str, bytes | Path] = {name: source.read(name) for name in source.manifest.files}
    return write_bundle(to, replace(source.manifest, **changes), {**content, **(files or {})})


def test_a_broken_graph_is_refused(tmp_path: Path, small_zip: Path) -> None:
    bundle = rewritten(small_zip, tmp_path / "b", files={"x_encoder.onnx": b"not a graph"})
    with pytest.raises(BundleError, match="small/x_encoder: "):
        open_engine("onnxruntime:cpu").load(bundle, "x_encoder")


def test_a_bundle_for_another_engine_is_refused(tmp_path: Path, small_zip: Path) -> None:
    bundle = rewritten(small_zip, tmp_path / "b", target="coreml")
    with pytest.raises(WrongTargetError, match="small is for coreml"):
        open_engine("onnxruntime:cpu").load(bundle, "x_encoder")


def test_a_graph_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path, small_zip: Path) -> None:
    graphs = dict(Bundle.open(small_zip).manifest.graphs)
    graphs["x_encoder"] = replace(graphs["x_encoder"], file="predictor.onnx")
    bundle = rewritten(small_zip, tmp_path / "b", graphs=graphs)
    with pytest.raises(BundleError, match="small/x_encoder: expected inputs"):
        open_engine("onnxruntime:cpu").load(bundle, "x_encoder")


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
def test_weights_beside_the_graph(tmp_path: Path, small_zip: Path, archive: bool) -> None:
    onnx = pytest.importorskip("onnx")
    source = Bundle.open(small_zip)
    bundle = external(onnx, source, tmp_path, "x_encoder.data", archive=archive)
    patches = np.arange(2 * 216, dtype=np.uint8).reshape(1, 2, 216)
    given = {"patches": patches, "positions": np.ones((1, 2, 3), np.int32)}
    results = [
        open_engine("onnxruntime:cpu").load(each, "x_encoder").run(given)["visual"]
        for each in (source, bundle)
    ]
    assert np.array_equal(*results)


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize("location", ["../x_encoder.data", "ABSOLUTE"])
def test_a_graph_cannot_reach_weights_outside(
    tmp_path: Path, small_zip: Path, location: str, archive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    if location == "ABSOLUTE":
        location = str(tmp_path / "x_encoder.data")
    bundle = external(onnx, Bundle.open(small_zip), tmp_path, location, archive=archive)
    with pytest.raises(BundleError, match="which this graph does not list"):
        open_engine("onnxruntime:cpu").load(bundle, "x_encoder")


def external(onnx: Any, source: Bundle, folder: Path, location: str, *, archive: bool) -> Bundle:
    """The bundle again, its X-encoder's weights moved to a file; the graph names that file `location`."""
    graph = onnx.load_from_string(source.read("x_encoder.onnx"))
    data = b""
    for tensor in graph.graph.initializer:
        if len(tensor.raw_data) > 100:
            entries = {"location": location, "offset": str(len(data)), "length": str(len(tensor.raw_data))}
            data += tensor.raw_data
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=value)
    (folder / "x_encoder.data").write_bytes(data)
    graphs = dict(source.manifest.graphs)
    graphs["x_encoder"] = replace(graphs["x_encoder"], external=("x_encoder.data",))
    content: dict[str, bytes | Path] = {name: source.read(name) for name in source.manifest.files}
    content |= {"x_encoder.onnx": graph.SerializeToString(), "x_encoder.data": folder / "x_encoder.data"}
    manifest = replace(source.manifest, graphs=graphs)
    return write_bundle(folder / "out.vljepa", manifest, content, archive=archive)


def test_a_runtime_that_takes_no_weights_from_memory_unpacks_them_for_a_moment(
    small_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.10 ends at ONNX Runtime 1.23, which lacks the call."""
    onnx = pytest.importorskip("onnx")
    bundle = external(onnx, Bundle.open(small_zip), tmp_path, "x_encoder.data", archive=True)
    expected = open_engine("onnxruntime:cpu").load(bundle, "x_encoder")
    monkeypatch.setattr("vljepa_runtime.engines.onnxruntime._IN_MEMORY", "no_such_call")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    unpacked = open_engine("onnxruntime:cpu").load(bundle, "x_encoder")
    assert not list((tmp_path / "scratch").iterdir())
    rng = np.random.default_rng(0)
    patches, positions = expected.inputs
    feeds = {
        "patches": rng.integers(0, 255, (1, 4, int(patches.shape[2])), dtype=np.uint8),
        "positions": rng.integers(0, 2, (1, 4, int(positions.shape[2])), dtype=np.int32),
    }
    for name, value in expected.run(feeds).items():
        np.testing.assert_array_equal(unpacked.run(feeds)[name], value)
