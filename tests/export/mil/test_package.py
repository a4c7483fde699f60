"""Packages that are damaged, hostile or of another kind, and operations that are not known: refused with a reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("coremltools")

from vljepa_export.errors import InterpreterError
from vljepa_export.mil import MilProgram
from vljepa_runtime.engines.coreml_tools import coremltools

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHT = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float16)


@pytest.fixture(scope="module")
def good(mil_program: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    mil_program(
        {"x": ((2, 4), "fp16")}, lambda m, inputs: {"y": m.relu(x=m.linear(x=inputs["x"], weight=WEIGHT))}
    )
    return max(
        tmp_path_factory.getbasetemp().glob("mil*/program.mlpackage"), key=lambda path: path.stat().st_mtime
    )


@pytest.fixture
def package(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "p.mlpackage"))


def edited(package: Path, change: Any) -> Path:
    model = coremltools("proto.Model_pb2").Model.FromString((package / MODEL).read_bytes())
    change(model)
    (package / MODEL).write_bytes(model.SerializeToString())
    return package


def block(model: Any) -> Any:
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def weight(model: Any) -> Any:
    constants = (item.attributes["val"] for item in block(model).operations if item.type == "const")
    return next(item for item in constants if item.WhichOneof("value") == "blobFileValue")


def test_a_good_one_runs(package: Path) -> None:
    x = np.ones((2, 4), np.float16)
    y = MilProgram.open(package).run({"x": x})["y"]
    np.testing.assert_allclose(y, np.maximum(x @ WEIGHT.T, 0), rtol=2e-3)


def test_an_unknown_operation_is_refused_by_name(mil_program: Any) -> None:
    with pytest.raises(InterpreterError, match="does not know the operation cumsum"):
        mil_program({"x": ((2, 4), "fp16")}, lambda m, inputs: {"y": m.cumsum(x=inputs["x"], axis=1)})


def test_an_unknown_parameter_is_refused(package: Path) -> None:
    def change(model: Any) -> None:
        relu = next(item for item in block(model).operations if item.type == "relu")
        relu.inputs["mode"].CopyFrom(relu.inputs["x"])

    with pytest.raises(InterpreterError, match=r"relu .*unexpected keyword argument 'mode'"):
        MilProgram.open(edited(package, change)).run({"x": np.ones((2, 4), np.float16)})


def _two_outputs(model: Any) -> None:
    block(model).outputs.append("nobody")


def _wrong_shape(model: Any) -> None:
    relu = next(item for item in block(model).operations if item.type == "relu")
    relu.outputs[0].type.tensorType.dimensions[1].constant.size = 9


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param(
            lambda m: setattr(weight(m).blobFileValue, "fileName", "@model_path/../../../x"),
            "leads out of",
            id="climbs-out",
        ),
        pytest.param(
            lambda m: setattr(weight(m).blobFileValue, "fileName", "@model_path/weights\0/weight.bin"),
            "is no name of a file",
            id="nul",
        ),
        pytest.param(
            lambda m: setattr(weight(m).blobFileValue, "fileName", "@model_path/" + "w" * 5000),
            "cannot read|is no name of a file",
            id="long",
        ),
        pytest.param(
            lambda m: setattr(weight(m).blobFileValue, "fileName", "/etc/passwd"),
            "expected weights under @model_path/",
            id="absolute",
        ),
        pytest.param(
            lambda m: setattr(weight(m).blobFileValue, "offset", 1 << 40), "bytes at offset", id="offset"
        ),
        pytest.param(
            lambda m: setattr(weight(m).type.tensorType, "dataType", 11), "expected fp32", id="type"
        ),
        pytest.param(
            lambda m: m.neuralNetwork.SetInParent(), "expected an mlprogram, got neuralNetwork", id="kind"
        ),
        pytest.param(_two_outputs, "never computes its outputs nobody", id="outputs"),
        pytest.param(_wrong_shape, r"declares fp16\[2, 9\], the result has shape \(2, 8\)", id="shape"),
        pytest.param(
            lambda m: (
                block(m).operations[-1].type
                and setattr(block(m).operations[-1].inputs["x"].arguments[0], "name", "nobody")
            ),
            "nobody",
            id="dangling",
        ),
    ],
)
def test_a_program_that_lies(package: Path, change: Any, match: str) -> None:
    with pytest.raises(InterpreterError, match=match):
        MilProgram.open(edited(package, change)).run({"x": np.ones((2, 4), np.float16)})


@pytest.mark.parametrize(
    ("manifest", "match"),
    [
        pytest.param("{", "is not an .mlpackage", id="json"),
        pytest.param("{}", "is not an .mlpackage", id="keys"),
        pytest.param(
            json.dumps({"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "../../etc"}}}),
            "leads out of",
            id="climbs",
        ),
    ],
)
def test_a_manifest_that_lies(package: Path, manifest: str, match: str) -> None:
    (package / "Manifest.json").write_text(manifest)
    with pytest.raises(InterpreterError, match=match):
        MilProgram.open(package)


@pytest.mark.parametrize(
    ("feeds", "match"),
    [
        pytest.param({}, "expected inputs x, got none", id="missing"),
        pytest.param({"x": np.ones((2, 4), np.float32)}, r"expected fp16\[2, 4\], got float32", id="type"),
        pytest.param({"x": np.ones((3, 4), np.float16)}, r"got float16\[3, 4\]", id="shape"),
    ],
)
def test_feeds_are_checked(package: Path, feeds: dict[str, np.ndarray], match: str) -> None:
    with pytest.raises(InterpreterError, match=match):
        MilProgram.open(package).run(feeds)


def test_an_unknown_function(package: Path) -> None:
    with pytest.raises(InterpreterError, match="there is no function 'n64'; functions: main"):
        MilProgram.open(package).run({"x": np.ones((2, 4), np.float16)}, function="n64")


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_a_flipped_byte_is_refused_or_harmless(package: Path, place: float, value: int) -> None:
    """Whatever the bytes say, the only error is ours."""
    file = package / MODEL
    original = file.read_bytes()
    broken = bytearray(original)
    broken[int(place * len(broken))] = value
    file.write_bytes(broken)
    try:
        MilProgram.open(package).run({"x": np.ones((2, 4), np.float16)})
    except InterpreterError:
        pass
    finally:
        file.write_bytes(original)
