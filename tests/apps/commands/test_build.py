"""`vljepa build`: real builds of a one-layer bundle with TensorRT for RTX; one sentence where nothing can build."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_apps.main import main
from vljepa_runtime.bundle import Bundle, GraphSpec, write_bundle
from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.engines.trt.library import load_library
from vljepa_runtime.engines.trt.recipe import BuildRecipe, Range

RECIPE = BuildRecipe(precision="fp32", profiles=({"x": Range(min=(1, 8), opt=(1, 8), max=(2, 8))},))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """One graph, `toy`, that is one matrix."""
    onnx = pytest.importorskip("onnx")
    import numpy as np

    infos = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", 8]) for name in "xy"]
    weight = onnx.numpy_helper.from_array(np.eye(8, dtype=np.float32), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", infos[:1], infos[1:], initializer=[weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    tiny = Bundle.open("tiny")
    x, y = (TensorSpec(name=name, dtype="float32", shape=("B", 8)) for name in "xy")
    spec = GraphSpec(file="y.onnx", external=("y.build.json",), inputs=(x,), outputs=(y,))
    manifest = replace(
        tiny.manifest,
        target="tensorrt",
        graphs={"toy": spec},
        precision={"toy": "fp32"},
        novelty=None,
        boundaries=None,
    )
    files = {"y.onnx": model.SerializeToString(), "y.build.json": RECIPE.to_json()}
    write_bundle(tmp_path / "b.vljepa", manifest, files | {"tokenizer.json": tiny.read("tokenizer.json")})
    return tmp_path / "b.vljepa"


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has no wheel for this machine")
    return ["--engine", "tensorrt-rtx", "--cache", str(tmp_path / "cache")]


def test_estimated_built_once_and_never_again_unasked(
    bundle: Path, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(bundle), *options, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "1 of 1 graphs to build" in said.err
    assert "time: about" in said.err
    assert "measured on two Zen 4 cores" in said.err
    assert "to build" in said.out
    assert not (tmp_path / "cache").exists()

    assert main(["build", str(bundle), *options]) == 0
    assert "built" in capsys.readouterr().out
    engines = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.engine")}
    assert len(engines) == 1

    assert main(["build", str(bundle), *options]) == 0
    said = capsys.readouterr()
    assert "was there" in said.out
    assert "0 of 1 graphs to build" in said.err
    assert {path: path.stat().st_mtime_ns for path in engines} == engines

    assert main(["build", str(bundle), *options, "--force", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["graphs"]["toy"]["built_now"] is True
    assert document["machine"]["gpu"] == "any"
    assert "1 build on this machine" in said.err  # the first build is now the basis


def test_without_tensorrt_one_sentence(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_library.cache_clear()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert main(["build", str(bundle)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("vljepa: tensorrt is not installed: on a Jetson it comes with JetPack")
    assert said.out == ""


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("onnx", "expected a bundle made for tensorrt, tiny is for onnx"),
        ("tensorrt-rtx", "tiny holds finished engines of TensorRT for RTX: there is nothing to build"),
    ],
)
def test_other_bundles_are_refused_before_any_library_is_asked_for(
    target: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Bundle.open("tiny")
    files = {name: tiny.read(name) for name in tiny.manifest.files}
    write_bundle(tmp_path / "b.vljepa", replace(tiny.manifest, target=target), files)
    assert main(["build", str(tmp_path / "b.vljepa")]) == 1
    assert message in capsys.readouterr().err


def test_a_bundle_without_recipes_is_refused(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Bundle.open("tiny")
    files = {name: tiny.read(name) for name in tiny.manifest.files}
    write_bundle(tmp_path / "b.vljepa", replace(tiny.manifest, target="tensorrt"), files)
    assert main(["build", str(tmp_path / "b.vljepa"), *options]) == 1
    assert "has no build recipe" in capsys.readouterr().err
