from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vljepa_export import ExportError
from vljepa_export.formats import FORMATS
from vljepa_export.request import default_output, precision_per_graph, prepare
from vljepa_runtime.contract import GRAPH_NAMES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mine"
    place.mkdir()
    (place / "config.json").write_text("{}")
    return place


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        pytest.param({"format": "onx"}, ExportError, "did you mean 'onnx'", id="format"),
        pytest.param({"precision": "int9"}, ExportError, "did you mean 'int8'", id="precision"),
        pytest.param(
            {"precision": "half"}, ExportError, "choose from int8, int4, fp16, bf16, fp32", id="unlike-any"
        ),
        pytest.param({"format": "mlpackge"}, ExportError, "did you mean 'mlpackage'", id="alias"),
        pytest.param(
            {"format": "openvino", "precision": "fp8"},
            ExportError,
            "no precision 'fp8' for openvino",
            id="of-another",
        ),
        pytest.param(
            {"token_budgets": (64,)}, ExportError, "onnx takes any number of tokens", id="free-tokens"
        ),
        pytest.param(
            {"format": "trt", "token_budgets": (64, 64)}, ExportError, "different token budgets", id="twice"
        ),
        pytest.param(
            {"precision": {"x_encodr": "int8"}}, ExportError, "did you mean 'x_encoder'", id="graph"
        ),
        pytest.param(
            {"precision": {"x_encoder": "int9"}}, ExportError, "did you mean 'int8'", id="graph-precision"
        ),
        pytest.param({"checkpoint": "no/such/folder"}, ExportError, "does not exist", id="missing"),
        pytest.param({"checkpoint": "."}, ExportError, "is not a checkpoint", id="no-config"),
    ],
)
def test_mistakes_are_told(
    change: dict[str, Any], error: type[Exception], match: str, folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {"checkpoint": folder, "out": tmp_path / "out.vljepa", **change}
    with pytest.raises(error, match=match):
        prepare(arguments.pop("checkpoint"), arguments.pop("out"), **arguments)


def test_nothing_is_overwritten_without_force(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.vljepa"
    target.write_bytes(b"precious")
    with pytest.raises(ExportError, match="--force"):
        prepare(folder, target)
    assert prepare(folder, target, force=True).target == target


def test_a_folder_that_is_no_bundle_is_never_replaced(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not a bundle"):
        prepare(folder, tmp_path, force=True)


def test_precision_per_graph() -> None:
    onnx = FORMATS["onnx"]
    assert set(precision_per_graph("int8", onnx).values()) == {onnx.precision("int8")}
    mixed = precision_per_graph({"x_encoder": "int8"}, onnx)
    assert [mixed[name].name for name in GRAPH_NAMES] == ["int8", "fp32", "fp32", "fp32", "fp32"]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (None, "tiny.vljepa"), ("int8", "tiny.vljepa"), ("fp32", "tiny-fp32.vljepa"),
        ({"x_encoder": "int8"}, "tiny-mixed.vljepa"),
    ],
)  # fmt: skip
def test_default_output(precision: Any, expected: str) -> None:
    assert default_output("tiny", precision) == Path(expected)


def test_default_output_of_a_run_is_called_as_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "door" / "checkpoint"
    assert default_output(folder) == Path("door.vljepa")
    folder.mkdir(parents=True)
    for name, expected in (("shop", "shop.vljepa"), ("../x", "door.vljepa"), (3, "door.vljepa")):
        (folder / "config.json").write_text(json.dumps({"metadata": {"name": name}}))
        assert default_output(folder) == Path(expected)


def test_default_output_names_the_format() -> None:
    assert default_output("tiny", format="ov") == Path("tiny-openvino.vljepa")
    assert default_output("tiny", "fp32", format="mlpackage") == Path("tiny-coreml-fp32.vljepa")


def test_checking_imports_no_torch() -> None:
    code = "import sys, vljepa_export.request; sys.exit(bool({'torch', 'onnx', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
