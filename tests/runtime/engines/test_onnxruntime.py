"""ONNX Runtime: what it refuses to load, and weights beside a graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError, WrongTargetError


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
