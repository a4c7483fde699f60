"""The tree of errors is the one that is drawn, and each class says what a caller can do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vljepa_runtime as vj
from vljepa_runtime import errors
from vljepa_runtime.engines import open_engine
from vljepa_runtime.engines.onnxruntime import OnnxRuntimeEngine
from vljepa_runtime.errors import (
    DeviceMissingError,
    EngineError,
    LibraryMissingError,
    MissingEngineExtraError,
    MissingExtraError,
)


def drawn() -> dict[str, str]:
    """Class -> the class above it, as in the docstring."""
    above: list[tuple[int, str]] = []
    tree = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([ │├└─]*)(\w+Error)\b", line):
            depth = len(found[1])
            above = [item for item in above if item[0] < depth]
            if above:
                tree[found[2]] = above[-1][1]
            above.append((depth, found[2]))
    return tree


def test_the_tree_is_the_one_that_is_drawn() -> None:
    tree = drawn()
    assert set(tree) | {"VljepaError"} == set(errors.__all__)
    for name, above in tree.items():
        assert getattr(errors, above) in getattr(errors, name).__mro__[1:3], name


@pytest.mark.parametrize("name", errors.__all__)
def test_every_class_is_public(name: str) -> None:
    assert getattr(vj, name) is getattr(errors, name)
    assert getattr(errors, name).__doc__


def test_a_missing_library_is_caught_as_either() -> None:
    error = MissingEngineExtraError("openvino", "openvino")
    assert isinstance(error, MissingExtraError)
    assert isinstance(error, LibraryMissingError)
    assert isinstance(error, ImportError)
    command = MissingExtraError.install_command("openvino")
    assert str(error) == f"openvino is not installed: run  {command}"
    assert not isinstance(MissingExtraError("matplotlib", "apps"), EngineError)


def test_the_pip_command_works_where_the_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = MissingExtraError.install_command
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "runtime" / "vljepa_runtime" / "errors.py"))
    assert command("train") == "pip install 'vljepa-edge[train]'"
    (tmp_path / "pyproject.toml").touch()  # a checkout
    assert command("train") == f"pip install -e '{tmp_path}[train]'"
    monkeypatch.chdir(tmp_path)
    assert command("train") == "pip install -e '.[train]'"


def test_an_onnx_runtime_that_does_not_load_is_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(LibraryMissingError, match=r"onnxruntime does not load: .*install it again"):
        OnnxRuntimeEngine("cpu")
    with pytest.raises(LibraryMissingError, match="no engine for onnx bundles starts here"):
        open_engine("auto")


def test_auto_without_a_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.engines.openvino.find_spec", lambda name: None)
    with pytest.raises(LibraryMissingError, match=r"no engine for openvino.*pip install .*\[openvino\]'"):
        open_engine("auto", target="openvino")


def test_a_device_that_does_not_start_is_told_from_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("vljepa_runtime.engines.openvino.available_devices", lambda: ())
    with pytest.raises(DeviceMissingError, match="no engine for openvino bundles starts here"):
        open_engine("auto", target="openvino")
